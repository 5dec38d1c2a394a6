"""Anchors: which champions of earlier nights are scored, and how they stop a slow decay."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from include.errors import DataError, TransientError
from include.gate import anchors, decision
from include.gate.decision import Verdict
from include.gate.evaluation import Anchor, Evaluation
from include.registry.ledger import Ledger
from include.retraining import in_process
from include.spec import Model
from include.statistics import uncertainty
from include.statistics.metrics import METRICS
from tests.retraining.test_run import FAST, promote

NIGHTS = (1, 7, 28, 91)


@dataclass(frozen=True)
class Past:
    version: int
    twin_last: str


def picked(past: list[Past], champion: int | None, last: str = "2026-05-03") -> list[tuple[int, int]]:
    found = anchors.pick(NIGHTS, past, champion, last)
    assert [ago for ago, _ in found] == list(NIGHTS), "there is one result for each number of nights"
    return [(ago, one.version) for ago, one in found if one]


def test_the_newest_champion_that_is_old_enough_is_picked_for_each_age() -> None:
    nightly = [Past(n, (date(2026, 1, 1) + timedelta(days=n)).isoformat()) for n in range(123)]
    assert nightly[-1].twin_last == "2026-05-03"
    assert picked(nightly, 122) == [(1, 121), (7, 115), (28, 94), (91, 31)]
    assert picked(nightly, 121) == [(1, 120), (7, 115), (28, 94), (91, 31)], "the champion itself is not an anchor"
    assert picked(nightly[:100], 99) == [(1, 98), (7, 98), (28, 94), (91, 31)]
    assert picked([Past(3, "2026-05-03"), Past(2, "2026-05-03")], None) == [], "they are of tonight or later"
    assert picked([Past(1, "2026-04-26"), Past(2, "2026-04-27")], None) == [(1, 2), (7, 1)], "the limit itself"
    assert picked([], None) == []


def test_an_anchor_that_cannot_be_scored_gives_the_reason_and_stops_nothing(toy: Model) -> None:
    labels = np.array([0, 1, 1, 0])

    def score(one: Past) -> np.ndarray:
        if one.version == 2:
            raise DataError("its twin predicts another label")
        return np.array([0.2, 0.8, 0.7, 0.4])

    unlike = anchors.scored(toy, labels, 1, Past(2, "2026-05-01"), score)
    assert (unlike.error, unlike.value) == ("its twin predicts another label", None)
    expected = METRICS["log_loss"].compute(labels, score(Past(1, "")))
    assert anchors.scored(toy, labels, 7, Past(1, "2026-04-20"), score) == Anchor(
        nights_ago=7, version=1, name="version 1", last="2026-04-20", rows=4, error=None, value=expected
    )
    by_auc = toy.model_copy(update={"training": toy.training.model_copy(update={"metric": "roc_auc"})})
    undefined = anchors.scored(by_auc, np.ones(4, dtype=int), 1, Past(1, "2026-05-01"), score)
    assert undefined.value is None and "not defined" in str(undefined.error)

    def lost(one: Past) -> np.ndarray:
        raise TransientError("the store does not answer")

    with pytest.raises(TransientError):
        anchors.scored(toy, labels, 1, Past(1, "2026-05-01"), lost)


@pytest.mark.usefixtures("without_pictures")
def test_champions_of_1_7_28_and_91_nights_ago_are_scored(home: Path, toy: Model) -> None:
    """The versions of other nights are ledger rows with the bundle and the twin of one real version."""
    ledger = Ledger.default()
    first = in_process.in_one_process(toy, "2026-05-02", FAST)
    promote(toy, first)
    assert {one.version for one in first.evaluation.anchors or ()} == {None}
    twin, bundle = first.selection.twin, first.packaged.digest
    start = first.packaged.version
    lasts = ["2026-01-20", "2026-04-01", "2026-04-24", "2026-04-28", "2026-05-01", "2026-05-02"]
    versions = [start + 100 + number for number in range(len(lasts))]
    for version, last in zip(versions, lasts, strict=True):
        ledger.add_version(
            "toy",
            version,
            run_id=f"made-up-{version}",
            candidate="logistic",
            recipe=first.selection.recipe.as_dict(),
            twin="0" * 64 if last == "2026-04-01" else twin.digest,
            twin_first="2026-01-01",
            twin_last=last,
            metrics={},
        )
        ledger.set_bundle("toy", version, bundle)
        epoch = ledger.standing("toy").epoch
        gone = "failed" if last == lasts[-1] else "retired"
        ledger.promote("toy", version, bundle, epoch, "person", f"made-up-{version}", "test", old_state=gone)
    states = {row.version: row.state for row in ledger.versions("toy")}
    assert states[versions[-1]] == "champion" and states[versions[-2]] == "failed"

    outcome = in_process.in_one_process(toy, "2026-05-13", FAST)
    assert outcome.selection.twin.last == "2026-05-03"
    found = outcome.evaluation.anchors or ()
    assert [(one.nights_ago, one.version, one.last) for one in found] == [
        (1, versions[3], "2026-04-28"),
        (7, versions[2], "2026-04-24"),
        (28, versions[1], "2026-04-01"),
        (91, versions[0], "2026-01-20"),
    ]
    champion = outcome.evaluation.metric("champion", "log_loss")
    assert [one.value for one in found] == [champion, champion, None, champion]
    assert "missing" in str(found[2].error) and {one.rows for one in found} == {outcome.evaluation.holdout.rows}
    assert outcome.decision.verdict == "promote", outcome.decision.reason
    assert "not slowly worse" in {check.name for check in outcome.decision.checks}


# -- slow decay


DAYS, ROWS = 14, 300
STEP = 0.0005  # each challenger is worse than the previous night's by this much: small compared with the margin


@pytest.mark.parametrize("seed", range(3))
def test_180_nights_of_slow_decay_lose_at_most_two_margins(toy: Model, seed: int) -> None:
    """Each step is far within the margin, so the comparison with the previous champion alone stops nothing."""
    settings = {"min_rows": 2000, "min_class_rows": 200, "margin": 0.02, "anchors": NIGHTS}
    model = toy.model_copy(update={"gate": toy.gate.model_copy(update=settings)})
    without = model.model_copy(update={"gate": model.gate.model_copy(update={"anchors": ()})})
    lost = decayed(model, seed)
    assert lost <= 2 * model.gate.margin
    assert decayed(without, seed) > 2 * model.gate.margin, "without anchors nothing stops the decay"


def decayed(model: Model, seed: int) -> float:
    """The true difference between the champions of the last and the first of 180 nights, not a measured one."""
    random = np.random.default_rng(seed)
    served: list[tuple[Past, float]] = []  # every champion, and its true difference from the first
    for number in range(180):
        last = (date(2026, 1, 1) + timedelta(days=number)).isoformat()
        champion = served[-1] if served else None
        version = champion[0].version if champion else None
        found = anchors.pick(model.gate.anchors, [past for past, _ in served], version, last)
        truth = {past.version: worse for past, worse in served}
        evaluated = measured(
            model, random, last, number * STEP, champion, [(n, p, truth[p.version] if p else 0.0) for n, p in found]
        )
        if decision.decide(model, Evaluation.of(evaluated)).verdict is Verdict.PROMOTE:
            served.append((Past(number + 1, last), number * STEP))
    assert len(served) > 20, "the gate stops the decay, not a mistake in the evidence"
    return served[-1][1]


def measured(
    model: Model,
    random: np.random.Generator,
    last: str,
    worse: float,
    champion: tuple[Past, float] | None,
    earlier: list[tuple[int, Past | None, float]],
) -> dict[str, Any]:
    """The evidence of one night: losses by day. All models share them, except for 0.007 a day (a measured value)."""
    shared = 0.5 + random.normal(0, 0.05, DAYS)

    def losses(truth: float) -> np.ndarray:
        return shared + truth + random.normal(0, 0.007, DAYS)

    holdout = {"first": (date.fromisoformat(last) + timedelta(days=1)).isoformat(), "days": DAYS, "rows": DAYS * ROWS}
    holdout["last"] = (date.fromisoformat(last) + timedelta(days=DAYS)).isoformat()
    mine, trivial = losses(worse), losses(0.3)
    found: dict[str, Any] = {
        "holdout": holdout,
        "challenger": side("logistic", last, mine),
        "baseline": side("baseline", last, trivial),
        "champion": None,
        "champion_exists": champion is not None,
        "champion_unusable": None,
        "blocks": DAYS,
        "class_rows": {"0": DAYS * ROWS // 2, "1": DAYS * ROWS // 2},
        "paired": {"baseline": pair(model, trivial - mine)},
        "floors": [],
        "slices": [],
        "fairness": [],
        "spread": 0.2,
        "psi": None,
        "largest_difference": None,
        "strongest": {"feature": "x", "power": 0.7},
        "kind": "refresh" if champion else "first",
        "change": None,
        "anchors": [
            {
                "nights_ago": ago,
                "version": past.version,
                "name": f"version {past.version}",
                "last": past.twin_last,
                "rows": DAYS * ROWS,
                "error": None,
                "value": float(losses(truth).mean()),
            }
            if past
            else anchors.absent(ago).as_dict()
            for ago, past, truth in earlier
        ],
    }
    if champion:
        theirs = losses(champion[1])
        found |= {"champion": side("champion", champion[0].twin_last, theirs), "psi": 0.1, "largest_difference": 0.3}
        found["paired"]["champion"] = pair(model, theirs - mine)
    return found


def side(name: str, last: str, losses: np.ndarray) -> dict[str, Any]:
    metrics = {n: 0.5 for n, metric in METRICS.items() if metric.task.value == "classification"}
    metrics["log_loss"] = float(losses.mean())
    return {"name": name, "last": last, "rows": DAYS * ROWS, "error": None, "metrics": metrics}


def pair(model: Model, gains: np.ndarray) -> dict[str, Any]:
    days = np.arange(DAYS)
    return {"log_loss": uncertainty.jackknife_of_means(gains, days, model.gate.alpha).as_dict()}


def test_weeks_of_the_simulation_equal_those_of_the_evidence() -> None:
    keys = [f"2026-03-{day:02}" for day in range(1, 15)]
    assert list(uncertainty.blocks(keys, 7)) == [1] * 7 + [0] * 7
