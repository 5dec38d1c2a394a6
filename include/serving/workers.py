"""Several processes of the model server on one port: a parent that answers nothing, and ``SERVING_WORKERS`` workers.

The parent binds the port, starts the workers, and starts one that ends again. Each worker is a whole model server, with
its own spool folder and its own look at the release records. `include.serving.siblings` lets any of them answer for
all.

All workers accept from one socket, which the parent bound. With a socket for each of them (``SO_REUSEPORT``), the
kernel would assign connections by a hash: those that it assigned to a worker that is busy, or is just ending, would
wait or be lost while another one is idle. From one socket, the worker that is idle accepts first.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from include.serving.place import Place

logger = logging.getLogger(__name__)

STOP_SECONDS = 5.0  # the supervisor kills the whole group after 6
LONGEST_PATH = 100  # of a Unix socket: the limit is 107 bytes
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
STABLE_SECONDS = 30.0
"""After this time, the next end of a worker counts as its first."""
SIGNALS = (signal.SIGTERM, signal.SIGINT)


def listener(host: str, port: int) -> socket.socket:
    """The bound socket; it does not listen yet, so that connections are refused until a worker has started.

    Raises
    ------
    OSError : the address cannot be bound; the message names it as asyncio's does.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    bound = socket.socket(family, kind, protocol)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(address)
    except OSError as error:
        bound.close()
        reason = (error.strerror or "").lower()
        raise OSError(error.errno, f"error while attempting to bind on address {address!r}: {reason}") from None
    return bound


@dataclass
class _Worker:
    """One worker, or the place of one that will be started again at ``start_at``."""

    number: int
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    start_at: float = 0.0
    ends: int = 0


class Workers:
    """The parent's view of its workers.

    Parameters
    ----------
    command : starts a worker, without its place.
    count : how many; at least 2.
    home : the folder of local state; the workers' sockets are in ``<home>/run``, if its path is short enough.
    """

    def __init__(self, command: Sequence[str], count: int, home: Path) -> None:
        self._command, self._home = list(command), home
        self._workers = [_Worker(number) for number in range(count)]
        self._signalled = False

    def run(self, host: str, port: int) -> int:
        """Serve until SIGTERM or SIGINT; the exit status: 0, or 1 if no worker can start or one had to be killed."""
        try:
            bound = listener(host, port)
        except OSError as error:
            logger.error(error)
            return 1
        woken, wake = socket.socketpair()
        for end in (woken, wake):
            end.setblocking(False)
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        for number in SIGNALS:
            signal.signal(number, self._stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        parent, kept = os.pipe()  # nothing is ever written; `kept` is closed by the end of this process
        folder = self._folder()
        try:
            while not self._signalled:
                if not self._look(bound, parent, folder):
                    self._end()
                    return 1
                pauses = [w.start_at - time.monotonic() for w in self._workers if w.process is None]
                select.select([woken], [], [], max(0.0, min(pauses)) if pauses else None)
                with contextlib.suppress(BlockingIOError):
                    woken.recv(4096)
            return 0 if self._end() else 1
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(kept)

    def _stop(self, *_: object) -> None:
        self._signalled = True

    def _folder(self) -> Path:
        """A folder for the sockets, which only this user can enter."""
        run = self._home / "run"
        if len(os.fsencode(run)) + len("/workers-12345678/99") > LONGEST_PATH:
            return Path(tempfile.mkdtemp(prefix="workers-"))
        run.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix="workers-", dir=run))

    def _look(self, bound: socket.socket, parent: int, folder: Path) -> bool:
        """Start what is to be started; false if a worker ended before any has ever started."""
        for worker in self._workers:
            place = Place(worker.number, len(self._workers), bound.fileno(), parent, str(folder))
            if worker.process is not None and (status := worker.process.poll()) is not None:
                if not place.started.exists():
                    logger.error(
                        "Worker %d could not start (%s): the model server ends.", worker.number, _ended(status)
                    )
                    return False
                self._note_the_end(worker, status)
                place.socket(worker.number).unlink(missing_ok=True)
            if worker.process is None and time.monotonic() >= worker.start_at:
                worker.process = subprocess.Popen(
                    [*self._command, "--worker", place.as_argument()], pass_fds=(bound.fileno(), parent)
                )
                worker.started = time.monotonic()
        return True

    def _note_the_end(self, worker: _Worker, status: int) -> None:
        now = time.monotonic()
        worker.ends = 1 if now - worker.started >= STABLE_SECONDS else worker.ends + 1
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (worker.ends - 1))
        worker.process, worker.start_at = None, now + pause
        logger.error(
            "Worker %d of the model server ended (%s); it is started again in %.1f s.",
            worker.number,
            _ended(status),
            pause,
        )

    def _end(self) -> bool:
        """Stop all workers; whether each of them stopped by itself."""
        running = [(w.number, w.process) for w in self._workers if w.process is not None]
        for _, process in running:
            process.terminate()
        clean, until = True, time.monotonic() + STOP_SECONDS
        for number, process in running:
            try:
                process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                logger.error("Worker %d did not stop in %.0f s and was killed.", number, STOP_SECONDS)
                process.kill()
                process.wait()
            clean = clean and process.returncode in (0, -signal.SIGTERM)  # the signal can arrive before it has started
        return clean


def _ended(status: int) -> str:
    return f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
