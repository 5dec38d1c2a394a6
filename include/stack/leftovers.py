"""The lock of a home, and processes that an earlier stack of the same home left running."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from include.errors import ConfigurationError
from include.stack.layout import Stack


@contextlib.contextmanager
def locked(stack: Stack) -> Iterator[None]:
    """Hold the home for one running stack.

    Raises
    ------
    ConfigurationError : another stack runs on this home.
    """
    stack.run.mkdir(parents=True, exist_ok=True)
    with (stack.run / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pid = owner(stack)
            raise ConfigurationError(
                f"a stack already runs on {stack.home}{f' (pid {pid})' if pid else ''}: stop it with `make stop`, "
                f"or set PERENNIAL_HOME (and AIRFLOW_PORT, MLFLOW_PORT, SERVING_PORT) for a second one."
            ) from None
        file.seek(0)
        file.truncate()
        file.write(json.dumps({"pid": os.getpid(), "started": psutil.Process().create_time()}))
        file.flush()
        yield


def owner(stack: Stack) -> int | None:
    """The pid of the `run` that holds the home now; ``None`` if there is none."""
    path = stack.run / "lock"
    try:
        with path.open("r+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return int(json.loads(file.read() or "{}").get("pid", 0)) or None
    except (OSError, ValueError):
        return None
    return None


def identity(pid: int) -> dict[str, float]:
    """The identity of a process: its pid and its start time (a pid alone can be reused)."""
    return {"supervisor_pid": pid, "supervisor_started": psutil.Process(pid).create_time()}


def find(stack: Stack) -> list[psutil.Process]:
    """Processes of an earlier stack of this home that still run.

    Found by the session of its recorded supervisord, by the variable ``PERENNIAL_STACK`` that every process of a stack
    has, or as PostgreSQL servers working in this home's data folder. Never by name alone.
    """
    record = stack.recorded()
    session = record.get("supervisor_pid")
    started = record.get("supervisor_started")
    if isinstance(session, int) and psutil.pid_exists(session):
        with contextlib.suppress(psutil.Error):
            if abs(psutil.Process(session).create_time() - float(started or 0)) > 1:  # type: ignore[arg-type]
                session = None  # another process has that pid now
    found = []
    for process in psutil.process_iter():
        if process.pid != os.getpid() and _ours(process, stack, session, float(started or 0)):  # type: ignore[arg-type]
            found.append(process)
    return found


def _ours(process: psutil.Process, stack: Stack, session: object, started: float) -> bool:
    with contextlib.suppress(psutil.Error, OSError):
        if process.status() == psutil.STATUS_ZOMBIE:
            return False  # it is dead, but its parent has not yet reaped it
        if session and os.getsid(process.pid) == session and process.create_time() >= started - 1:
            return True
    with contextlib.suppress(psutil.Error, OSError):
        if process.name() == "postgres" and Path(process.cwd()) == stack.pgdata:
            return True
    with contextlib.suppress(psutil.Error, OSError):
        return process.environ().get("PERENNIAL_STACK") == str(stack.home)
    return False


def clean(stack: Stack, patience: float = 10) -> int:
    """End all of them: a supervisord first, in order and with ``patience``, then the rest. Returns how many there were.

    PostgreSQL is asked for a fast shutdown before it is killed, because only its files matter.
    """
    ended = find(stack)
    leader = next((p for p in ended if p.pid == stack.recorded().get("supervisor_pid")), None)
    if leader is not None:
        _send(leader, "terminate")
        psutil.wait_procs([leader], patience)
    for step, seconds in (("terminate", 3.0), ("kill", 5.0)):
        rest = find(stack)
        for process in rest:
            _send(process, step)
        deadline = time.monotonic() + seconds
        while rest and time.monotonic() < deadline:
            _, rest = psutil.wait_procs(rest, 0.2)
    return len(ended)


def kill(stack: Stack) -> None:
    """SIGKILL to every process of the stack, without waiting."""
    for process in find(stack):
        _send(process, "kill")


def _send(process: psutil.Process, method: str) -> None:
    with contextlib.suppress(psutil.Error):
        getattr(process, method)()
