"""A small load client with keep-alive connections. It checks every answer and records latencies."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast


@dataclass
class Load:
    """The result of a load run: the seconds of each answer, and the problems."""

    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    wall: float = 0.0

    @property
    def rate(self) -> float:
        return len(self.seconds) / self.wall

    def percentile(self, share: float) -> float:
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class _Connection(asyncio.Protocol):
    """Send one request again and again. Answers have a Content-Length and arrive whole or in parts."""

    def __init__(
        self, request: bytes, until: Callable[[], bool], check: Callable[[int, bytes], str | None], load: Load
    ):
        self.request, self.until, self.check, self.load = request, until, check, load
        self.buffer = b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's transport is not a subclass
        self.send()

    def send(self) -> None:
        self.sent = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self.buffer[:end].lower()
        at = head.index(b"content-length:") + 15
        length = int(head[at:].split(b"\r\n", 1)[0])
        if len(self.buffer) < end + 4 + length:
            return
        self.load.seconds.append(time.perf_counter() - self.sent)
        body, self.buffer = self.buffer[end + 4 : end + 4 + length], b""
        problem = self.check(int(head[9:12]), body)
        if problem:
            self.load.failures.append(problem)
        if self.until():
            self.transport.close()
            self.done.set_result(None)
        else:
            self.send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.load.failures.append(f"connection lost: {error}")
            self.done.set_result(None)


def status_200(status: int, body: bytes) -> str | None:
    return None if status == 200 else f"{status}: {body[:200]!r}"


def request_bytes(path: str, body: bytes | None = None) -> bytes:
    if body is None:
        return b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode()
    head = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % (path.encode(), len(body)) + body


def run(
    port: int,
    request: bytes,
    connections: int,
    seconds: float | None = None,
    until: Callable[[], bool] | None = None,
    check: Callable[[int, bytes], str | None] = status_200,
) -> Load:
    """Send ``request`` over this many connections for this time (or until ``until`` is true)."""
    load = Load()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        end = time.perf_counter() + (seconds or 0)
        stop = until or (lambda: time.perf_counter() >= end)
        made = [
            await loop.create_connection(lambda: _Connection(request, stop, check, load), "127.0.0.1", port)
            for _ in range(connections)
        ]
        await asyncio.wait_for(asyncio.gather(*(protocol.done for _, protocol in made)), (seconds or 60) + 30)

    started = time.perf_counter()
    try:
        import uvloop

        uvloop.run(main())
    except ImportError:
        asyncio.run(main())
    load.wall = time.perf_counter() - started
    return load
