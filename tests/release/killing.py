"""Kill a process before or after a chosen call: a forked child patches itself, runs and ends by SIGKILL."""

from __future__ import annotations

import importlib
import os
import signal
from collections.abc import Callable
from typing import Any


def killed_at(point: str, when: str, work: Callable[[], Any]) -> bool:
    """Run ``work`` in a child that is killed just before or after its first call of ``point``; return whether it was.

    Parameters
    ----------
    point : ``module:attribute`` or ``module:Class.attribute``.
    when : ``"before"`` or ``"after"``.
    """
    child = os.fork()
    if child == 0:
        try:
            _arm(point, when)
            work()
        finally:
            os._exit(7)  # the point was never reached
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def outcome(work: Callable[[], Any]) -> int:
    """Fork a child that runs ``work``; return its process id. Exit codes: 0 success, 1 ConflictError, else another."""
    child = os.fork()
    if child == 0:
        code = 9
        try:
            work()
            code = 0
        except Exception as error:
            code = 1 if type(error).__name__ == "ConflictError" else 2
        finally:
            os._exit(code)
    return child


def _arm(point: str, when: str) -> None:
    module, _, path = point.partition(":")
    owner: Any = importlib.import_module(module)
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    original = getattr(owner, name)

    def deadly(*args: Any, **kwargs: Any) -> Any:
        if when == "after":
            original(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, deadly)
