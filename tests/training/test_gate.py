"""The gate: pure, strict about ties, and never taken in by what is not there."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any

import pytest

from include.spec import Model, Task
from include.training import gate
from include.training.evaluation import METRICS
from include.training.gate import Verdict

GOOD = {"log_loss": 0.50, "roc_auc": 0.72, "average_precision": 0.5, "brier": 0.16, "accuracy": 0.8}
BASE = {"log_loss": 0.60, "roc_auc": 0.50, "average_precision": 0.25, "brier": 0.2, "accuracy": 0.75}


def side(name: str, metrics: dict[str, float]) -> dict[str, Any]:
    return {"name": name, "last": "2026-05-03", "rows": 1500, "error": None, "metrics": dict(metrics)}


def evaluation(champion: bool = True) -> dict[str, Any]:
    return {
        "holdout": {"first": "2026-05-04", "last": "2026-05-13", "days": 10, "rows": 1500},
        "challenger": side("boosting", GOOD),
        "baseline": side("baseline", BASE),
        "champion": side("champion version 3", {**GOOD, "log_loss": 0.51}) if champion else None,
        "champion_exists": champion,
        "champion_unusable": None,
    }


def leaves(values: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every path into the evidence, inner nodes included."""
    for name, value in values.items():
        yield (*path, name)
        if isinstance(value, dict):
            yield from leaves(value, (*path, name))


def changed(values: dict[str, Any], path: tuple[str, ...], to: Any) -> dict[str, Any]:
    """A copy with one input replaced, or removed where ``to`` is the class `KeyError`."""
    result = copy.deepcopy(values)
    inner = result
    for name in path[:-1]:
        inner = inner[name]
    if to is KeyError:
        del inner[path[-1]]
    else:
        inner[path[-1]] = to
    return result


def at(values: Any, path: tuple[str, ...]) -> Any:
    return at(values[path[0]], path[1:]) if path else values


NOTHING: tuple[Any, ...] = (KeyError, None, math.nan, math.inf, "", {})
REMOVALS = [
    pytest.param(champion, path, gone, id=f"{'champion' if champion else 'first'}-{'.'.join(path)}-{gone}")
    for champion in (True, False)
    for path in leaves(evaluation(champion))
    for gone in NOTHING
    if gone is not None or at(evaluation(champion), path) is not None  # None for None removes nothing
]


@pytest.mark.parametrize(("champion", "path", "gone"), REMOVALS)
def test_missing_evidence_never_reads_as_good(toy: Model, champion: bool, path: tuple[str, ...], gone: Any) -> None:
    assert gate.decide(toy, evaluation(champion)).verdict is Verdict.PROMOTE, "whole, it is good"
    decision = gate.decide(toy, changed(evaluation(champion), path, gone))
    assert decision.verdict in (Verdict.HOLD, Verdict.REJECT)
    assert decision.reason and any(check.passed is not True for check in decision.checks)


REGRESSION = {"mae": (40.0, 60.0), "rmse": (60.0, 90.0), "r2": (0.8, 0.0)}


@pytest.mark.parametrize("metric", REGRESSION)
@pytest.mark.parametrize("gone", [None, math.nan])
def test_a_regression_is_judged_by_its_own_metrics(toy: Model, metric: str, gone: float | None) -> None:
    label = toy.data.label.model_copy(update={"task": Task.REGRESSION})
    model = with_metric(toy.model_copy(update={"data": toy.data.model_copy(update={"label": label})}), metric)
    evidence = evaluation(champion=False)
    for part, at in (("challenger", 0), ("baseline", 1)):
        evidence[part]["metrics"] = {name: values[at] for name, values in REGRESSION.items()}
    assert gate.decide(model, evidence).verdict is Verdict.PROMOTE
    assert gate.decide(model, changed(evidence, ("challenger", "metrics", metric), gone)).verdict is Verdict.HOLD
    evidence["baseline"], evidence["challenger"] = evidence["challenger"], evidence["baseline"]
    assert gate.decide(model, evidence).verdict is Verdict.REJECT


def test_no_evidence_at_all(toy: Model) -> None:
    assert gate.decide(toy, {}).verdict is Verdict.HOLD


def with_metric(model: Model, metric: str) -> Model:
    return model.model_copy(update={"training": model.training.model_copy(update={"metric": metric})})


@pytest.mark.parametrize("metric", GOOD)
@pytest.mark.parametrize(
    ("gain", "verdict"), [(0.001, Verdict.PROMOTE), (0.0, Verdict.REJECT), (-0.001, Verdict.REJECT)]
)
def test_a_tie_with_the_baseline_is_not_better(toy: Model, metric: str, gain: float, verdict: Verdict) -> None:
    evidence = evaluation(champion=False)
    base = evidence["baseline"]["metrics"][metric]
    evidence["challenger"]["metrics"][metric] = base + (gain if METRICS[metric].larger_is_better else -gain)
    assert gate.decide(with_metric(toy, metric), evidence).verdict is verdict


@pytest.mark.parametrize("metric", GOOD)
@pytest.mark.parametrize(
    ("gain", "verdict"),
    [(0.01, Verdict.PROMOTE), (0.0, Verdict.PROMOTE), (-0.0199, Verdict.PROMOTE), (-0.0201, Verdict.REJECT)],
)
def test_the_champion_may_be_better_by_the_margin_only(toy: Model, metric: str, gain: float, verdict: Verdict) -> None:
    evidence = evaluation()
    for beaten in evidence["baseline"]["metrics"]:
        evidence["baseline"]["metrics"][beaten] = 0.0 if METRICS[beaten].larger_is_better else 9.0
    champion = evidence["champion"]["metrics"][metric]
    evidence["challenger"]["metrics"][metric] = champion + (gain if METRICS[metric].larger_is_better else -gain)
    decision = gate.decide(with_metric(toy, metric), evidence)
    assert decision.verdict is verdict
    assert decision.checks[-1].value == pytest.approx(gain)
    assert "champion version 3" in decision.reason


def test_the_margin_is_the_models_own(toy: Model) -> None:
    evidence = evaluation()
    evidence["challenger"]["metrics"]["log_loss"] = 0.55
    wide = toy.model_copy(update={"gate": toy.gate.model_copy(update={"margin": 0.05})})
    assert gate.decide(toy, evidence).verdict is Verdict.REJECT
    assert gate.decide(wide, evidence).verdict is Verdict.PROMOTE


@pytest.mark.parametrize(("name", "value"), [("days", 4), ("rows", 299)])
def test_too_little_evidence_holds_even_where_it_looks_bad(toy: Model, name: str, value: int) -> None:
    evidence = evaluation()
    evidence["holdout"][name] = value
    for part in ("challenger", "baseline", "champion"):
        evidence[part]["rows"] = evidence["holdout"]["rows"]
    evidence["challenger"]["metrics"]["log_loss"] = 5.0
    decision = gate.decide(toy, evidence)
    assert decision.verdict is Verdict.HOLD and str(value) in decision.reason


@pytest.mark.parametrize("part", ["challenger", "baseline", "champion"])
def test_a_model_that_has_seen_the_holdout_is_not_compared(toy: Model, part: str) -> None:
    evidence = evaluation()
    evidence[part]["last"] = "2026-05-04"
    decision = gate.decide(toy, evidence)
    assert decision.verdict is Verdict.HOLD and f"{part} (fitted up to 2026-05-04)" in decision.reason


@pytest.mark.parametrize("part", ["challenger", "baseline", "champion"])
def test_all_are_judged_on_the_same_rows(toy: Model, part: str) -> None:
    assert gate.decide(toy, changed(evaluation(), (part, "rows"), 1499)).verdict is Verdict.HOLD


def test_an_unusable_champion_holds_with_the_reason(toy: Model) -> None:
    evidence = {**evaluation(), "champion_unusable": "its twin is missing"}
    decision = gate.decide(toy, evidence)
    assert decision.verdict is Verdict.HOLD and "its twin is missing" in decision.reason


def test_broken_scores_of_the_challenger_are_rejected(toy: Model) -> None:
    evidence = evaluation()
    evidence["challenger"] |= {"error": "3 of 1500 scores are not finite numbers", "metrics": {}}
    decision = gate.decide(toy, evidence)
    assert decision.verdict is Verdict.REJECT and "3 of 1500" in decision.reason


def test_a_decision_survives_json_and_the_evidence_is_left_alone(toy: Model) -> None:
    evidence = evaluation()
    before = copy.deepcopy(evidence)
    decision = gate.decide(toy, evidence)
    assert evidence == before
    assert gate.Decision.from_dict(decision.as_dict()) == decision


def test_the_baseline_is_beaten_in_the_metric_that_the_model_names(toy: Model) -> None:
    """A blizzard in the holdout makes the base rate's log loss win while the ranking holds: the model may say so."""
    stormy = changed(evaluation(champion=False), ("baseline", "metrics", "log_loss"), 0.49)
    assert gate.decide(toy, stormy).verdict is Verdict.REJECT
    by_rank = toy.model_copy(update={"gate": toy.gate.model_copy(update={"baseline_metric": "roc_auc"})})
    assert gate.decide(by_rank, stormy).verdict is Verdict.PROMOTE
    tied = changed(stormy, ("challenger", "metrics", "roc_auc"), 0.5)
    assert gate.decide(by_rank, tied).verdict is Verdict.REJECT
