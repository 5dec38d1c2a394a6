"""A release model that is too slow per row is refused, on a busy machine as well as on an idle one."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import cast

import pytest

from include.errors import ReleaseError
from include.scoring import latency, processor_time
from include.scoring.messages import Row
from include.scoring.predictor import Predictor, Scores

ROWS: list[Row] = [{"distance": 1.0}, {"distance": 2.0}]


def predictor(wait: Callable[[int], object]) -> Predictor:
    """A predictor that takes as long as ``wait(number of the call)``."""
    calls = itertools.count()

    class Slow:
        def predict(self, rows: list[Row]) -> Scores:
            assert len(rows) == 1 and rows[0] in ROWS
            wait(next(calls))
            return Scores([0.5])

    return cast(Predictor, Slow())


def work(milliseconds: float) -> None:
    until = time.thread_time() + milliseconds / 1000
    while time.thread_time() < until:
        pass


def test_a_row_that_takes_too_long_is_refused() -> None:
    assert latency.guard(predictor(lambda call: work(3)), ROWS, 1000, "toy") >= 3
    with pytest.raises(ReleaseError, match=r"one row takes .* of toy, and release\.max_row_milliseconds is 2"):
        latency.guard(predictor(lambda call: work(3)), ROWS, 2, "toy")


def test_a_busy_machine_does_not_make_a_row_slow() -> None:
    """While other processes use the processor, the clock goes on, but the row uses no processor time."""
    latency.guard(predictor(lambda call: time.sleep(0.006)), ROWS, 5, "toy")


def test_the_fastest_batch_counts() -> None:
    """Another process that shares the caches also makes the work itself slower. One undisturbed batch is enough."""
    first_four = processor_time.WARM_UP + 4 * processor_time.CALLS
    latency.guard(predictor(lambda call: work(6 if call < first_four else 0)), ROWS, 5, "toy")
