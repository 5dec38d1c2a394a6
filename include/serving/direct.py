"""Small predictions, answered by the connection itself: no task, no ASGI messages, one write.

Between the parser and `PredictEndpoint.answer`, uvicorn and ASGI take about as long as the prediction. So a request
that needs none of it is answered when its last byte is parsed: a POST with a small body of known length, for a model in
service, with a head that is accepted, on a connection that is not busy with another answer. Every other request is
answered by the ASGI application. Both ways use the same endpoint, so they accept and answer the same.

Fairness: of the bytes of one read, only the first request is answered at once. Requests that a client pipelined behind
it wait for their turn in the event loop, as those of other connections do.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from include.serving.predict import LARGE_BODY, PredictEndpoint, Request
from include.serving.protocol import ConnectionLimits, LimitedProtocol

_BEFORE, _AFTER = b"/models/", b"/predict"
_DIGITS = len(str(LARGE_BODY))


def protocol_with(limits: ConnectionLimits, endpoint: PredictEndpoint, direct: bool = True) -> type[asyncio.Protocol]:
    """The protocol class for ``uvicorn.Config(http=...)``.

    Parameters
    ----------
    endpoint : answers predictions; the same that the application has.
    direct : whether small predictions are answered without the application.
    """
    base = DirectProtocol if direct else LimitedProtocol
    return type("ModelServerProtocol", (base,), {"limits": limits, "endpoint": endpoint})


class DirectProtocol(LimitedProtocol):
    """One connection that answers small predictions itself.

    Such a request is *pending* from the end of its head to the end of its body, which can arrive much later. There is
    no ASGI cycle for it, so everything that uvicorn does with the cycle of an open request is done here.
    """

    endpoint: PredictEndpoint

    _pending: Request | None = None
    _body: bytes = b""
    _keep_alive = True
    _stopping = False
    _has_turn = True  # whether a request of this read can be answered at once
    _date: list[tuple[bytes, bytes]] | None = None
    _date_line = b""

    def data_received(self, data: bytes) -> None:
        """Parse, and answer the first request if it is complete."""
        self._has_turn = True
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a request whose client has gone."""
        self._pending = None
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Answer a pending request, and close; close at once if there is none."""
        if self._pending is None:
            super().shutdown()
        else:
            self._keep_alive = False

    def on_headers_complete(self) -> None:
        """Ignore what follows the last request of a connection."""
        if not self.transport.is_closing():
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Keep a part of a pending request's body, which is small."""
        if self._pending is not None:
            self._body = self._body + body if self._body else body
        elif not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Answer a pending request."""
        request = self._pending
        if request is not None:
            self._pending, self._open, self._has_turn = None, False, False
            body, self._body = self._body, b""
            self._answer(request, body)
        elif not self.transport.is_closing():
            super().on_message_complete()

    def _begin_answer(self) -> None:
        self._pending = self._request_to_answer()
        if self._pending is None:
            super()._begin_answer()

    def _request_to_answer(self) -> Request | None:
        """The request whose head was just parsed; ``None`` if the application must answer it."""
        url = self.url
        if not (url.startswith(_BEFORE) and url.endswith(_AFTER) and self._has_turn) or self._answering():
            return None
        name = url[len(_BEFORE) : -len(_AFTER)].decode("latin-1")
        if name not in self.endpoint.served or self.flow.write_paused or self.expect_100_continue:
            return None
        headers = dict(self.headers)
        length = headers.get(b"content-length", b"")
        known = length.isdigit() and len(length) <= _DIGITS and b"transfer-encoding" not in headers
        if not known or int(length) > LARGE_BODY:
            return None
        request = self.endpoint.request(self.parser.get_method().decode("ascii"), name, headers)
        if request.refused is not None:
            return None  # the application answers at once, without waiting for the body
        self._keep_alive = self.parser.should_keep_alive() and self.parser.get_http_version() != "1.0"
        return request

    def _answer(self, request: Request, body: bytes) -> None:
        if self.endpoint.closed:
            self.transport.abort()  # the time for requests under way is over
            return
        answer = self.endpoint.answer(request, body)
        parts = [STATUS_LINE[answer.status], self._default_lines()]
        for name, value in answer.headers:
            parts += (name, b": ", value, b"\r\n")
        parts += (b"\r\n" if self._keep_alive else b"connection: close\r\n\r\n", answer.body)
        self.transport.write(b"".join(parts))
        if not self._keep_alive:
            self.transport.close()
        self.on_response_complete()

    def _default_lines(self) -> bytes:
        """uvicorn's own headers (``date``), which it replaces once a second."""
        headers = self.server_state.default_headers
        if headers is not self._date:
            self._date = headers
            self._date_line = b"".join(b"%s: %s\r\n" % header for header in headers)
        return self._date_line

    def _refuse(self, status: int, problem: str) -> None:
        if self._pending is not None:
            self._pending, self._head_complete = None, False  # no cycle works on it
        super()._refuse(status, problem)
