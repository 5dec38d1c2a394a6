"""A lab night equals a real night in windows, errors, metrics and verdict; the lab collects missing days."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from include import catalog
from include.backtest.lab import Lab
from include.backtest.outcome import Night
from include.errors import ConfigurationError, DataError, NotReady, TransientError
from include.gate.decision import Decision
from include.partitions import partition
from include.registry.ledger import Ledger
from include.retraining import in_process
from include.retraining.in_process import Outcome
from include.spec import Model
from tests.training import toy_days
from tests.training.toy_days import AS_OF

EARLIER = "2026-05-02"


def promote(model: Model, outcome: Outcome) -> None:
    """Promote the packaged version of a real run, like the release DAG."""
    ledger, packaged = Ledger.default(), outcome.packaged
    epoch = ledger.standing(model.name).epoch
    ledger.promote(model.name, packaged.version, packaged.digest, epoch, "perennial", outcome.run_id, "test")


def same(mine: Night, real: Outcome) -> None:
    """Compare all results of both nights, except those that only a real night has.

    These are MLflow runs, digests, epochs, durations and the intervals of the card.
    """
    for trial, theirs in zip(mine.trials, real.trials, strict=True):
        assert trial.replace(seconds=None) == theirs.replace(seconds=None, mlflow_run_id=None)
    assert mine.plan.snapshot.digest == real.plan.snapshot.digest
    assert mine.plan.windows == real.plan.windows
    assert mine.chosen.recipe == real.selection.recipe and mine.challenger == real.selection.candidate
    assert mine.chosen.twin == real.selection.twin.replace(digest="")
    only_real = {"champion_epoch": None, "by_day": None, "plots": None, "intervals": None}
    there = real.evaluation.replace(**only_real)
    if there.champion:
        there = there.replace(champion=there.champion.replace(digest=None))
    assert mine.evaluation == there
    assert mine.decision == Decision.of({k: real.decision.as_dict()[k] for k in ("verdict", "reason", "checks")})


def test_nights_of_the_lab_equal_real_nights(home: Path, toy: Model) -> None:
    lab = Lab(toy, home)
    real = in_process.in_one_process(toy, EARLIER, {"window_days": 8})
    first = lab.night(EARLIER, window_days=8)
    same(first, real)
    assert first.decision.verdict == "promote"
    release, packaged = lab.release(first), real.packaged
    fitted = release.fitted
    assert (fitted.rows, fitted.first, fitted.last) == (packaged.rows, packaged.first, packaged.last)
    assert release.proven.parity == packaged.parity
    promote(toy, real)
    champion = first.champion(real.packaged.version)

    second = lab.night(AS_OF, champion)
    real = in_process.in_one_process(toy, AS_OF)
    same(second, real)
    assert second.evaluation.metric("champion", "log_loss") and second.decision.verdict == "promote"
    assert [line.split("|")[1].strip() for line in second.table().splitlines()[2:]] == [
        "baseline (baseline)",
        *(f"{n}{' (challenger)' if n == second.challenger else ''}" for n in second.plan.candidates[1:]),
        f"champion version {champion.version} ({champion.candidate})",
    ]

    worse = lab.night(AS_OF, champion, candidates=["coarse"])
    same(worse, in_process.in_one_process(toy, AS_OF, {"candidates": ["coarse"]}))
    assert worse.decision.verdict == "reject"


def test_the_verdict_is_hold_if_the_champion_has_seen_the_holdout(home: Path, toy: Model) -> None:
    """The champion's twin was fitted up to 2026-05-03, which is in the holdout of the night of 2026-05-12."""
    lab = Lab(toy, home)
    champion = lab.night(AS_OF, candidates=["logistic"]).champion(1)
    night = lab.night("2026-05-12", champion, candidates=["logistic"])
    assert night.decision.verdict == "hold" and "has seen days of the holdout" in night.decision.reason
    assert night.evaluation.champion is not None and night.evaluation.side("champion") is None


@pytest.mark.parametrize(
    ("as_of", "settings"), [("2026-04-28", {}), ("2026-05-15", {}), (AS_OF, {"candidates": ["boostin"]})]
)
def test_errors_in_the_lab_equal_those_of_a_real_night(
    home: Path, toy: Model, as_of: str, settings: dict[str, Any]
) -> None:
    with pytest.raises((DataError, NotReady, ConfigurationError)) as real:
        in_process.in_one_process(toy, as_of, settings)
    with pytest.raises(type(real.value)) as ours:
        Lab(toy, home).night(as_of, **settings)
    assert str(ours.value) == str(real.value)


def test_a_sample_of_rows_changes_the_fit_but_not_the_holdout(home: Path, toy: Model) -> None:
    whole, sample = (Lab(toy, home).night(AS_OF, candidates=["logistic"], max_rows=n) for n in (None, 150))
    assert {r.rows for r in sample.trials} == {150} and min(r.rows for r in whole.trials) > 1000
    assert sample.evaluation.holdout == whole.evaluation.holdout


def test_days_are_collected_once_and_rejected_ones_are_reported(
    tmp_path: Path, toy: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = tmp_path / "scenario.json"
    trouble = {"2026-04-02": {"drop_column": "x"}, "2026-04-03": {"error": True}, "2026-04-04": {"bad_rows": 3}}
    scenario.write_text(json.dumps(trouble))
    monkeypatch.setenv("PERENNIAL_TOY_SCENARIO", str(scenario))
    lab, reports = Lab(toy, tmp_path / "lab"), list[str]()
    span = date(2026, 4, 1), date(2026, 4, 4)
    assert lab.collect(*span, report=reports.append) == ["2026-04-02"]
    assert reports[-1] == "4/4 days"
    assert sorted(lab.lake.published()) == ["2026-04-01", "2026-04-03", "2026-04-04"]
    assert lab.missing(*span) == ["2026-04-02"], "only the rejected day is collected again"
    scenario.write_text("{}")
    version = lab.lake.table("rows").version()
    assert lab.collect(*span) == [] and lab.missing(*span) == []
    assert lab.lake.table("rows").version() == version + 1
    assert len(lab.lake.read_quarantine("2026-04-04")) == 3


def test_a_source_that_stays_unavailable_is_an_error(
    tmp_path: Path, toy: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(*_: Any) -> None:
        raise ConnectionError("no response")

    monkeypatch.setattr(catalog.module("toy", "source"), "fetch", fetch)
    monkeypatch.setattr("include.backtest.lab.TRIES", 2)
    with pytest.raises(TransientError, match="did not answer for 2026-04-01 in 2 tries: ConnectionError: no response"):
        Lab(toy, tmp_path).collect(date(2026, 4, 1), date(2026, 4, 1))


def test_a_day_published_before_its_labels_were_final_is_collected_again(tmp_path: Path, toy: Model) -> None:
    label = toy.data.label.model_copy(update={"delay": timedelta(hours=9)})
    late = toy.model_copy(update={"data": toy.data.model_copy(update={"label": label})})
    lab = Lab(late, tmp_path)
    lab.lake.create()
    toy_days.publish(lab.lake, toy, "2026-04-01", toy_days.day(toy, "2026-04-01"), after=timedelta(hours=2))
    toy_days.publish(lab.lake, toy, "2026-04-02", toy_days.day(toy, "2026-04-02"), after=timedelta(hours=10))
    assert lab.missing(date(2026, 4, 1), date(2026, 4, 2)) == ["2026-04-01"]
    assert lab.collect(date(2026, 4, 1), date(2026, 4, 2)) == [] and not lab.missing(date(2026, 4, 1), date(2026, 4, 2))


def test_days_are_collected_again_after_the_source_code_changes(
    tmp_path: Path, toy: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab, span = Lab(toy, tmp_path), (date(2026, 4, 1), date(2026, 4, 2))
    lab.collect(*span)
    monkeypatch.setattr("include.backtest.lab._source_digest", lambda model: "another")
    assert len(lab.missing(*span)) == 2


def test_nothing_is_collected_before_the_start_or_before_a_day_is_over(tmp_path: Path, toy: Model) -> None:
    lab = Lab(toy, tmp_path)
    assert lab.missing(date(2024, 12, 1), date(2024, 12, 31)) == []
    assert lab.missing(date(2024, 12, 30), date(2025, 1, 2)) == ["2025-01-01", "2025-01-02"]
    today = partition(lab.newest(), toy.timezone).date.toordinal() + 1
    with pytest.raises(NotReady, match="is not over"):
        lab.collect(date.fromordinal(today), date.fromordinal(today))
