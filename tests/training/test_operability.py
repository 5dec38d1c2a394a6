"""A release model that is too large or too slow is refused, with what would do."""

from __future__ import annotations

import itertools
import time
from typing import Any

import pandas as pd
import psutil
import pytest

from include.errors import ReleaseError
from include.scoring import processor_time
from include.spec import Model
from include.training import candidates, dataset, evaluation, export, operability


def with_release(model: Model, **changes: Any) -> Model:
    return model.model_copy(update={"release": model.release.model_copy(update=changes)})


def test_a_file_that_is_too_large_is_refused(toy: Model) -> None:
    assert "2.00 MB" in operability.guard_size(with_release(toy, max_megabytes=2), bytes(2_000_000))
    with pytest.raises(ReleaseError, match=r"has 2\.0 MB, and release\.max_megabytes is 1"):
        operability.guard_size(with_release(toy, max_megabytes=1), bytes(2_000_001))


def with_scorer(monkeypatch: pytest.MonkeyPatch, wait: Any) -> dict[str, Any]:
    """Replace `export.OnnxScorer` by one that takes as long as ``wait(number of the call)``; a row of the toy model."""
    calls = itertools.count()

    class Scorer:
        def __init__(self, onnx: bytes, columns: Any) -> None:
            pass

        def score(self, frame: Any) -> None:
            assert len(frame) == 1
            wait(next(calls))

    monkeypatch.setattr(operability.export, "OnnxScorer", Scorer)
    return {"id": "a", "at": "2026-05-03T10:00:00Z", "shop": "north", "x": 1.0, "items": 2, "express": True}


def work(milliseconds: float) -> None:
    until = time.thread_time() + milliseconds / 1000
    while time.thread_time() < until:
        pass


def test_a_row_that_takes_too_long_is_refused(toy: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    row = with_scorer(monkeypatch, lambda call: work(3))
    assert operability.guard_latency(with_release(toy, max_row_milliseconds=1000), b"", [0], [row]) >= 3
    with pytest.raises(ReleaseError, match=r"one row takes .* processor time .* release\.max_row_milliseconds is 2"):
        operability.guard_latency(with_release(toy, max_row_milliseconds=2), b"", [0], [row])


def test_a_busy_machine_makes_no_row_slow(toy: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other processes take the processor: the clock runs on, and the row does not work meanwhile."""
    row = with_scorer(monkeypatch, lambda call: time.sleep(0.006))
    operability.guard_latency(with_release(toy, max_row_milliseconds=5), b"", [0], [row])


def test_the_fastest_batch_counts(toy: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """A neighbour that shares caches makes work slower, not only later: one quiet batch is enough."""
    first_four = processor_time.WARM_UP + 4 * processor_time.CALLS
    row = with_scorer(monkeypatch, lambda call: work(6 if call < first_four else 0))
    operability.guard_latency(with_release(toy, max_row_milliseconds=5), b"", [0], [row])


def test_onnxruntime_scores_in_the_thread_that_is_measured(toy: Model, rows: pd.DataFrame) -> None:
    """The time of the calling thread is all of it only while onnxruntime has no threads of its own."""
    fitted = candidates.fit(toy, candidates.load(toy)["logistic"], dataset.labelled(toy, rows), 0, None)
    onnx, columns = export.to_onnx(fitted, toy), evaluation.output_columns(toy, fitted.pipeline)
    features = dataset.features_frame(toy, rows)
    before = psutil.Process().num_threads()
    scorer = export.OnnxScorer(onnx, columns)
    scorer.score(features)
    assert psutil.Process().num_threads() == before
