"""What takes long and touches nothing of what the other tests look at is under way while they run, on the same stack.

A module whose tests wait for such a thing has a function ``begin(running, items)``, with ``items`` the tests of it that
were asked for: it is called as soon as the stack is ready, and gives the `Journey`s by name. A test gets them from the
fixture ``journeys``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import pytest

T = TypeVar("T")
R = TypeVar("R")

LIMIT = 1800.0  # seconds; only ends a test that would hang


def params(items: Sequence[pytest.Function]) -> list[dict[str, Any]]:
    """With which parameters tests were asked for."""
    return [dict(item.callspec.params) for item in items if hasattr(item, "callspec")]


class Journey(Generic[T, R]):
    """Steps that are done one after the other in a thread of their own; who asks for one waits for its end.

    Parameters
    ----------
    prepare : what is done first; its result is handed to each step, and its failure is that of all of them.
    steps : by name. The failure of one is told to whoever asks for it; the others go on.
    """

    def __init__(self, prepare: Callable[[], T], steps: Mapping[str, Callable[[T], R]]) -> None:
        self._prepare = prepare
        self._steps = steps
        self._done: dict[str, threading.Event] = {name: threading.Event() for name in steps}
        self._outcomes: dict[str, R | BaseException] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self) -> Journey[T, R]:
        self._thread.start()
        return self

    def _work(self) -> None:
        began: T | BaseException
        try:
            began = self._prepare()
        except BaseException as problem:
            began = problem
        for name, step in self._steps.items():
            self._outcomes[name] = began if isinstance(began, BaseException) else self._outcome(step, began)
            self._done[name].set()

    def _outcome(self, step: Callable[[T], R], began: T) -> R | BaseException:
        if self._stopped.is_set():
            return RuntimeError("the stack was stopped before it was its turn")
        try:
            return step(began)
        except BaseException as problem:  # raised for the test that asks
            return problem

    def outcome(self, name: str) -> R:
        """What this step gave; raises what it raised."""
        deadline = time.monotonic() + LIMIT
        while not self._done[name].wait(1):
            assert self._thread.is_alive(), f"{name} was never begun"
            assert time.monotonic() < deadline, f"{name} has not ended after {LIMIT:.0f} s"
        found = self._outcomes[name]
        if isinstance(found, BaseException):
            raise found
        return found

    @property
    def outcomes(self) -> Mapping[str, R | BaseException]:
        """What has ended so far."""
        return dict(self._outcomes)

    def stop(self) -> None:
        """Begin no other step."""
        self._stopped.set()

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)
