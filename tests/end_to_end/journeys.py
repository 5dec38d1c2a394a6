"""Journeys: long work that runs on the same stack while other tests run, and does not touch what they look at.

A module whose tests wait for journeys has a function ``begin(running, items)``; ``items`` are the selected tests of the
module. The function is called as soon as the stack is ready and returns the `Journey`s by name. A test gets them from
the fixture ``journeys``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import pytest

T = TypeVar("T")
R = TypeVar("R")

LIMIT = 1800.0  # seconds; ends a test that hangs


def params(items: Sequence[pytest.Function]) -> list[dict[str, Any]]:
    """Return the parameters of the selected tests."""
    return [dict(item.callspec.params) for item in items if hasattr(item, "callspec")]


class Journey(Generic[T, R]):
    """Steps that run one after the other in a separate thread; `outcome` waits for a step.

    Parameters
    ----------
    prepare : runs first; its result is passed to each step. If it fails, all steps fail with its error.
    steps : functions by name. `outcome` raises the error of a failed step; the other steps still run.
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
            return RuntimeError("the stack was stopped before this step began")
        try:
            return step(began)
        except BaseException as problem:  # raised for the test that asks
            return problem

    def outcome(self, name: str) -> R:
        """Return the result of this step, or raise its error."""
        deadline = time.monotonic() + LIMIT
        while not self._done[name].wait(1):
            assert self._thread.is_alive(), f"{name} has never begun"
            assert time.monotonic() < deadline, f"{name} has not ended after {LIMIT:.0f} s"
        found = self._outcomes[name]
        if isinstance(found, BaseException):
            raise found
        return found

    @property
    def outcomes(self) -> Mapping[str, R | BaseException]:
        """The results and errors of the steps that have ended so far."""
        return dict(self._outcomes)

    def stop(self) -> None:
        """Do not begin another step."""
        self._stopped.set()

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)
