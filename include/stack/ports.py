"""Checks the ports: whether they are free before anything starts, and whether a component listens on its own."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from typing import Any

import psutil

from include.errors import ConfigurationError
from include.stack.layout import HOST, PORTS, Stack

# the component behind each port
COMPONENTS = {"airflow": "airflow-api-server", "mlflow": "mlflow", "serving": "serving"}


def of_component(stack: Stack, name: str) -> int | None:
    """The port on which this component answers; None if it has none."""
    return next((port for service, port in stack.ports.items() if COMPONENTS[service] == name), None)


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of the loopback address now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def holder(port: int) -> str:
    """Who listens there, as far as this user can see: ``" (held by nginx, pid 12)"`` or an empty string."""
    return next((described for _, described in _listeners(port) if described), "")


def taken(stack: Stack, component: str) -> str:
    """A note if a program outside of the stack holds the port of a component: ``"; its port 5000 is taken (...)"``.

    It is empty if no such program is visible to this user; then the component itself answers there.
    """
    port, session = of_component(stack, component), stack.recorded().get("supervisor_pid")
    if port is None:
        return ""
    for pid, described in _listeners(port):
        with contextlib.suppress(OSError):
            if not pid or os.getsid(pid) != session:  # all components are in the session of supervisord
                return f"; its port {port} is taken{described or ' (by a program of another user)'}"
    return ""


def listens(pid: int, port: int) -> bool:
    """Whether this process, or a child of it, listens on the port, rather than another program."""
    with contextlib.suppress(psutil.Error, OSError):
        process = psutil.Process(pid)
        for member in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.Error, OSError):
                if any(_is_listener(connection, port) for connection in member.net_connections(kind="tcp")):
                    return True
    return False


def _listeners(port: int) -> Iterator[tuple[int | None, str]]:
    """The pids of the processes that listen on the port (None if not visible to us), each with its description."""
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections(kind="tcp"):
            if not _is_listener(connection, port):
                continue
            if not connection.pid:
                yield None, ""
                continue
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(connection.pid)
                command = " ".join(process.cmdline()[:4]) or process.name()
                yield process.pid, f" (held by {command}, pid {process.pid})"


def _is_listener(connection: Any, port: int) -> bool:
    return connection.status == psutil.CONN_LISTEN and connection.laddr[1:2] == (port,)


def require_free(stack: Stack) -> None:
    """Raise unless every port of the stack is free.

    Raises
    ------
    ConfigurationError : names each taken port, who holds it, and the variable to set.
    """
    taken = [
        f"port {port} is taken{holder(port)}: stop that program, or set {PORTS[service][0]} to a free port, "
        f"e.g. {PORTS[service][0]}={port + 10000 if port < 50000 else port - 10000} make run"
        for service, port in stack.ports.items()
        if not is_free(port)
    ]
    if taken:
        raise ConfigurationError("\n".join(taken))
