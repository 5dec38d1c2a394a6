"""Which figures a decision needs and an evaluation lacks.

A record holds finite numbers or None, so this module checks whether everything that this model's gate needs is
present, and whether it covers the whole holdout.
"""

from __future__ import annotations

from collections.abc import Iterator

from include.gate.evaluation import BASELINE, CHALLENGER, CHAMPION, Champion, Evaluation, Gain, Slice
from include.spec import Model, Task
from include.training import measures

SLICE_NEEDS = {"rows": 200, "days": 7, "class_rows": 20}
"""What one value of a slice column needs to be judged; with less it is reported."""


def missing(model: Model, evaluation: Evaluation) -> list[str]:
    """Everything that is needed and missing, in words."""
    gone = [name for name in ("blocks", "spread") if getattr(evaluation, name) is None]
    gone += _champion(evaluation)
    sides = sides_of(evaluation)
    metrics = list(measures.metrics_of(model))
    for side in sides:
        found = evaluation.side(side)
        if found is not None and found.error is not None:
            gone.append(f"{side}.scores ({found.error})")
        gone += [f"{side}.{metric}" for metric in metrics if evaluation.metric(side, metric) is None]
    gone += [f"paired.{side}" for side in sides[1:] if not evaluation.paired.get(side)]
    if model.data.label.task is Task.CLASSIFICATION and not evaluation.class_rows:
        gone.append("class_rows")
    gone += [name for name in ("floors", "slices", "fairness", "anchors") if getattr(evaluation, name) is None]
    gone += [f"floors.{floor.metric}" for floor in model.gate.floors if not evaluation.floor_of(floor.metric)]
    gone += [
        f"fairness.{rule.column}"
        for rule in model.gate.fairness
        if not evaluation.fairness_of(rule.column, rule.measure)
    ]
    if CHAMPION in sides:
        gone += _against_the_champion(model, evaluation)
    if evaluation.kind is None or (evaluation.kind == "first") != (not evaluation.champion_exists):
        gone.append("kind (whether the challenger is the first, a refresh of the champion's recipe, or another)")
    if evaluation.strongest is None:
        gone.append("strongest (the feature that explains most)")
    return gone


def sides_of(evaluation: Evaluation) -> list[str]:
    """The sides that are compared."""
    return [CHALLENGER, BASELINE, *([CHAMPION] if _usable(evaluation) else [])]


def _usable(evaluation: Evaluation) -> bool:
    usable = evaluation.champion_exists and evaluation.champion_unusable is None
    return usable and isinstance(evaluation.champion, Champion)


def _champion(evaluation: Evaluation) -> Iterator[str]:
    exists, why = evaluation.champion_exists, evaluation.champion_unusable
    if not exists and (evaluation.champion is not None or why is not None):
        yield "champion (it is recorded both that there is one and that there is none)"
    if exists and not _usable(evaluation):
        yield f"a usable champion ({(why or 'it was not scored').rstrip('.')})"


def _against_the_champion(model: Model, evaluation: Evaluation) -> Iterator[str]:
    yield from (name for name in ("psi", "largest_difference") if getattr(evaluation, name) is None)
    for column in model.gate.slices:
        mine = [one for one in evaluation.slices or () if one.column == column]
        if sum(one.rows for one in mine) != evaluation.holdout.rows:
            yield f"slices.{column} (of all rows)"
        yield from (f"slices.{column}.{one.value}" for one in mine if not _judged_or_small(model, one))
    anchors = evaluation.anchors or ()
    yield from (f"anchors.{n}" for n in model.gate.anchors if n not in [one.nights_ago for one in anchors])
    for anchor in anchors:
        scored = anchor.error is None and anchor.value is not None and anchor.last is not None
        if not scored and not anchor.error:
            yield f"anchors.{anchor.nights_ago} (neither a score nor a reason)"


def _judged_or_small(model: Model, one: Slice) -> bool:
    """Whether a slice was compared, or is too small to be compared."""
    if model.data.label.task is Task.CLASSIFICATION and one.class_rows is None:
        return False
    sizes = {"rows": one.rows, "days": one.days, "class_rows": one.class_rows}
    if any(count is not None and count < SLICE_NEEDS[name] for name, count in sizes.items()):
        return True
    return Gain.of(one.gain) is not None and one.p_worse is not None
