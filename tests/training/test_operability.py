"""A release model that is too large or too slow is refused, with what would do."""

from __future__ import annotations

import time
from typing import Any

import pytest

from include.errors import ReleaseError
from include.spec import Model
from include.training import operability


def with_release(model: Model, **changes: Any) -> Model:
    return model.model_copy(update={"release": model.release.model_copy(update=changes)})


def test_a_file_that_is_too_large_is_refused(toy: Model) -> None:
    assert "2.00 MB" in operability.guard_size(with_release(toy, max_megabytes=2), bytes(2_000_000))
    with pytest.raises(ReleaseError, match=r"has 2\.0 MB, and release\.max_megabytes is 1"):
        operability.guard_size(with_release(toy, max_megabytes=1), bytes(2_000_001))


def test_a_row_that_takes_too_long_is_refused(toy: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    class Scorer:
        """As `export.OnnxScorer`; takes as long as the first byte says, in milliseconds."""

        def __init__(self, onnx: bytes, columns: Any) -> None:
            self.seconds = onnx[0] / 1000

        def score(self, frame: Any) -> None:
            assert len(frame) == 1
            time.sleep(self.seconds)

    monkeypatch.setattr(operability.export, "OnnxScorer", Scorer)
    row: dict[str, Any] = {c.name: None for c in toy.data.inputs}
    row |= {"id": "a", "at": "2026-05-03T10:00:00Z", "shop": "north", "x": 1.0, "items": 2, "express": True}
    found = operability.guard_latency(with_release(toy, max_row_milliseconds=1000), bytes([30]), [0], [row])
    assert 30 <= found < 1000
    with pytest.raises(ReleaseError, match=r"one row takes .* release\.max_row_milliseconds is 5"):
        operability.guard_latency(with_release(toy, max_row_milliseconds=5), bytes([30]), [0], [row])
