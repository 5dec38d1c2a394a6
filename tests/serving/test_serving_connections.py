"""Limits for connections: incomplete requests, endless requests, too many connections; and offers of HTTP/2."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from server_kit import ROOT, Releases, Server, constant_files, row, wait_for

READ_SECONDS, CONNECTIONS = 1.0, 12
BODY = json.dumps({"rows": [row()]}).encode()
HEAD = b"POST /models/parcels/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
WHOLE = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("limited")
    Releases(home / "bundles").put("parcels", constant_files("parcels", 0.25), 1, 1)
    limits = {"PERENNIAL_SERVING_READ_SECONDS": READ_SECONDS, "PERENNIAL_SERVING_CONNECTIONS": CONNECTIONS}
    server = Server(home, **{name: str(value) for name, value in limits.items()}).start()
    yield server
    assert server.stop() == 0
    assert "Traceback" not in server.log.read_text()


class Client:
    """A raw connection."""

    def __init__(self, server: Server) -> None:
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=10)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answers(self, count: int) -> list[tuple[int, str]]:
        """Status and body of this many answers, which may have arrived together."""
        found: list[tuple[int, str]] = []
        data = b""
        while len(found) < count:
            head, separator, rest = data.partition(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head)
            if separator and length and len(rest) >= int(length[1]):
                found.append((int(head[9:12]), rest[: int(length[1])].decode()))
                data = rest[int(length[1]) :]
            else:
                more = self.socket.recv(65536)
                assert more, f"closed after {found} and {data!r}"
                data += more
        assert data == b""
        return found

    def is_closed(self) -> bool:
        """Whether the server closes the connection; raises TimeoutError if it does not within ten seconds."""
        try:
            return self.socket.recv(65536) == b""
        except ConnectionError:
            return True


@pytest.fixture
def client(limited: Server) -> Iterator[Client]:
    with Client(limited) as client:
        yield client


@pytest.mark.parametrize("cut", [0, 40, len(BODY)], ids=["body later", "body in parts", "all at once"])
def test_a_body_survives_an_offer_of_http_2(client: Client, cut: int) -> None:
    for _ in range(2):  # the connection stays open
        client.send(HEAD + H2C + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY[:cut])
        if cut < len(BODY):
            time.sleep(0.05)
            client.send(BODY[cut:])
        (answer,) = client.answers(1)
        assert answer[0] == 200, answer
    client.send(HEAD + H2C + b"Transfer-Encoding: chunked\r\n\r\n" + b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY))
    assert client.answers(1)[0][0] == 200
    client.send(b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n" + WHOLE)
    assert [status for status, _ in client.answers(2)] == [200, 200]


HALVES = {
    "one byte": b"P",
    "half a line": b"POST /models/parcels/pre",
    "half a head": HEAD,
    "no body": HEAD + b"Content-Length: 100\r\n\r\n",
    "half a body": WHOLE[:-1],
    "half a chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
    "half after an upgrade": HEAD + H2C + b"Content-Length: 100\r\n\r\n{",
}


def test_an_incomplete_request_ends_with_408(limited: Server) -> None:
    clients = {name: Client(limited) for name in HALVES}
    for name, client in clients.items():
        client.send(HALVES[name])
    for name, client in clients.items():
        with client:
            ((status, body),) = client.answers(1)
            assert status == 408, name
            assert "did not arrive in time" in json.loads(body)["detail"][0]["problem"]
            assert client.is_closed(), name


def test_an_early_answer_does_not_keep_the_rest_waiting(client: Client) -> None:
    client.send(b"POST /models HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    assert client.answers(1)[0][0] == 405
    client.send(b" ")
    assert client.is_closed()


def test_the_server_does_not_wait_for_a_head_that_drips(client: Client) -> None:
    with pytest.raises(OSError):  # the server closes the connection while this client still sends
        for byte in HEAD + b"X-Padding: " + b"x" * 1000:
            client.send(bytes([byte]))
            time.sleep(READ_SECONDS / 20)


def test_a_slow_upload_that_makes_progress_is_answered(client: Client) -> None:
    spaces = b" " * 2000
    client.send(HEAD + b"Content-Length: %d\r\n\r\n" % (len(BODY) + len(spaces)) + spaces)
    # the pace of the client: longer than the server waits for a client that sends nothing
    time.sleep(1.5 * READ_SECONDS)
    client.send(BODY)
    assert client.answers(1)[0][0] == 200


def test_complete_requests_before_an_incomplete_one_are_answered(client: Client) -> None:
    client.send(WHOLE + WHOLE + WHOLE[:-1])
    assert [status for status, _ in client.answers(3)] == [200, 200, 408]
    assert client.is_closed()


def test_an_idle_connection_outlives_the_read_timeout(client: Client) -> None:
    for _ in range(2):
        client.send(WHOLE)
        assert client.answers(1)[0][0] == 200
        time.sleep(1.2 * READ_SECONDS)


def test_the_size_of_a_head_is_limited(client: Client) -> None:
    client.send(b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-Padding: " + b"x" * 65_536)
    assert client.answers(1)[0][0] == 431
    assert client.is_closed()


def test_an_endless_body_is_cut_after_its_refusal(client: Client) -> None:
    client.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    chunk = b"100000\r\n" + b" " * 2**20 + b"\r\n"
    with pytest.raises(OSError):
        for _ in range(200):
            client.send(chunk)


@pytest.mark.parametrize("connection", ["keep-alive", "close"])
def test_a_client_that_does_not_read_is_disconnected(limited: Server, connection: str) -> None:
    asset = b"GET /docs/assets/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n"
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(10)
        client.connect(("127.0.0.1", limited.port))
        client.sendall((asset + b"\r\n") * 3 + asset + b"Connection: %s\r\n\r\n" % connection.encode())
        wait_for(lambda: not limited.is_connected(client.getsockname()[1]), 10)


def test_a_client_that_reads_slowly_gets_its_answer(limited: Server) -> None:
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(10)
        client.connect(("127.0.0.1", limited.port))
        client.sendall(b"GET /docs/assets/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        data, started = b"", time.monotonic()
        while more := client.recv(65_536):
            data += more
            if time.monotonic() - started < 1.5 * READ_SECONDS:
                time.sleep(READ_SECONDS / 30)  # the pace of the client
    head, _, body = data.partition(b"\r\n\r\n")
    assert b"content-length: %d\r\n" % len(body) in head


@pytest.mark.parametrize(
    "request_bytes",
    [b"nonsense\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"CONNECT example.org:443 HTTP/1.1\r\nHost: x\r\n\r\n",
     b"\x16\x03\x01\x02\x00\x01\x00", HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"],
    ids=["nonsense", "HTTP/2", "CONNECT", "TLS", "bad chunk"],
)  # fmt: skip
def test_other_protocols_than_http_1_1_are_answered_with_400(client: Client, request_bytes: bytes) -> None:
    client.send(request_bytes)
    ((status, body),) = client.answers(1)
    assert status == 400 and json.loads(body)["detail"][0]["problem"]
    assert client.is_closed()


def opened(server: Server, number: int) -> list[Client]:
    return [Client(server) for _ in range(number)]


def test_idle_connections_make_room_for_new_ones(limited: Server) -> None:
    """A client that opens connections and sends nothing, or is idle longest, does not lock other clients out."""
    idle = opened(limited, 3 * CONNECTIONS)
    try:
        for _ in range(3):
            with Client(limited) as other:
                other.send(WHOLE)
                assert other.answers(1)[0][0] == 200
        assert idle[0].is_closed(), "the connection that was idle longest"
    finally:
        for client in idle:
            client.socket.close()


def test_a_connection_over_the_limit_is_refused_if_none_is_idle(limited: Server) -> None:
    busy = opened(limited, CONNECTIONS)
    try:
        for client in busy:
            client.send(WHOLE[:-1])
        wait_for(lambda: all(limited.is_connected(client.socket.getsockname()[1]) for client in busy), 10)
        time.sleep(READ_SECONDS / 10)
        with Client(limited) as refused:
            ((status, body),) = refused.answers(1)
            assert status == 503
            assert "connections are open" in json.loads(body)["detail"][0]["problem"]
        for client in busy:
            client.send(WHOLE[-1:])
            assert client.answers(1)[0][0] == 200  # open connections continue to work
    finally:
        for client in busy:
            client.socket.close()
    wait_for(lambda: limited.predict("parcels", row())[0] == 200)


@pytest.mark.parametrize("sent", [b"", b"\r\n"], ids=["nothing", "empty lines"])
def test_a_connection_without_a_request_is_closed_soon(client: Client, sent: bytes) -> None:
    client.socket.settimeout(READ_SECONDS / 20)
    for _ in range(20 * 10):
        try:
            if sent:
                client.send(sent)
            if client.socket.recv(1) == b"":
                return
        except TimeoutError:
            continue
        except ConnectionError:
            return
    pytest.fail("it is still open")


@pytest.mark.parametrize("target", [b"http://", b"http:///x", b"http://a:b/x", b"http://[::1/x"])
def test_an_invalid_url_is_answered_with_400(client: Client, target: bytes) -> None:
    client.send(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % target)
    assert client.answers(1)[0][0] == 400
    assert client.is_closed()


def test_a_bad_request_does_not_get_the_answer_of_the_previous_one(client: Client) -> None:
    rows = json.dumps({"rows": [row()] * 3000}).encode()
    client.send(HEAD + b"Content-Length: %d\r\n\r\n" % len(rows) + rows + b"GET http:// HTTP/1.1\r\nHost: x\r\n\r\n")
    ((status, body),) = client.answers(1)
    assert status == 200 and len(json.loads(body)["predictions"]) == 3000
    assert client.is_closed()


@pytest.mark.parametrize("first", [0, 60_000], ids=["in one piece", "in two pieces"])
def test_a_head_that_is_too_large_is_refused_however_it_arrives(client: Client, first: int) -> None:
    head = b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-Padding: " + b"x" * 70_000 + b"\r\n\r\n"
    if first:
        client.send(head[:first])
        time.sleep(READ_SECONDS / 10)
    client.send(head[first:])
    assert client.answers(1)[0][0] == 431
    assert client.is_closed()


def test_a_large_body_in_one_piece_does_not_count_as_a_large_head(client: Client) -> None:
    spaces = b" " * 200_000
    client.send(HEAD + b"Content-Length: %d\r\n\r\n" % (len(BODY) + len(spaces)) + spaces + BODY)
    assert client.answers(1)[0][0] == 200


@pytest.mark.parametrize("path", ["/models/", "/docs/", "/health/live/"])
def test_no_answer_redirects_to_the_host_that_a_client_names(client: Client, path: str) -> None:
    client.send(b"GET %s HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n" % path.encode())
    answer = b""
    while more := client.socket.recv(65_536):
        answer += more
    assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 401")) and b"evil.example" not in answer


@pytest.mark.parametrize("value", ["0", "soon", "nan", "-1", "inf"])
def test_a_wrong_limit_is_named(value: str) -> None:
    environment = {"PERENNIAL_SERVING_READ_SECONDS": value, "PATH": "/bin"}
    code = "from include.settings import Settings; Settings.from_environment()"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert f"PERENNIAL_SERVING_READ_SECONDS is '{value}'" in done.stderr
