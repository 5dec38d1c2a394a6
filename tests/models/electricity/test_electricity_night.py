"""A nightly run on real days: every candidate fits and converts. One of them, persistence, is hard to beat."""

from __future__ import annotations

import pandas as pd
import pytest

from include.models.electricity import source
from include.models.electricity.model import MODEL
from include.partitions import keys_between, partition
from include.training import candidates, dataset, export, measures, parity


def days(first: str, last: str) -> pd.DataFrame:
    frames = [
        source.fetch(partition(key, MODEL.timezone), {}).assign(partition=key) for key in keys_between(first, last)
    ]
    return pd.concat(frames, ignore_index=True)


@pytest.fixture(scope="module")
def measured() -> dict[str, dict[str, float]]:
    """Holdout metrics of every candidate, fitted on 60 days; each has ``parity``."""
    rows = days("2026-03-01", "2026-05-13")
    train, holdout = (dataset.between(rows, s) for s in (("2026-03-01", "2026-04-29"), ("2026-04-30", "2026-05-13")))
    found = {}
    for name, candidate in candidates.load(MODEL).items():
        fitted = candidates.fit(MODEL, candidate, train, MODEL.training.seed)
        scores = measures.score(MODEL, fitted.pipeline, holdout)
        found[name] = measures.metrics(MODEL, dataset.labels(MODEL, holdout), scores)
        served = export.predictor(MODEL, fitted, export.to_onnx(fitted, MODEL))
        found[name]["parity"] = parity.difference(MODEL, served, fitted.pipeline, holdout)
    return found


def test_every_candidate_converts_and_those_with_the_previous_label_beat_the_baseline(
    measured: dict[str, dict[str, float]],
) -> None:
    assert max(figures["parity"] for figures in measured.values()) <= MODEL.release.parity
    baseline = measured["baseline"]["log_loss"]
    for name in ("persistence", "logistic", "boosting_60d", "boosting_all"):
        assert measured[name]["log_loss"] < 0.9 * baseline, measured
    assert measured["market_60d"]["roc_auc"] > 0.6


def test_persistence_predicts_the_previous_label(measured: dict[str, dict[str, float]]) -> None:
    rows = days("2026-04-30", "2026-05-13")
    assert measured["persistence"]["accuracy"] == pytest.approx((rows["previous_up"] == rows["up"]).mean())
    assert measured["persistence"]["accuracy"] > measured["market_60d"]["accuracy"]


def test_the_settings_fit_48_rows_a_day() -> None:
    assert MODEL.training.min_rows < 48 * 60
    assert MODEL.gate.min_rows <= 48 * MODEL.gate.min_days
