"""The checks that a release model must pass, measured on the predictor that serves."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pandas as pd
import psutil
import pytest

from include.errors import ReleaseError
from include.scoring import processor_time
from include.scoring.contract import InputContract
from include.scoring.documents import InputSchema, Probe
from include.spec import Model
from include.training import candidates, dataset, export, parity, proving


def with_release(model: Model, **changes: Any) -> Model:
    return model.model_copy(update={"release": model.release.model_copy(update=changes)})


@pytest.fixture(scope="module")
def fitted(toy: Model, rows: pd.DataFrame) -> candidates.Fitted:
    return candidates.fit(toy, candidates.load(toy)["logistic"], dataset.labelled(toy, rows), 0, None)


def test_a_file_that_is_too_large_is_refused(toy: Model) -> None:
    assert "2.00 MB" in proving.guard_size(with_release(toy, max_megabytes=2), bytes(2_000_000))
    with pytest.raises(ReleaseError, match=r"has 2\.0 MB, and release\.max_megabytes is 1"):
        proving.guard_size(with_release(toy, max_megabytes=1), bytes(2_000_001))


def test_the_limit_of_a_row_includes_features_and_checks(
    toy: Model, rows: pd.DataFrame, fitted: candidates.Fitted, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[str] = []
    columns, build = InputContract.columns, dataset.builder(toy)

    def noted(what: str, function: Any) -> Any:
        def called(*given: Any) -> Any:
            found.append(what)
            return function(*given)

        return called

    monkeypatch.setattr(InputContract, "columns", noted("checks", columns))
    monkeypatch.setattr(dataset, "builder", lambda model: noted("features", build))

    def measured(call: Any) -> float:
        found.clear()
        call(0)
        assert found == ["checks", "features"]
        return 21.0

    monkeypatch.setattr(processor_time, "milliseconds", measured)
    with pytest.raises(
        ReleaseError, match=r"one row takes 21\.0 ms .* of toy, and release\.max_row_milliseconds is 20"
    ):
        proving.prove(toy, "logistic", fitted, rows, rows)
    assert proving.prove(with_release(toy, max_row_milliseconds=21), "logistic", fitted, rows, rows).size


def test_the_documents_are_read_as_they_are_written(toy: Model, rows: pd.DataFrame, fitted: candidates.Fitted) -> None:
    proven = proving.prove(toy, "logistic", fitted, rows, rows)
    for document, kind in ((proven.schema, InputSchema), (proven.probe, Probe)):
        assert msgspec.json.decode(json.dumps(document.as_dict()), type=kind) == document
    assert list(proven.schema.as_dict()) == [
        "model", "task", "positive", "classes", "positive_index", "columns", "key", "event_time", "event_times",
        "timezone", "features", "tensors", "output", "output_kind",
    ]  # fmt: skip
    assert list(proven.probe.as_dict()) == ["rows", "scores", "scale"]


def test_onnxruntime_scores_in_the_thread_that_is_measured(
    toy: Model, rows: pd.DataFrame, fitted: candidates.Fitted
) -> None:
    """The time of the calling thread is the whole time only if onnxruntime has no threads of its own."""
    onnx, features = export.to_onnx(fitted, toy), dataset.features_frame(toy, rows)
    before = psutil.Process().num_threads()
    parity.scores(export.predictor(toy, fitted, onnx), features)
    assert psutil.Process().num_threads() == before
