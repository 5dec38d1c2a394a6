"""A real mail server and a real webhook for tests, each in a thread, on a free port of the loopback interface."""

from __future__ import annotations

import contextlib
import email
import email.policy
import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Webhook:
    """What a webhook received. ``status`` is its answer; ``before`` is called before it answers."""

    url: str = ""
    status: int = 200
    received: list[dict[str, Any]] = field(default_factory=list)
    before: Callable[[], None] = lambda: None

    def accepted(self) -> list[str]:
        """The titles of all messages, in order."""
        return [str(one["title"]) for one in self.received]


@contextlib.contextmanager
def webhook() -> Iterator[Webhook]:
    """Apprise's ``json://`` posts title, message and type."""
    kept = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if kept.status == 200:
                kept.received.append(document)
            kept.before()
            with contextlib.suppress(OSError):  # the sender may be gone
                self.send_response(kept.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept.url = f"json://127.0.0.1:{server.server_address[1]}/hooks/{TOKEN}"
    with _served(server):
        yield kept


TOKEN = "t0k3n-of-the-webhook"
PASSWORD = "pa55word-of-the-mail"


@dataclass
class Mailbox:
    """What a mail server received."""

    url: str = ""
    received: list[EmailMessage] = field(default_factory=list)
    greetings: list[str] = field(default_factory=list)

    def text(self, number: int) -> str:
        body = self.received[number].get_body(("plain",))
        assert body is not None
        return str(body.get_content())


@contextlib.contextmanager
def mail_server() -> Iterator[Mailbox]:
    """As much of RFC 5321 as a client needs to deliver a message."""
    kept = Mailbox()

    class Handler(socketserver.StreamRequestHandler):
        def say(self, line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

        def handle(self) -> None:
            self.say("220 mail server of tests")
            while line := self.rfile.readline():
                word, _, rest = line.decode().strip().partition(" ")
                if word.upper() in ("EHLO", "HELO"):
                    kept.greetings.append(rest)
                    self.say("250 at your service")
                elif word.upper() == "DATA":
                    self.say("354 go on")
                    lines = iter(self.rfile.readline, b".\r\n")
                    message = b"".join(one[1:] if one.startswith(b"..") else one for one in lines)
                    kept.received.append(email.message_from_bytes(message, policy=email.policy.default))
                    self.say("250 accepted")
                elif word.upper() == "QUIT":
                    self.say("221 bye")
                    return
                else:
                    self.say("250 fine")

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Handler)
    port = server.server_address[1]
    kept.url = f"mailto://127.0.0.1:{port}/?from=perennial@example.org&to=team@example.org&mode=insecure"
    with _served(server):
        yield kept


@contextlib.contextmanager
def silent_server() -> Iterator[str]:
    """A webhook that accepts connections and never answers."""
    over = threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            over.wait(60)

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    with _served(server):
        try:
            yield f"json://127.0.0.1:{server.server_address[1]}/"
        finally:
            over.set()


@contextlib.contextmanager
def _served(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
