"""The gate: strict about ties, rejects only on significant evidence, and never counts missing evidence as good."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any

import pytest
from scipy import stats

from include.errors import IntegrityError
from include.gate import decision as gate
from include.gate.decision import Decision, Verdict
from include.gate.evaluation import Evaluation
from include.spec import Fairness, Floor, Model, Task
from include.statistics.metrics import METRICS, gain

NAMES = ("log_loss", "roc_auc", "average_precision", "brier", "accuracy", "calibration_error")
GOOD = dict(zip(NAMES, (0.50, 0.72, 0.50, 0.16, 0.80, 0.02), strict=True))
BASE = dict(zip(NAMES, (0.60, 0.50, 0.25, 0.20, 0.75, 0.03), strict=True))
ERROR, BLOCKS = 0.004, 10
REACH = float(stats.t.ppf(0.95, BLOCKS - 1)) * ERROR


def estimate(value: float, error: float = ERROR) -> dict[str, Any]:
    reach = REACH * error / ERROR
    return {
        "value": value,
        "error": error,
        "lower": value - reach,
        "upper": value + reach,
        "blocks": BLOCKS,
        "rows": 1500,
    }


def side(name: str, metrics: dict[str, float]) -> dict[str, Any]:
    return {"name": name, "last": "2026-05-03", "rows": 1500, "error": None, "metrics": dict(metrics)}


def paired(mine: dict[str, float], theirs: dict[str, float]) -> dict[str, Any]:
    return {name: estimate(gain(METRICS[name], mine[name], theirs[name])) for name in mine}


def a_slice(value: str, rows: int, better: float, p_worse: float = 1.0) -> dict[str, Any]:
    about = {"column": "shop", "value": value, "rows": rows, "days": 10, "class_rows": 100}
    return {**about, "challenger": 0.5, "other": 0.5 + better, "gain": estimate(better), "p_worse": p_worse}


def floor_of(value: float) -> dict[str, Any]:
    return {"floors": [{"metric": "roc_auc", "limit": 0.6, "value": value, "gain": estimate(value - 0.6)}]}


def south_is_worse(p: float) -> dict[str, Any]:
    return {"slices": [a_slice("north", 900, 0.02), a_slice("south", 600, -0.2, p_worse=p)]}


def evaluation(
    champion: bool = True, mine: dict[str, float] | None = None, theirs: dict[str, float] | None = None
) -> dict[str, Any]:
    """Return good evidence that is complete for `strict`; ``theirs`` are metrics of the champion."""
    mine = mine or GOOD
    theirs = {**GOOD, "log_loss": 0.51, **(theirs or {})}
    unfair = {
        "column": "shop",
        "measure": "demographic_parity",
        "limit": 0.2,
        "difference": estimate(0.1),
        "groups": [],
    }
    return {
        "holdout": {"first": "2026-05-04", "last": "2026-05-13", "days": 10, "rows": 1500},
        "challenger": side("boosting", mine),
        "baseline": side("baseline", BASE),
        "champion": side("champion version 3", theirs) if champion else None,
        "champion_exists": champion,
        "champion_unusable": None,
        "kind": "refresh" if champion else "first",
        "change": None,
        "blocks": BLOCKS,
        "class_rows": {"other": 1100, "1": 400},
        "paired": {"baseline": paired(mine, BASE)} | ({"champion": paired(mine, theirs)} if champion else {}),
        "floors": [{"metric": "roc_auc", "limit": 0.6, "value": 0.72, "gain": estimate(0.12)}],
        "slices": [a_slice("north", 900, 0.02), a_slice("south", 600, -0.01)] if champion else [],
        "fairness": [unfair],
        "spread": 0.2,
        "psi": 0.05 if champion else None,
        "largest_difference": 0.1 if champion else None,
        "strongest": {"feature": "x", "power": 0.8},
        "anchors": [{"nights_ago": n, "version": None, "error": "nothing served then"} for n in (1, 7, 28, 91)],
    }


def different_but_not_better() -> dict[str, Any]:
    equal = evaluation(theirs={"log_loss": GOOD["log_loss"]})
    return {"psi": 4.0, "champion": equal["champion"], "paired": equal["paired"]}


@pytest.fixture
def strict(toy: Model) -> Model:
    """The toy with every kind of check."""
    fair = Fairness(column="shop", measure="demographic_parity", limit=0.2)
    checks: dict[str, Any] = {"floors": (Floor(metric="roc_auc", limit=0.6),), "slices": ("shop",), "fairness": (fair,)}
    return with_gate(toy, margin=0.02, **checks)


def with_gate(model: Model, **changes: Any) -> Model:
    return model.model_copy(update={"gate": model.gate.model_copy(update=changes)})


def decide(model: Model, document: Any) -> Decision:
    """Return the gate's decision about the JSON that `evaluate` has returned."""
    return gate.decide(model, Evaluation.of(document))


def named(decision: Decision, name: str) -> gate.Check:
    return next(check for check in decision.checks if check.name == name)


def leaves(values: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield every path into the evidence, including inner nodes."""
    for name, value in values.items() if isinstance(values, dict) else enumerate(values):
        yield (*path, name)
        if isinstance(value, dict | list):
            yield from leaves(value, (*path, name))


def changed(values: dict[str, Any], path: tuple[Any, ...], to: Any) -> dict[str, Any]:
    """Return a copy with one input replaced, or removed if ``to`` is the class `KeyError`."""
    result = copy.deepcopy(values)
    inner = result
    for name in path[:-1]:
        inner = inner[name]
    if to is KeyError:
        del inner[path[-1]]
    else:
        inner[path[-1]] = to
    return result


def at(values: Any, path: tuple[Any, ...]) -> Any:
    return at(values[path[0]], path[1:]) if path else values


NOTHING: tuple[Any, ...] = (KeyError, None, math.nan, math.inf, "", {})


def complete(champion: bool, change: bool) -> dict[str, Any]:
    found = evaluation(champion)
    if change:
        found["kind"] = "change"
        found["change"] = {"incumbent": "linear", "rival": "boosting", "days": 30, "wanted": 28, "gain": estimate(0.02)}
        scored = {"last": "2026-04-20", "rows": 1500, "error": None, "value": 0.51}
        found["anchors"] = [{"nights_ago": n, "version": 2, "name": "version 2", **scored} for n in (1, 7, 28, 91)]
    return found


def removals() -> Iterator[Any]:
    for champion, change in ((True, False), (False, False), (True, True)):
        for path in leaves(complete(champion, change)):
            for gone in NOTHING:
                if is_only_information(path, champion, change) or (
                    gone is None and at(complete(champion, change), path) is None
                ):
                    continue
                yield pytest.param(
                    champion, change, path, gone, id=f"{champion}-{change}-{'.'.join(map(str, path))}-{gone}"
                )


def is_only_information(path: tuple[Any, ...], champion: bool, change: bool) -> bool:
    """Return whether a value is there for people and decides nothing."""
    return (
        (path[0] == "change" and not change)
        or (path[0] in ("psi", "largest_difference") and not champion)
        or (path[0] == "anchors" and len(path) > 1 and not champion)
        or path[-1] in ("wanted", "incumbent", "rival", "groups", "other", "nights_ago", "version")
        or (path[0] in ("floors", "fairness") and path[-1] == "limit")  # the limit of the model is used
        or (path[0] == "slices" and path[-1] in ("challenger", "value"))
        or (path[0] == "anchors" and path[-1] in ("rows", "name"))
        or path[-1] in ("blocks", "rows")
        and path[0] in ("paired", "floors", "fairness", "change")
        or (path[0] == "slices" and "gain" in path and path[-1] in ("blocks", "rows"))
        or (path[0] == "class_rows" and len(path) > 1)
        or (path[0] == "paired" and len(path) > 2 and path[2] != "log_loss")
    )


@pytest.mark.parametrize(("champion", "change", "path", "gone"), removals())
def test_missing_evidence_never_reads_as_good(
    strict: Model, champion: bool, change: bool, path: tuple[Any, ...], gone: Any
) -> None:
    evidence = complete(champion, change)
    assert decide(strict, evidence).verdict is Verdict.PROMOTE, "complete evidence is good"
    try:
        decision = decide(strict, changed(evidence, path, gone))
    except IntegrityError as refused:
        assert f"{path[0]}" in str(refused) and "cannot be read as Evaluation" in str(refused)
        return
    assert decision.verdict in (Verdict.HOLD, Verdict.REJECT)
    assert decision.reason and any(check.passed is not True for check in decision.checks)


@pytest.mark.parametrize("garbled", [True, "0.1", [0.1], -math.inf])
def test_every_figure_must_be_a_finite_number(garbled: Any) -> None:
    evidence = complete(champion=True, change=True)
    paths = [path for path in leaves(evidence) if isinstance(at(evidence, path), float)]
    assert len(paths) > 100
    for path in paths:
        with pytest.raises(IntegrityError, match=str(path[0])):
            Evaluation.of(changed(evidence, path, garbled))


def test_an_unknown_field_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(IntegrityError, match="sprad.*did you mean 'spread'"):
        Evaluation.of({**evaluation(), "sprad": 0.1})


REGRESSION = {
    "mae": (40.0, 60.0), "rmse": (60.0, 90.0), "r2": (0.8, 0.0), "pinball_10": (9.0, 12.0), "pinball_50": (20.0, 30.0),
    "pinball_90": (9.0, 12.0),
}  # fmt: skip


@pytest.mark.parametrize("metric", REGRESSION)
def test_a_regression_is_judged_by_its_own_metrics(toy: Model, metric: str) -> None:
    label = toy.data.label.model_copy(update={"task": Task.REGRESSION})
    model = with_metric(toy.model_copy(update={"data": toy.data.model_copy(update={"label": label})}), metric)
    mine, base = ({name: values[at] for name, values in REGRESSION.items()} for at in (0, 1))
    evidence = {**evaluation(champion=False), "class_rows": None}
    evidence["challenger"]["metrics"], evidence["baseline"]["metrics"] = mine, base
    evidence["paired"] = {"baseline": paired(mine, base)}
    assert decide(model, evidence).verdict is Verdict.PROMOTE
    assert decide(model, changed(evidence, ("challenger", "metrics", metric), None)).verdict is Verdict.HOLD
    evidence["baseline"], evidence["challenger"] = evidence["challenger"], evidence["baseline"]
    evidence["paired"] = {"baseline": paired(base, mine)}
    assert decide(model, evidence).verdict is Verdict.REJECT


def test_no_evidence_at_all(toy: Model) -> None:
    with pytest.raises(IntegrityError, match="holdout: field required"):
        decide(toy, {})
    needed = {name: evaluation(champion=False)[name] for name in NEEDED}
    decision = decide(toy, needed)
    assert decision.verdict is Verdict.HOLD
    for name in ("blocks", "spread", "class_rows", "floors", "slices", "fairness", "anchors", "kind", "strongest"):
        assert name in decision.reason


NEEDED = ("holdout", "challenger", "baseline", "champion", "champion_exists", "champion_unusable")


def with_metric(model: Model, metric: str) -> Model:
    return model.model_copy(update={"training": model.training.model_copy(update={"metric": metric})})


@pytest.mark.parametrize("metric", GOOD)
@pytest.mark.parametrize(
    ("better", "verdict"),
    [(0.001, Verdict.PROMOTE), (0.0, Verdict.HOLD), (-0.9 * REACH, Verdict.HOLD), (-1.1 * REACH, Verdict.REJECT)],
)
def test_a_challenger_is_promoted_held_or_rejected_by_its_gain_over_the_baseline(
    toy: Model, metric: str, better: float, verdict: Verdict
) -> None:
    mine = {**GOOD, metric: BASE[metric] + (better if METRICS[metric].larger_is_better else -better)}
    decision = decide(with_metric(toy, metric), evaluation(champion=False, mine=mine))
    assert decision.verdict is verdict
    assert named(decision, "better than the baseline").value == pytest.approx(better)


@pytest.mark.parametrize("metric", GOOD)
@pytest.mark.parametrize(
    ("better", "verdict"),
    [
        (0.01, Verdict.PROMOTE),
        (REACH - 0.0199, Verdict.PROMOTE),
        (REACH - 0.0201, Verdict.HOLD),
        (-0.02 - REACH + 0.0001, Verdict.HOLD),
        (-0.02 - REACH - 0.0001, Verdict.REJECT),
    ],
)
def test_a_challenger_is_promoted_held_or_rejected_by_its_gain_over_the_champion(
    toy: Model, metric: str, better: float, verdict: Verdict
) -> None:
    model = with_gate(
        with_metric(toy, metric), margin=0.02, baseline_metric="accuracy" if metric != "accuracy" else "brier"
    )
    theirs = GOOD[metric] - (better if METRICS[metric].larger_is_better else -better)
    decision = decide(model, evaluation(theirs={metric: theirs}))
    assert decision.verdict is verdict
    assert "champion version 3" in named(decision, "not worse than the champion").sentence
    assert "95 % confidence" in decision.reason


@pytest.mark.parametrize(("name", "value"), [("days", 4), ("rows", 299)])
def test_too_little_evidence_holds_even_if_it_looks_bad(toy: Model, name: str, value: int) -> None:
    evidence = evaluation(theirs={"log_loss": 0.1})
    evidence["holdout"][name] = value
    for part in ("challenger", "baseline", "champion"):
        evidence[part]["rows"] = evidence["holdout"]["rows"]
    decision = decide(toy, evidence)
    assert decision.verdict is Verdict.HOLD and str(value) in decision.reason


def test_too_few_rows_of_a_class_hold(toy: Model) -> None:
    few = with_gate(toy, min_class_rows=200)
    assert decide(few, evaluation()).verdict is Verdict.PROMOTE
    decision = decide(few, {**evaluation(), "class_rows": {"other": 1301, "1": 199}})
    assert decision.verdict is Verdict.HOLD and "has 199 rows" in decision.reason
    assert decide(few, {**evaluation(), "class_rows": {"1": 1500}}).verdict is Verdict.HOLD


@pytest.mark.parametrize("part", ["challenger", "baseline", "champion"])
def test_a_model_that_has_seen_the_holdout_is_not_compared(toy: Model, part: str) -> None:
    evidence = evaluation()
    evidence[part]["last"] = "2026-05-04"
    decision = decide(toy, evidence)
    assert decision.verdict is Verdict.HOLD and f"{part} (fitted up to 2026-05-04)" in decision.reason


@pytest.mark.parametrize("part", ["challenger", "baseline", "champion"])
def test_all_are_judged_on_the_same_rows(toy: Model, part: str) -> None:
    assert decide(toy, changed(evaluation(), (part, "rows"), 1499)).verdict is Verdict.HOLD


def test_an_unusable_champion_holds_with_the_reason(toy: Model) -> None:
    evidence = {**evaluation(), "champion_unusable": "its twin is missing."}
    decision = decide(toy, evidence)
    assert decision.verdict is Verdict.HOLD
    assert decision.reason == "Evidence is missing: a usable champion (its twin is missing)."


def test_broken_scores_of_the_challenger_are_rejected(toy: Model) -> None:
    evidence = evaluation()
    evidence["challenger"] |= {"error": "3 of 1500 scores are not finite numbers.", "metrics": {}}
    decision = decide(toy, evidence)
    assert decision.verdict is Verdict.REJECT and "3 of 1500" in decision.reason and ".." not in decision.reason


def test_figures_that_contradict_each_other_are_not_evidence(toy: Model) -> None:
    evidence = changed(evaluation(), ("challenger", "metrics", "log_loss"), 0.3)
    assert decide(toy, evidence).verdict is Verdict.HOLD


@pytest.mark.parametrize(
    ("change", "check", "verdict"),
    [
        ({"spread": 0.0}, "output varies", Verdict.REJECT),
        ({"strongest": {"feature": "x", "power": 0.995}}, "no leak", Verdict.REJECT),
        (different_but_not_better(), "scores distributed alike", Verdict.REJECT),
        ({"largest_difference": 1e-7}, "another model", Verdict.HOLD),
        (floor_of(0.55), "floor of roc_auc", Verdict.REJECT),
        (floor_of(0.595), "floor of roc_auc", Verdict.PROMOTE),
        (south_is_worse(p=0.001), "slices of shop", Verdict.REJECT),
        (south_is_worse(p=0.03), "slices of shop", Verdict.PROMOTE),
    ],
)
def test_each_check_by_itself(strict: Model, change: dict[str, Any], check: str, verdict: Verdict) -> None:
    decision = decide(strict, {**evaluation(), **change})
    assert decision.verdict is verdict
    assert named(decision, check).passed is (verdict is Verdict.PROMOTE)
    if verdict is not Verdict.PROMOTE:
        assert decision.reason == named(decision, check).sentence


@pytest.mark.parametrize(
    ("mine", "theirs", "verdict"),
    [(0.992, 0.74, Verdict.REJECT), (0.989, 0.74, Verdict.PROMOTE), (0.992, 0.991, Verdict.PROMOTE)],
)
def test_a_suspiciously_good_challenger_is_rejected(toy: Model, mine: float, theirs: float, verdict: Verdict) -> None:
    """For example a timetable with actual arrivals: no feature alone gives the label, but all together do."""
    evidence = evaluation(mine={**GOOD, "roc_auc": mine}, theirs={"roc_auc": theirs})
    decision = decide(toy, evidence)
    assert decision.verdict is verdict
    assert ("suspiciously good" in decision.reason) is (verdict is Verdict.REJECT)
    assert decide(toy, evaluation(champion=False, mine={**GOOD, "roc_auc": mine})).verdict is Verdict.PROMOTE


@pytest.mark.parametrize(("better", "verdict"), [(REACH * 1.1, Verdict.PROMOTE), (REACH * 0.9, Verdict.REJECT)])
def test_a_better_challenger_replaces_an_outdated_champion_although_their_scores_differ(
    toy: Model, better: float, verdict: Verdict
) -> None:
    """A linear model of January is wrong in July. A fresh model has other scores because it is better."""
    evidence = {**evaluation(theirs={"log_loss": GOOD["log_loss"] + better}), "psi": 4.0}
    decision = decide(toy, evidence)
    assert decision.verdict is verdict
    assert ("out of date" in named(decision, "scores distributed alike").sentence) is (verdict is Verdict.PROMOTE)


@pytest.mark.parametrize(
    ("gap", "verdict"), [(0.2 + 1.1 * REACH, Verdict.REJECT), (0.2 + 0.9 * REACH, Verdict.PROMOTE)]
)
def test_only_significant_unfairness_rejects(strict: Model, gap: float, verdict: Verdict) -> None:
    evidence = evaluation()
    evidence["fairness"][0]["difference"] = estimate(gap)
    assert decide(strict, evidence).verdict is verdict
    rule = Fairness(column="shop", measure="demographic_parity")
    assert decide(with_gate(strict, fairness=(rule,)), evidence).verdict is Verdict.PROMOTE, "reported only"


@pytest.mark.parametrize(
    ("days", "better", "verdict"),
    [(30, REACH * 1.1, Verdict.PROMOTE), (30, REACH * 0.9, Verdict.HOLD), (27, 0.1, Verdict.HOLD)],
)
def test_another_recipe_must_be_better(toy: Model, days: int, better: float, verdict: Verdict) -> None:
    evidence = complete(champion=True, change=True)
    evidence["change"] |= {"days": days, "gain": estimate(better)}
    assert decide(toy, evidence).verdict is verdict


def with_worse_champion(evidence: dict[str, Any], gained: float) -> dict[str, Any]:
    """Return the evidence with a champion that is worse by ``gained``."""
    worse = evaluation(theirs={"log_loss": GOOD["log_loss"] + gained})
    return evidence | {"champion": worse["champion"], "paired": worse["paired"]}


@pytest.mark.parametrize(("value", "verdict"), [(0.491, Verdict.PROMOTE), (0.489, Verdict.HOLD)])
def test_small_losses_do_not_add_up(toy: Model, value: float, verdict: Verdict) -> None:
    evidence = with_worse_champion(complete(champion=True, change=True), 0.0)
    evidence["anchors"][2]["value"] = value
    evidence["anchors"][3] |= {"value": None, "error": "its bundle is gone"}
    decision = decide(with_gate(toy, margin=0.02), evidence)
    assert decision.verdict is verdict
    assert named(decision, "not slowly worse").value == pytest.approx(value - 0.5)


def test_a_challenger_significantly_better_than_the_champion_is_not_a_step_down(toy: Model) -> None:
    """An earlier champion would be even better, but it does not serve. A hold would keep the worst of the three."""
    for gained, verdict in ((REACH * 0.9, Verdict.HOLD), (REACH * 1.1, Verdict.PROMOTE)):
        evidence = with_worse_champion(complete(champion=True, change=True), gained)
        evidence["anchors"][2]["value"] = 0.4
        decision = decide(with_gate(toy, margin=0.02), evidence)
        assert decision.verdict is verdict, decision.reason
        check = named(decision, "not slowly worse")
        assert check.value == pytest.approx(0.4 - 0.5)
        assert ("which is worse still" in check.sentence) == (verdict is Verdict.PROMOTE)


def test_a_decision_survives_json_and_the_evidence_is_left_alone(toy: Model) -> None:
    evidence = evaluation()
    before = copy.deepcopy(evidence)
    decision = decide(toy, evidence)
    assert evidence == before
    assert Decision.of(decision.as_dict()) == decision


def test_the_baseline_is_beaten_in_the_metric_that_the_model_names(toy: Model) -> None:
    """In a blizzard the base rate may win by log loss while the ranking is good. A model can choose the metric."""
    stormy = evaluation(champion=False, mine={**GOOD, "log_loss": 0.62})
    assert decide(toy, stormy).verdict is Verdict.REJECT
    assert decide(with_gate(toy, baseline_metric="roc_auc"), stormy).verdict is Verdict.PROMOTE
