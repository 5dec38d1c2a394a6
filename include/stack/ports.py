"""Are the ports free? Asked before anything starts."""

from __future__ import annotations

import socket

import psutil

from include.errors import ConfigurationError
from include.stack.layout import HOST, PORTS, Stack


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
    """Who listens there, as far as this user may see: ``" (held by nginx, pid 12)"`` or an empty string."""
    try:
        for connection in psutil.net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.pid and connection.laddr[1:2] == (port,):
                process = psutil.Process(connection.pid)
                return f" (held by {' '.join(process.cmdline()[:4]) or process.name()}, pid {connection.pid})"
    except (psutil.Error, OSError):
        pass
    return ""


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
