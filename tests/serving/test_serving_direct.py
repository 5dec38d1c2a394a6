"""Answers without ASGI are those of the ASGI application, byte by byte, with the same counts and spool lines."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn
from msgspec import structs
from prometheus_client import generate_latest
from server_kit import PATIENCE, Releases, constant_files, row, wait_for

from include.scoring.record import closed_segments, encode, lines
from include.serving.app import ModelServer
from include.serving.metrics import PREFIX
from include.serving.predict import LARGE_BODY, PredictEndpoint, Receive, Scope, Send
from include.serving.server import configuration
from include.settings import Settings

BODY = json.dumps({"rows": [row()]}).encode()
TOKEN = "s3cret"
AUTHORIZED = b"Authorization: Bearer s3cret\r\n"


def post(
    more: bytes = b"", body: bytes = BODY, path: bytes = b"/models/parcels/predict", first: bytes = b"POST %s HTTP/1.1",
    token: bytes = AUTHORIZED,
) -> bytes:  # fmt: skip
    length = b"Content-Length: %d\r\n" % len(body)
    return first % path + b"\r\nHost: x\r\n" + token + length + more + b"\r\n" + body


WHOLE = post()
HEAD = len(WHOLE) - len(BODY)
CHUNKED = WHOLE.replace(b"Content-Length: %d" % len(BODY), b"Transfer-Encoding: chunked")[: -len(BODY)]
CASES: dict[str, tuple[list[bytes], int]] = {
    # name: the pieces that are sent one after another, and the number of answers
    "one": ([WHOLE], 1),
    "several one after another": ([WHOLE, WHOLE, post(b"X-Request-ID: third\r\n")], 3),
    "pipelined": ([WHOLE * 3], 3),
    "pipelined behind another route": ([b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n" + WHOLE], 2),
    "another route behind it": ([WHOLE + b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"], 2),
    "head and body apart": ([WHOLE[:HEAD], WHOLE[HEAD:]], 1),
    "in small pieces": ([WHOLE[:30], WHOLE[30 : HEAD + 7], WHOLE[HEAD + 7 :]], 1),
    "connection: close": ([post(b"Connection: close\r\n")], 1),
    "behind connection: close": ([post(b"Connection: close\r\n") + WHOLE], 1),
    "nonsense behind connection: close": ([post(b"Connection: close\r\n") + b"nonsense\r\n\r\n"], 1),
    "HTTP/1.0": ([post(first=b"POST %s HTTP/1.0")], 1),
    "HTTP/1.0 keep-alive": ([post(b"Connection: keep-alive\r\n", first=b"POST %s HTTP/1.0")], 1),
    "chunked": ([CHUNKED + b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)], 1),
    "an offer of HTTP/2": ([post(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n")], 1),
    "a query": ([post(path=b"/models/parcels/predict?a=/predict")], 1),
    "a percent-encoded name": ([post(path=b"/models/parce%6cs/predict")], 1),
    "an absolute target": ([post(path=b"http://example.org/models/parcels/predict")], 1),
    "an unknown model": ([post(path=b"/models/parcel/predict")], 1),
    "a slash in the name": ([post(path=b"/models/a/b/predict")], 1),
    "no name": ([post(path=b"/models//predict")], 1),
    "GET": ([post(first=b"GET %s HTTP/1.1")], 1),
    "PUT": ([post(first=b"PUT %s HTTP/1.1")], 1),
    "no token": ([post(token=b"")], 1),
    "a wrong token, no body yet": ([post(token=b"Authorization: Bearer no\r\n")[:-1]], 1),
    "text": ([post(b"Content-Type: text/plain\r\n")], 1),
    "a compressed body": ([post(b"Content-Encoding: gzip\r\n")], 1),
    "a wrong request id": ([post(b"X-Request-ID: a b\r\n")], 1),
    "two request ids": ([post(b"X-Request-ID: a\r\nX-Request-ID: b\r\n")], 1),
    "a probe": ([post(b"X-Perennial-Probe: 1\r\n")], 1),
    "no body": ([post(body=b"")], 1),
    "no length": ([post(body=b"").replace(b"Content-Length: 0\r\n", b"")], 1),
    "not JSON": ([post(body=b"{")], 1),
    "not rows": ([post(body=b"[]")], 1),
    "wrong rows": ([post(body=json.dumps({"rows": [row(distance="far"), row()]}).encode())], 1),
    "a model that fails": ([post(body=json.dumps({"rows": [row(parcel=666)]}).encode())], 1),
    "a small body of many rows": ([post(body=json.dumps({"rows": [row()] * 100}).encode())], 1),
    "the largest small body": ([post(body=BODY + b" " * (LARGE_BODY - len(BODY)))], 1),
    "the smallest large body": ([post(body=BODY + b" " * (LARGE_BODY + 1 - len(BODY)))], 1),
    "a body that is declared too large": ([post()[:HEAD].replace(b"Length: ", b"Length: 99999")], 1),
    "a length with zeros": ([post().replace(b"Length: ", b"Length: 0000")], 1),
    "two lengths": ([post(b"Content-Length: 3\r\n")], 1),
    "a length and chunks": ([post(b"Transfer-Encoding: chunked\r\n")], 1),
}
"""Expect: 100-continue has its own test, because its answer has two parts."""


class Counted(PredictEndpoint):
    """Counts what the ASGI application answers."""

    calls = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send, name: str) -> None:
        self.calls += 1
        await super().__call__(scope, receive, send, name)


@dataclass
class Running:
    """A server in a thread of this process."""

    server: uvicorn.Server
    app: ModelServer
    thread: threading.Thread
    port: int
    home: Path

    @classmethod
    def started(cls, home: Path, bundles: Path, direct: bool) -> Running:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        settings = Settings(home, home / "lake", bundles, home / "spool", serving_token=TOKEN)
        config = configuration(settings, "127.0.0.1", port, direct)
        app = config.app
        assert isinstance(app, ModelServer)
        app.predict.__class__ = Counted
        server = uvicorn.Server(config)
        running = cls(server, app, threading.Thread(target=server.run), port, home)
        running.thread.start()
        wait_for(lambda: server.started and app.predict.served)
        return running

    @property
    def asgi(self) -> int:
        assert isinstance(self.app.predict, Counted)
        return self.app.predict.calls

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(PATIENCE)

    def exchange(self, pieces: list[bytes], answers: int) -> bytes:
        """All that the server sends until it closes: a last request, sent after the answers, asks for that."""
        received = b""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as connection:
            for number, piece in enumerate(pieces):
                connection.sendall(piece)
                expected = answers if number == len(pieces) - 1 else min(answers - 1, number + 1)
                if len(pieces) != answers and number < len(pieces) - 1:
                    expected = 0  # parts of one request
                    threading.Event().wait(0.02)  # so that they are not read together
                while received.count(b"HTTP/1.1 ") < expected or not whole(received):
                    more = connection.recv(65_536)
                    if not more:
                        return received
                    received += more
            try:
                connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: last\r\nConnection: close\r\n\r\n")
                while more := connection.recv(65_536):
                    received += more
            except ConnectionError:
                pass
        return received


def whole(received: bytes) -> bool:
    """Whether the bytes end with the end of an answer."""
    while received:
        head, separator, rest = received.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        if not separator or (length and len(rest) < int(length[1])):
            return False
        received = rest[int(length[1]) if length else 0 :]
    return True


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Running]]:
    """A server that answers directly, and one that does not; both serve the same bundles."""
    bundles = tmp_path_factory.mktemp("bundles")
    releases = Releases(bundles)
    files = constant_files("parcels", 0.25)
    fails = b'    if 666 in columns["parcel"]:\n        raise KeyError("speed")\n    return out\n'
    source = files["source/features.py"].replace(b"    return out\n", fails)
    releases.put("parcels", files | {"source/features.py": source}, 1, 1)
    running = [Running.started(tmp_path_factory.mktemp(n), bundles, n == "direct") for n in ("direct", "asgi")]
    yield running[0], running[1]
    for one in running:
        one.stop()


def normal(answer: bytes) -> bytes:
    """An answer without what differs each time: the date, and request ids that the server made."""
    answer = re.sub(rb"\r\ndate: [A-Z][a-z]{2}, [^\r]+ GMT\r\n", b"\r\ndate: now\r\n", answer)
    return re.sub(rb"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])", b"made", answer)


@pytest.mark.parametrize("name", CASES)
def test_both_ways_answer_the_same(pair: tuple[Running, Running], name: str) -> None:
    pieces, answers = CASES[name]
    direct, asgi = (normal(running.exchange(pieces, answers)) for running in pair)
    assert direct == asgi
    assert direct.startswith(b"HTTP/1.1 ")


def test_nonsense_behind_an_answer_is_refused(pair: tuple[Running, Running]) -> None:
    """As if it had arrived after the answer. The ASGI way closes without a refusal if it arrives before the answer."""
    received = [running.exchange([WHOLE + b"nonsense\r\n\r\n"], 2) for running in pair]
    assert [re.findall(rb"HTTP/1.1 (\d+)", answers) for answers in received] == [[b"200", b"400"], [b"200"]]
    assert all(b"\r\nconnection: close\r\n" in answers for answers in received)


def test_the_continue_of_a_client_that_waits_for_it(pair: tuple[Running, Running]) -> None:
    request = post(b"Expect: 100-continue\r\n")
    head = len(request) - len(BODY)
    found = [normal(running.exchange([request[:head], request[head:]], 2)) for running in pair]
    assert found[0] == found[1]
    assert found[0].startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")


def test_small_predictions_do_not_reach_the_application(pair: tuple[Running, Running]) -> None:
    before = [running.asgi for running in pair]
    for running in pair:
        running.exchange([WHOLE] * 3, 3)
        running.exchange([WHOLE[:HEAD], WHOLE[HEAD:]], 1)
    assert [running.asgi - count for running, count in zip(pair, before, strict=True)] == [0, 4]


def test_pipelined_requests_wait_for_their_turn(pair: tuple[Running, Running]) -> None:
    """So that one connection does not keep the event loop busy with all that it sent at once."""
    numbered = b"".join(post(b"X-Request-ID: n%d\r\n" % n) for n in range(100))
    for running in pair:
        before = running.asgi
        received = running.exchange([numbered], 100)
        assert re.findall(rb"x-request-id: n(\d+)", received) == [b"%d" % n for n in range(100)]
        assert running.asgi - before >= 90  # one a read is answered directly


def test_both_ways_count_and_record_the_same(pair: tuple[Running, Running]) -> None:
    """The last test of this file: it stops the servers."""
    for pieces, answers in CASES.values():
        for running in pair:
            running.exchange(pieces, answers)
    direct, asgi = (counts(running) for running in pair)
    assert direct == asgi
    assert all(direct[name] > 0 for name in direct if name.startswith(f"{PREFIX}_requests_total"))
    for running in pair:
        running.stop()
    recorded = [spooled(running) for running in pair]
    assert recorded[0] == recorded[1]
    assert sum(recorded[0].values()) == direct[f'{PREFIX}_rows_total{{model="parcels",version="1"}}'] - 2, "probes"


def counts(running: Running) -> dict[str, float]:
    """The counters of requests and rows, and the number of timed answers."""
    text = generate_latest(running.app.metrics.registry).decode()
    kinds = rf"{PREFIX}_(?:requests_total|rows_total|request_seconds_count)"
    return {name: float(value) for name, value in re.findall(rf"^({kinds}\S*) (\S+)$", text, re.MULTILINE)}


def spooled(running: Running) -> Counter[bytes]:
    """How often each line was recorded, without its time and without request ids that the server made."""
    found: Counter[bytes] = Counter()
    for segment in closed_segments(running.home / "spool", "parcels"):
        for line in lines(segment):
            found[normal(encode(structs.replace(line, predicted_at="")))] += 1
    return found
