"""Talks to supervisord: starts it, asks it for its processes, stops it."""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import os
import signal
import subprocess
import sys
import threading
import time
import xmlrpc.client
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import SupervisorTransport

from include.errors import TransientError
from include.stack.components import SERVICES
from include.stack.layout import Stack

PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class State:
    """One supervised process as supervisord sees it."""

    name: str
    state: str
    pid: int
    uptime: int
    exit_status: int

    @property
    def running(self) -> bool:
        return self.state in ("STARTING", "RUNNING")

    @property
    def given_up(self) -> bool:
        """It ended again and again; supervisord does not try any more."""
        return self.state in ("FATAL", "EXITED")


class Supervisor:
    """A running supervisord."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self._transport: Any = SupervisorTransport(None, None, f"unix://{stack.sockets / 'supervisor'}")
        self._proxy: Any = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=self._transport).supervisor
        self._one_at_a_time = threading.Lock()  # the connection is kept, and threads share us

    def states(self) -> list[State]:
        """All processes.

        Raises
        ------
        TransientError : supervisord does not answer.
        """
        answer = self._call("getAllProcessInfo")
        return [
            State(i["name"], i["statename"], i["pid"], max(0, i["now"] - i["start"]), i["exitstatus"]) for i in answer
        ]

    def start(self, name: str) -> None:
        """Start one process without waiting for it; nothing happens when it runs."""
        full = name if name == "postgres" else f"{SERVICES}:{name}"
        try:
            self._call("startProcess", full, False)
        except xmlrpc.client.Fault as fault:
            if "ALREADY_STARTED" not in fault.faultString:
                raise TransientError(f"{name} could not be started: {fault.faultString}") from fault

    def _call(self, method: str, *arguments: Any) -> Any:
        with self._one_at_a_time:
            try:
                return getattr(self._proxy, method)(*arguments)
            except (OSError, http.client.HTTPException, xmlrpc.client.ProtocolError) as error:
                self._transport.close()
                raise TransientError(f"supervisord does not answer: {error}") from error


def launch(stack: Stack, configuration: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start supervisord in a session of its own (Ctrl-C of the terminal does not reach it) and wait until it answers.

    Everything it starts stays in that session, by which it is found again. On Linux it ends with us, even when we are
    killed.

    Raises
    ------
    TransientError : it ended at once; with the end of its log.
    """
    (stack.sockets / "supervisor").unlink(missing_ok=True)
    output = stack.logs / "supervisord.out"
    with output.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(configuration)],
            cwd=stack.run,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
        )
    deadline = time.monotonic() + 20
    while True:
        try:
            Supervisor(stack).states()
            return process
        except TransientError:
            if process.poll() is not None or time.monotonic() > deadline:
                stop(process)
                raise TransientError(f"supervisord did not start:\n{tail(output)}") from None
        time.sleep(0.05)


def stop(process: subprocess.Popen[bytes], seconds: float = 20) -> None:
    """Ask supervisord to stop everything in order, and wait for it."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)


def tail(log: Path, lines: int = 20) -> str:
    """The last lines of a log, or a note that there is none."""
    try:
        with log.open(errors="replace") as file:
            return "".join(deque(file, lines)).rstrip() or f"({log} is empty)"
    except OSError:
        return f"({log} does not exist)"


def _end_with_parent() -> None:
    """SIGTERM for us when the process that started us dies; runs between fork and exec."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() == 1:
        os.kill(os.getpid(), signal.SIGTERM)
