"""A nightly run on two and a half months of real days: every candidate fits, converts and beats the baseline."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from include.models.bike_demand import source
from include.models.bike_demand.model import MODEL
from include.partitions import keys_between, partition
from include.training import candidates, dataset, export, measures, parity


def days(first: str, last: str) -> pd.DataFrame:
    frames = [
        source.fetch(partition(key, MODEL.timezone), {}).assign(partition=key) for key in keys_between(first, last)
    ]
    return pd.concat(frames, ignore_index=True)


@pytest.fixture(scope="module")
def night() -> tuple[pd.DataFrame, pd.DataFrame]:
    """60 days in spring, when demand rises, and the 14 days after them."""
    rows = days("2026-03-01", "2026-05-13")
    return dataset.between(rows, ("2026-03-01", "2026-04-29")), dataset.between(rows, ("2026-04-30", "2026-05-13"))


def test_every_candidate_learns_and_converts(night: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    train, holdout = night
    declared = candidates.load(MODEL)
    errors = {}
    for name, candidate in declared.items():
        fitted = candidates.fit(MODEL, candidate, train, MODEL.training.seed)
        scores = measures.score(MODEL, fitted.pipeline, holdout)
        errors[name] = measures.metrics(MODEL, dataset.labels(MODEL, holdout), scores)["mae"]
        served = export.predictor(MODEL, fitted, export.to_onnx(fitted, MODEL))
        differs = parity.difference(MODEL, served, fitted.pipeline, holdout)
        assert differs <= MODEL.release.parity, name
    baseline = errors.pop(candidates.baseline_name(declared))
    assert max(errors.values()) < 0.7 * baseline, errors
    assert min(errors, key=errors.__getitem__).startswith("boosting"), errors


def test_the_settings_fit_24_rows_a_day(night: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    train, holdout = night
    assert MODEL.training.min_rows < len(train) * 28 / 60  # the shortest window of any candidate is 28 days
    assert MODEL.gate.min_rows < len(holdout) * MODEL.gate.min_days / MODEL.training.holdout_days


def test_the_history_drifts() -> None:
    """A model that is trained once in winter is useless in summer, so it must be retrained."""
    boosting = candidates.load(MODEL)["boosting_60d"]
    frozen = candidates.fit(MODEL, boosting, days("2025-01-04", "2025-03-28"), 0)
    summer = days("2026-06-01", "2026-06-14")
    fresh = candidates.fit(MODEL, boosting, days("2026-04-02", "2026-05-31"), 0)
    labels = dataset.labels(MODEL, summer)
    stale, good = (float(np.mean(np.abs(labels - measures.score(MODEL, f.pipeline, summer)))) for f in (frozen, fresh))
    assert good < 70 < 120 < stale
