"""Turns Ctrl-C, SIGTERM, SIGHUP and the end of our parent into one exception in the main thread."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import psutil

SAME_SIGNAL_SECONDS = 1.0


class Stopped(BaseException):
    """A request to stop. It is a BaseException, so that error handlers do not catch it."""


class StopSignals:
    """The signal handlers, installed once, in the main thread.

    The first signal raises `Stopped`; while `stopping`, a further one calls ``kill`` instead.
    """

    def __init__(self) -> None:
        self._held = 0
        self._pending = False
        self._raised = False
        self._first = 0.0
        self._kill: Callable[[], None] | None = None
        self._parent = os.getppid()
        self._make_listens = _catches_interrupts(self._parent)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._handle)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Delay the exception to the end of this block, for steps that must not be interrupted."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
        if self._pending and not self._held and not self._raised:
            self._raised = True
            raise Stopped

    def stopping(self, kill: Callable[[], None]) -> None:
        """After this call, a signal ends all waiting."""
        self._kill = kill

    def check_parent(self) -> None:
        """Raise `Stopped` when the shell or `make` that started us has ended or was interrupted.

        `make` does not pass on a SIGINT that is sent only to it; it waits for us.
        """
        if os.getppid() != self._parent or (self._make_listens and not _catches_interrupts(self._parent)):
            raise Stopped

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._kill is not None:
            # a signal to a whole process group comes twice: from the kernel, and once more from `make`
            if time.monotonic() - self._first > SAME_SIGNAL_SECONDS:
                self._kill()
            return
        self._first = time.monotonic()
        if self._held:
            self._pending = True
        elif not self._raised:
            self._raised = True
            raise Stopped


def _catches_interrupts(pid: int) -> bool:
    """Whether this is a `make` with a handler for SIGINT (an interrupted `make` removes it); Linux only."""
    if sys.platform != "linux":
        return False
    try:
        if psutil.Process(pid).name() not in ("make", "gmake"):
            return False
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (signal.SIGINT - 1) & 1)
    except (psutil.Error, OSError):
        pass
    return False
