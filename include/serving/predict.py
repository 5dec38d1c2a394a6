"""The hot path: one prediction request, from its head and body to the answer, without a framework in between.

FastAPI serves the other routes and the documentation; here its routing and dependency layers would cost more than
the model. Small requests are scored on the event loop (about 0.1 ms); large ones in a thread, so that they do not
delay the small ones.

`PredictEndpoint.request` and `PredictEndpoint.answer` define what is accepted and what is answered, for both ways on
which a request arrives: as ASGI messages (`PredictEndpoint.__call__`), and directly from the connection
(`include.serving.direct`).
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

import msgspec
from msgspec import UNSET

from include.scoring.contract import InvalidRows
from include.scoring.messages import Error, Predictions, Problem, Row
from include.scoring.predictor import ModelFailure, Scores
from include.scoring.record import PROBE_HEADER
from include.serving.metrics import Metrics
from include.serving.recent import Ring
from include.serving.spool import Entry, Spool
from include.serving.watcher import Served, Watcher
from include.spelling import did_you_mean

logger = logging.getLogger(__name__)

MAX_ROWS = 10_000
MAX_BODY = 8 * 2**20
LARGE_BODY = 64 * 1024
MAX_LARGE = 8
FAILURES_LOGGED_EVERY = 10.0

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Scope]]
Send = Callable[[Scope], Awaitable[None]]


class Rows(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request: the rows to predict."""

    rows: Annotated[list[Row], msgspec.Meta(min_length=1, max_length=MAX_ROWS)]


REQUEST_ID = re.compile(rb"[A-Za-z0-9._:\-]{1,128}")

_decode = msgspec.json.Decoder().decode
_decode_rows = msgspec.json.Decoder(Rows).decode
_encode = msgspec.json.Encoder().encode
_PROBE = PROBE_HEADER.lower().encode()
_JSON = (b"content-type", b"application/json")


class Refused(Exception):
    """An answer other than a prediction: its status, its problems, its extra headers."""

    def __init__(
        self, status: int, problem: str, field: str | None = None, headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        super().__init__(problem)
        self.status, self.headers = status, headers
        self.problems = [Problem(None, field, problem)]


class Request(msgspec.Struct, frozen=True, gc=False):
    """The head of one request.

    Attributes
    ----------
    started : reading of `time.perf_counter`.
    served : the version that answers it; ``None`` if it is refused.
    refused : why it is refused, whatever its body is.
    live : whether it is a client's; false for probe rows, which are not recorded.
    """

    name: str
    request_id: str
    started: float
    served: Served | None
    refused: Refused | None
    live: bool


class Answer(msgspec.Struct, frozen=True, gc=False):
    """An answer of HTTP; ``headers`` has all of them except ``date`` and ``connection``."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def authorized(header: bytes | None, token: bytes | None) -> bool:
    """Whether an Authorization header carries the token, compared in constant time; always, if no token is set."""
    if token is None:
        return True
    scheme, _, given = (header or b"").partition(b" ")
    return hmac.compare_digest(given.strip(), token) and scheme.lower() == b"bearer"


class PredictEndpoint:
    """``POST /models/{name}/predict`` as an ASGI endpoint.

    Parameters
    ----------
    watcher : knows the version in service; read once per request.
    spool : receives the predictions; ``None`` until the server has started.
    metrics : the counters.
    token : the required bearer token, or ``None``.
    """

    def __init__(self, watcher: Watcher, metrics: Metrics, token: str | None) -> None:
        self.spool: Spool | None = None
        self.closed = False
        self._watcher, self._metrics = watcher, metrics
        self._token = token.encode() if token else None
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="predict")
        self._large = 0
        self._failure_logged = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send, name: str) -> None:
        """Answer one request for the model ``name``."""
        headers = dict(scope["headers"])
        request = self.request(scope["method"], name, headers)
        if request.refused is not None:
            answer = self._not_predicted(request, request.refused)
        else:
            try:
                body = await _read(receive, headers.get(b"content-length"))
            except Refused as error:
                answer = self._not_predicted(request, error)
            else:
                if body is None:
                    return  # the client has gone
                if len(body) <= LARGE_BODY:
                    answer = self.answer(request, body)
                else:
                    answer = await self._answer_large(request, body)
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": answer.body})

    @property
    def served(self) -> Mapping[str, Served]:
        """The versions in service by model name."""
        return self._watcher.served

    def request(self, method: str, name: str, headers: Mapping[bytes, bytes]) -> Request:
        """What the head of a request asks for; the body is not read for one that is refused. Nothing is counted yet.

        Parameters
        ----------
        name : the model, from the path.
        headers : by name in lower case.
        """
        started = time.perf_counter()
        given = headers.get(b"x-request-id")
        valid = given is not None and REQUEST_ID.fullmatch(given) is not None
        request_id = given.decode() if given is not None and valid else secrets.token_hex(16)
        served: Served | None = None
        refused: Refused | None = None
        try:
            self._check_headers(method, headers)
            if given is not None and not valid:
                raise Refused(422, "must be 1 to 128 of the characters A-Z a-z 0-9 . _ : -", "X-Request-ID")
            served = self._watcher.served.get(name)
            if served is None:
                raise self._unavailable(name)
        except Refused as error:
            refused = error.with_traceback(None)  # its frames would refer to it
        return Request(name, request_id, started, served, refused, _PROBE not in headers)

    def answer(self, request: Request, body: bytes) -> Answer:
        """The answer to an accepted request with a small body, counted and recorded. Never raises."""
        try:
            now = time.time() if request.live else None  # probe rows are as old as their bundle
            return self._predicted(request, *_work(_of(request), body, request.request_id, now))
        except Exception as error:
            return self._not_predicted(request, error)

    async def _answer_large(self, request: Request, body: bytes) -> Answer:
        try:
            now = time.time() if request.live else None
            return self._predicted(request, *await self._in_a_thread(_of(request), body, request.request_id, now))
        except Exception as error:
            return self._not_predicted(request, error)

    def _predicted(self, request: Request, rows: list[Any], scores: Scores, body: bytes) -> Answer:
        served = _of(request)
        if self.spool is not None and request.live:
            entry = Entry(
                request.name, served.version, served.digest, served.key, served.event_time, request.request_id, rows,
                scores, time.time(),
            )  # fmt: skip
            self.spool.offer(entry)
        meters, now = served.meters, time.perf_counter()
        meters.answered.inc()
        meters.rows.inc(len(rows))
        meters.seconds.observe(now - request.started)
        if request.live:
            meters.recent.answered(now, now - request.started)
        return _answer(200, request.request_id, body)

    def _not_predicted(self, request: Request, error: Exception) -> Answer:
        served, request_id = request.served, request.request_id
        if isinstance(error, Refused):
            if served is None:
                known = request.name if request.name in self._watcher.states else ""
                outcome = "unavailable" if error.status in (404, 503) else "refused"
                self._metrics.without_version(known, outcome)
                if known and error.status == 503:
                    self._count_refused(request, self._metrics.recent.of(known), error=True)
            else:
                served.meters.invalid.inc()
                self._count_refused(request, served.meters.recent, error=error.status >= 500)
            return _answer(error.status, request_id, _error(served, request_id, error.problems), error.headers)
        if isinstance(error, InvalidRows):
            meters = _of(request).meters
            meters.invalid.inc()
            self._count_refused(request, meters.recent, error=False)
            return _answer(422, request_id, _error(served, request_id, error.problems))
        if served is not None:
            self._count_refused(request, served.meters.recent, error=True)
        return _answer(500, request_id, self._failed(error, served, request.name, request_id))

    def _count_refused(self, request: Request, recent: Ring, error: bool) -> None:
        if request.live:
            recent.refused(time.perf_counter(), error)

    def close(self) -> None:
        """Release the threads; nothing is answered from now on."""
        self.closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _check_headers(self, method: str, headers: Mapping[bytes, bytes]) -> None:
        if method != "POST":
            raise Refused(405, "send a POST", headers=((b"allow", b"POST"),))
        if self._token is not None and not authorized(headers.get(b"authorization"), self._token):
            raise Refused(
                401, "send the header `Authorization: Bearer <token>` with this server's token",
                headers=((b"www-authenticate", b"Bearer"),),
            )  # fmt: skip
        kind = headers.get(b"content-type", b"application/json")
        if kind != b"application/json" and kind.split(b";")[0].strip().lower() != b"application/json":
            raise Refused(415, "send JSON, with the header `Content-Type: application/json`", "Content-Type")
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise Refused(415, "send the body uncompressed", "Content-Encoding")

    def _unavailable(self, name: str) -> Refused:
        state = self._watcher.states.get(name)
        retry = ((b"retry-after", b"5"),)
        if state is not None:
            return Refused(503, f"model {name!r} is not in service: {state.reason}", headers=retry)
        if not self._watcher.first_look_done.is_set():
            return Refused(503, "the server is starting", headers=((b"retry-after", b"1"),))
        return Refused(404, f"no model {name[:60]!r}{did_you_mean(name[:60], self._watcher.states)}")

    async def _in_a_thread(
        self, served: Served, body: bytes, request_id: str, now: float | None
    ) -> tuple[list[Any], Scores, bytes]:
        if self._large >= MAX_LARGE:
            raise Refused(503, f"{self._large} large requests are under way", headers=((b"retry-after", b"1"),))
        self._large += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, _work, served, body, request_id, now)
        finally:
            self._large -= 1

    def _failed(self, error: Exception, served: Served | None, name: str, request_id: str) -> bytes:
        """A fault of the model or of the server: counted, and logged with its traceback at most once in ten seconds."""
        if served is not None:
            served.meters.failed.inc()
        now = time.monotonic()
        if now - self._failure_logged >= FAILURES_LOGGED_EVERY:
            self._failure_logged = now
            version = f"version {served.version}" if served else "no version"
            logger.error("%s (%s) failed on request %s: %s", name[:60], version, request_id, error, exc_info=error)
        what = (
            f"the model's own code failed on valid input ({error})"
            if isinstance(error, ModelFailure)
            else ("the server failed; its log has the traceback")
        )
        return _error(served, request_id, [Problem(None, None, what)])


def _of(request: Request) -> Served:
    assert request.served is not None, "a refused request has no version"
    return request.served


def _answer(status: int, request_id: str, body: bytes, more: tuple[tuple[bytes, bytes], ...] = ()) -> Answer:
    length = b"%d" % len(body)
    return Answer(status, [_JSON, (b"content-length", length), (b"x-request-id", request_id.encode()), *more], body)


def _work(served: Served, body: bytes, request_id: str, now: float | None) -> tuple[list[Any], Scores, bytes]:
    """Parse, check, score, and encode the answer."""
    rows = _rows(body)
    scores = served.predictor.predict(rows, now)
    answer = Predictions(served.model, served.version, served.digest, request_id, scores.predictions())
    return rows, scores, _encode(answer)


def _rows(body: bytes) -> list[Any]:
    try:
        return _decode_rows(body).rows
    except (ValueError, RecursionError):
        return _explained(body)


def _explained(body: bytes) -> list[Any]:
    """Raise `Refused` with what is wrong with a body that is not `Rows`; if rows are not objects, return all rows.

    The input contract reports each of them.
    """
    try:
        document = _decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Refused(422, f"the body is not JSON: {error}") from None
    if type(document) is not dict or "rows" not in document:
        raise Refused(422, 'the body must be an object {"rows": [{...}, ...]}', "rows")
    if len(document) > 1:
        unknown = next(str(name)[:100] for name in document if name != "rows")
        raise Refused(422, 'unknown field: the body must be an object {"rows": [{...}, ...]}', unknown)
    rows = document["rows"]
    if type(rows) is not list:
        raise Refused(422, "must be an array of objects", "rows")
    if not rows:
        raise Refused(422, "is empty: send at least one row", "rows")
    if len(rows) > MAX_ROWS:
        raise Refused(422, f"has {len(rows)} rows; at most {MAX_ROWS} are accepted in one request", "rows")
    return rows


async def _read(receive: Receive, length: bytes | None) -> bytes | None:
    """The whole body; ``None`` if the client went away; `Refused` as soon as it is known to be too large."""
    if length is not None and length.isdigit() and int(length) > MAX_BODY:
        raise _too_large(close=int(length) > 8 * MAX_BODY)
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body") and message["type"] == "http.request":
        if len(body) > MAX_BODY:
            raise _too_large()
        return body
    parts, size = [body], len(body)
    while message["type"] == "http.request" and message.get("more_body"):
        message = await receive()
        part = message.get("body", b"")
        size += len(part)
        if size > MAX_BODY:
            raise _too_large()
        parts.append(part)
    return b"".join(parts) if message["type"] == "http.request" else None


def _too_large(close: bool = False) -> Refused:
    """413. The rest of the body is read and dropped, so that the client sees the answer, unless it is enormous."""
    problem = f"the body is larger than {MAX_BODY} bytes: send fewer rows in one request"
    return Refused(413, problem, headers=((b"connection", b"close"),) if close else ())


def _error(served: Served | None, request_id: str, problems: list[Problem]) -> bytes:
    of = (served.model, served.version, served.digest) if served is not None else (UNSET, UNSET, UNSET)
    return _encode(Error(problems, request_id, *of))
