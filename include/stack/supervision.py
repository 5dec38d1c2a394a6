"""Starts supervisord, queries its processes, and stops it."""

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
from collections.abc import Callable
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
    """One supervised process as supervisord sees it.

    Attributes
    ----------
    pid : 0 while it does not run.
    uptime : seconds since it was started; 0 while it does not run.
    tried : whether it was ever started.
    """

    name: str
    state: str
    pid: int
    uptime: int
    tried: bool

    @property
    def running(self) -> bool:
        return self.state in ("STARTING", "RUNNING")

    @property
    def given_up(self) -> bool:
        """It could not be started several times in a row, so supervisord no longer tries.

        EXITED is another state: every program passes through it between its end and its next start.
        """
        return self.state == "FATAL"

    @property
    def stopped(self) -> bool:
        """It was stopped on request; supervisord does not start it by itself."""
        return self.state == "STOPPED"

    @property
    def described(self) -> str:
        """The state in words: "running, pid 12, 340 s", "not started yet", "down"."""
        if self.pid:
            verb = {"RUNNING": "running", "STARTING": "starting", "STOPPING": "stopping"}.get(self.state, self.state)
            return f"{verb}, pid {self.pid}, {self.uptime} s"
        if not self.tried:
            return "not started yet"
        if self.state in ("EXITED", "BACKOFF"):
            return "has ended and is being restarted"
        return "down; `make run` starts it again from time to time"


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
            State(
                i["name"],
                i["statename"],
                i["pid"],
                max(0, i["now"] - i["start"]) if i["pid"] else 0,
                tried=bool(i["start"]),
            )
            for i in answer
        ]

    def start(self, name: str) -> None:
        """Start one process without waiting for it; a no-op if it runs."""
        try:
            self._call("startProcess", _full(name), False)
        except xmlrpc.client.Fault as fault:
            if "ALREADY_STARTED" not in fault.faultString:
                raise TransientError(f"{name} could not be started: {fault.faultString}") from fault

    def stop_one(self, name: str) -> None:
        """Stop one process without waiting for its end; a no-op if it does not run."""
        try:
            self._call("stopProcess", _full(name), False)
        except xmlrpc.client.Fault as fault:
            if "NOT_RUNNING" not in fault.faultString:
                raise TransientError(f"{name} could not be stopped: {fault.faultString}") from fault

    def reconnect(self) -> None:
        """Drop the connection, because it belongs to a supervisord that has ended."""
        with self._one_at_a_time:
            self._transport.close()

    def _call(self, method: str, *arguments: Any) -> Any:
        with self._one_at_a_time:
            try:
                return getattr(self._proxy, method)(*arguments)
            except (OSError, http.client.HTTPException, xmlrpc.client.ProtocolError) as error:
                self._transport.close()
                raise TransientError(f"supervisord does not answer: {error}") from error
            except xmlrpc.client.Fault as fault:
                if "SHUTDOWN_STATE" in fault.faultString:
                    raise TransientError("supervisord is being stopped") from fault
                raise


def _full(name: str) -> str:
    return name if name == "postgres" else f"{SERVICES}:{name}"


def launch(stack: Stack, configuration: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start supervisord in its own session (Ctrl-C of the terminal does not reach it).

    Everything it starts stays in this session, which is used to find it again. On Linux it ends with us, even if we are
    killed.
    """
    (stack.sockets / "supervisor").unlink(missing_ok=True)
    with (stack.logs / "supervisord.out").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(configuration)],
            cwd=stack.run,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
        )


def wait_until_it_answers(stack: Stack, process: subprocess.Popen[bytes], check: Callable[[], None]) -> None:
    """Wait until a launched supervisord answers, as long as it lives; ``check`` is called meanwhile and can raise.

    Raises
    ------
    TransientError : it has ended. The message has the end of its log.
    """
    while True:
        try:
            Supervisor(stack).states()
            return
        except TransientError:
            if process.poll() is not None:
                raise TransientError(f"supervisord did not start:\n{tail(stack.logs / 'supervisord.out')}") from None
        check()
        time.sleep(0.05)


def stop(process: subprocess.Popen[bytes], seconds: float = 20) -> None:
    """Ask supervisord to stop everything in order, and wait for it."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)


def tail(log: Path, lines: int = 20) -> str:
    """The last lines of a log, or a note that there is no log."""
    try:
        with log.open(errors="replace") as file:
            return "".join(deque(file, lines)).rstrip() or f"({log} is empty)"
    except OSError:
        return f"({log} does not exist)"


def _end_with_parent() -> None:
    """Send us SIGTERM when the process that started us dies; runs between fork and exec."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() == 1:
        os.kill(os.getpid(), signal.SIGTERM)
