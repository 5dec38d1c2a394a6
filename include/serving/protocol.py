"""The HTTP connections of the model server: uvicorn's protocol with limits on what a client can hold open.

uvicorn bounds only the time between two requests. Here, the head of a request must arrive within a fixed time, and its
body at a minimum rate, as with the default of Apache's ``mod_reqtimeout``
(https://httpd.apache.org/docs/2.4/mod/mod_reqtimeout.html): a slow upload that makes progress succeeds, and a client
that sends half a request is answered with 408 and disconnected. A client that does not read its answer is disconnected,
too. A request that arrives in one piece and a small answer set no timer, and nearly all are like that.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from http import HTTPStatus

import httptools
import msgspec
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from include.scoring.messages import Error, Problem

logger = logging.getLogger(__name__)

MAX_HEAD = 64 * 1024
MAX_MESSAGE = 64 * 2**20
BODY_RATE = 500
"""Bytes per second that a body must have on average; the rate of Apache's default."""


@dataclass(frozen=True)
class ConnectionLimits:
    """What one client can hold open.

    Attributes
    ----------
    read_seconds : time for the head of a request, and the time that a body has in addition to its bytes / `BODY_RATE`;
        also how long a client may take none of the bytes of an answer that waits for it.
    connections : open connections. For one more, the connection that has been idle longest is closed; if none is idle,
        the new one is answered with 503 and closed.
    """

    read_seconds: float = 20.0
    connections: int = 512


class LimitedProtocol(HttpToolsProtocol):
    """One connection.

    A request is *open* from its first byte to its last. While one is open, `_deadline` bounds it; while none is and
    nothing is being answered, the connection is *idle*, and uvicorn's keep-alive timer bounds it. A first request
    must begin within the time that its head has. Bytes between requests (empty lines) do not start the timer again.
    """

    limits = ConnectionLimits()

    _open = False
    _head_complete = False
    _size = 0
    _received = 0  # bytes of the newest read
    _head_too_large = False
    _idle_since = 0.0
    _deadline = 0.0
    _reading: asyncio.TimerHandle | None = None
    _writing: asyncio.TimerHandle | None = None
    _answered: RequestResponseCycle | None = None
    """What is being answered; ``cycle`` is the newest request, which may wait for its turn."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Make room for a connection beyond the limit, or refuse it; one that never sends anything is closed soon."""
        full = len(self.connections) >= self.limits.connections
        super().connection_made(transport)
        if full and not self._make_room():
            self._refuse(503, f"{self.limits.connections} connections are open, the most that this server accepts")
        else:
            self._wait_for_a_request(self.limits.read_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave no timer behind, and no answer that continues to write."""
        self._stop_reading_timer()
        self._stop_writing_timer()
        if self._answered is not None and not self._answered.response_complete:
            self._answered.disconnected = True
            self._answered.message_event.set()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse; bound the time and size of a request that is still open afterwards."""
        self._received = len(data)
        if self._open:
            self._unset_keepalive_if_required()
        try:
            self._feed(data)
        except httptools.HttpParserError:
            if self.transport.is_closing():
                return  # what follows the last request of a connection
            if self._head_too_large:
                self._refuse_head()
            else:
                self._refuse(400, "this is not an HTTP/1.1 request that this server understands")
            return
        if self.transport.is_closing():
            return
        if self._open:
            self._bound(len(data))
        else:
            self._stop_reading_timer()
            if not self._answering():
                self._wait_for_a_request()

    def on_message_begin(self) -> None:
        """A request is open."""
        self._unset_keepalive_if_required()
        super().on_message_begin()
        self._open, self._head_complete, self._size = True, False, 0

    def on_headers_complete(self) -> None:
        """Start the answer, unless the head must be read again without its offer of another protocol."""
        if self._size + self._received > MAX_HEAD and self._size_of_head() > MAX_HEAD:
            self._head_too_large = True
            raise ValueError("too large")  # reaches `data_received` as an error of the parser
        if self.parser.should_upgrade():
            return
        self._begin_answer()  # raises if the URL is not valid: then no answer has been started
        self._head_complete = True
        self._deadline = self.loop.time() + self.limits.read_seconds

    def _begin_answer(self) -> None:
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is no longer open."""
        if self.parser.should_upgrade():
            return
        self._open = False
        super().on_message_complete()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, and drop the rest of an answer that the client has not read in that time."""
        self.timeout_keep_alive_task = None
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        super().timeout_keep_alive_handler()

    def on_response_complete(self) -> None:
        """Bound the time that the last answer of a connection can wait for the client."""
        super().on_response_complete()
        self._idle_since = self.loop.time()
        if self.transport.is_closing():
            self._close_in_time()

    def pause_writing(self) -> None:
        """The client does not read as fast as the server answers: make sure that it continues to read."""
        super().pause_writing()
        self._close_in_time()

    def resume_writing(self) -> None:
        """The client has read most of the waiting bytes."""
        super().resume_writing()
        if not self.transport.is_closing():
            self._stop_writing_timer()

    def _close_in_time(self) -> None:
        self._stop_writing_timer()
        waiting = self.transport.get_write_buffer_size()
        self._writing = self.loop.call_later(self.limits.read_seconds, self._look_at_the_answer, waiting)

    def _look_at_the_answer(self, waiting: int) -> None:
        """Disconnect a client that has taken nothing of the ``waiting`` bytes since the last look."""
        if self.transport.get_write_buffer_size() < waiting:
            self._close_in_time()
        else:
            self.transport.abort()

    def _stop_writing_timer(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None

    def _feed(self, data: bytes) -> None:
        """Parse ``data``; read a head with ``Upgrade`` again without it.

        RFC 9110 lets a server ignore the header; the parser takes what follows for the other protocol, so that the
        body of a request with ``Upgrade: h2c`` (``curl --http2``) would be lost.
        """
        while True:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                if self.parser.get_method() == b"CONNECT":
                    raise httptools.HttpParserError("CONNECT") from None
                rest = data[upgrade.args[0] :]
            kept = [(name, value) for name, value in self.headers if name not in (b"upgrade", b"http2-settings")]
            version = self.parser.get_http_version().encode()
            head = [b"%s %s HTTP/%s\r\n" % (self.parser.get_method(), self.url, version)]
            for name, value in kept:
                head.append(b"%s: %s\r\n" % (name, _without_upgrade(value) if name == b"connection" else value))
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            data = b"".join([*head, b"\r\n", rest])

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _wait_for_a_request(self, seconds: float | None = None) -> None:
        if self.timeout_keep_alive_task is None:
            self._idle_since = self.loop.time()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive if seconds is None else seconds, self.timeout_keep_alive_handler
            )

    def _make_room(self) -> bool:
        """Close the other connection that has been idle longest; false if no other one is idle."""
        idle = [other for other in self.connections if isinstance(other, LimitedProtocol) and other._is_idle()]
        if not idle:
            return False
        min(idle, key=lambda other: other._idle_since).transport.close()
        return True

    def _is_idle(self) -> bool:
        return self.timeout_keep_alive_task is not None and not self._open and not self.transport.is_closing()

    def _size_of_head(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _bound(self, received: int) -> None:
        """Take ``received`` bytes of an open request into account."""
        self._size += received
        if self._head_complete:
            self._deadline += received / BODY_RATE
            if self._size > MAX_MESSAGE:
                self._refuse(413, f"the request is larger than {MAX_MESSAGE} bytes")
                return
        elif self._size > MAX_HEAD:
            self._refuse_head()
            return
        elif self._size == received:
            self._deadline = self.loop.time() + self.limits.read_seconds
        if self._reading is None:
            self._reading = self.loop.call_at(self._deadline, self._look_at_the_deadline)

    def _look_at_the_deadline(self) -> None:
        self._reading = None
        if not self._open or self.transport.is_closing():
            return
        if self.flow.read_paused:  # the server does not read at the moment: that is not the client's delay
            self._deadline = self.loop.time() + self.limits.read_seconds
        if self.loop.time() < self._deadline:
            self._reading = self.loop.call_at(self._deadline, self._look_at_the_deadline)
            return
        part = "body" if self._head_complete else "head"
        self._refuse(408, f"the {part} of the request did not arrive in time: this server waits {self._waits(part)}")

    def _waits(self, part: str) -> str:
        seconds = f"{self.limits.read_seconds:g} s"
        return seconds if part == "head" else f"{seconds}, and longer while it gets {BODY_RATE} bytes per second"

    def _stop_reading_timer(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _refuse_head(self) -> None:
        self._refuse(431, f"the head of the request is larger than {MAX_HEAD} bytes")

    def _refuse(self, status: int, problem: str) -> None:
        """Answer in place of the application and close; answers to earlier requests are finished first."""
        self._stop_reading_timer()
        of_this_request = self._open and self._head_complete and not self.pipeline
        if self._answering() and not of_this_request:
            self.cycle.keep_alive = False  # the connection ends with the last of these answers
            self._deadline = self.loop.time() + self.limits.read_seconds
            self._reading = self.loop.call_at(self._deadline, self._look_at_the_deadline)
            return
        if of_this_request:
            if self.cycle.response_started:  # refused before its end, because the rest is too large or too late
                self.transport.close()
                return
            self.cycle.disconnected = True  # the application need not wait any longer
            self.cycle.message_event.set()
        body = msgspec.json.encode(Error([Problem(None, None, problem)]))
        head = b"HTTP/1.1 %d %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
        self.transport.write(head % (status, HTTPStatus(status).phrase.encode(), len(body)) + body)
        self.transport.close()
        self._close_in_time()


def _without_upgrade(connection: bytes) -> bytes:
    kept = [token.strip() for token in connection.split(b",")]
    return b", ".join(token for token in kept if token.lower() not in (b"upgrade", b"http2-settings"))
