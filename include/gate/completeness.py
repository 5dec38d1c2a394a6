"""Reads the evidence of the gate, and says what of it is missing; nothing that is absent or not finite passes for a
number."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from include.spec import Model, Task
from include.training import evaluation as figures

SLICE_NEEDS = {"rows": 200, "days": 7, "class_rows": 20}
"""What one value of a slice column needs to be judged; with less it is reported."""

KINDS = ("first", "refresh", "change")


def number(value: Any) -> float | None:
    """A finite number, or None for everything else (nan, infinity, text, booleans)."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return None


def part(values: Any, *path: str) -> Mapping[str, Any]:
    """What lies in nested mappings; empty where it is not there, or no mapping."""
    for name in path:
        values = values.get(name) if isinstance(values, Mapping) else None
    return values if isinstance(values, Mapping) else {}


def listed(values: Any, name: str) -> list[Mapping[str, Any]] | None:
    """A list of mappings; None where it is not one."""
    found = values.get(name) if isinstance(values, Mapping) else None
    return list(found) if isinstance(found, list) and all(isinstance(one, Mapping) for one in found) else None


@dataclass(frozen=True)
class Gain:
    """A difference with its limits, as `uncertainty.Estimate` tells it; positive is better."""

    value: float
    error: float
    lower: float
    upper: float

    @classmethod
    def of(cls, told: Any) -> Gain | None:
        """None where a part of it is missing or they contradict each other."""
        names = ("value", "error", "lower", "upper")
        found = [number(part({"it": told}, "it").get(name)) for name in names]
        if any(one is None for one in found):
            return None
        gain = cls(*(float(one or 0.0) for one in found))
        return gain if gain.lower <= gain.value <= gain.upper and gain.error >= 0 else None

    def words(self, confidence: str) -> str:
        """``0.0012 better (95 % sure: at most 0.0043 worse)``."""
        least = f"at least {self.lower:.4g} better" if self.lower > 0 else f"at most {-self.lower:.4g} worse"
        return f"{signed(self.value)} ({confidence} sure: {least})"


def signed(value: float) -> str:
    """``0.0012 better``."""
    return f"{abs(value):.4g} {'better' if value >= 0 else 'worse'}"


def missing(model: Model, evaluation: Mapping[str, Any]) -> list[str]:
    """Every piece of evidence that a decision needs and that is not there, or not a number; in words."""
    holdout = part(evaluation, "holdout")
    gone = [f"holdout.{name}" for name in ("first", "last") if not _key(holdout.get(name))]
    gone += [f"holdout.{name}" for name in ("days", "rows") if number(holdout.get(name)) is None]
    gone += [f"{name}" for name in ("blocks", "spread") if number(evaluation.get(name)) is None]
    sides = ["challenger", "baseline", *_champion(evaluation, gone)]
    metrics = list(figures.metrics_of(model))
    for side in sides:
        gone += _side(evaluation, side, metrics)
    gone += [f"paired.{side}" for side in sides[1:] if not part(evaluation, "paired", side)]
    if model.data.label.task is Task.CLASSIFICATION and not part(evaluation, "class_rows"):
        gone.append("class_rows")
    for name in ("floors", "slices", "fairness", "anchors"):
        if listed(evaluation, name) is None:
            gone.append(name)
    gone += _undone(model, evaluation, with_champion="champion" in sides)
    kind = evaluation.get("kind")
    if kind not in KINDS or (kind == "first") != (evaluation.get("champion_exists") is False):
        gone.append("kind (whether the challenger is the first, a refresh of the champion's recipe, or another)")
    strongest = part(evaluation, "strongest")
    if not strongest.get("feature") or number(strongest.get("power")) is None:
        gone.append("strongest (the feature that explains most)")
    return gone


def _champion(evaluation: Mapping[str, Any], gone: list[str]) -> list[str]:
    exists, why = evaluation.get("champion_exists"), evaluation.get("champion_unusable", "it is not said whether it is")
    if exists is True:
        if why is None:
            return ["champion"]
        gone.append(f"a usable champion ({str(why).rstrip('.')})")
    elif exists is False:
        if evaluation.get("champion", "absent") is not None or why is not None:
            gone.append("champion (it is said both that there is one and that there is none)")
    else:
        gone.append("champion_exists (whether there is a champion is not known)")
    return []


def _side(evaluation: Mapping[str, Any], side: str, metrics: list[str]) -> Iterator[str]:
    found = part(evaluation, side)
    known = {
        "name": isinstance(found.get("name"), str) and bool(found.get("name")),
        "last": _key(found.get("last")),
        "rows": number(found.get("rows")) is not None,
    }
    yield from (f"{side}.{name}" for name, there in known.items() if not there)
    if found.get("error", "not said") is not None:
        yield f"{side}.scores ({found.get('error', 'it is not said whether they are sound')})"
    yield from (f"{side}.{m}" for m in metrics if number(part(found, "metrics").get(m)) is None)


def _undone(model: Model, evaluation: Mapping[str, Any], with_champion: bool) -> Iterator[str]:
    """What `model.gate` asks to be looked at, and nobody has looked at, or not whole."""
    yield from (f"floors.{f.metric}" for f in model.gate.floors if find(evaluation, "floors", metric=f.metric) is None)
    for rule in model.gate.fairness:
        if find(evaluation, "fairness", column=rule.column, measure=rule.measure) is None:
            yield f"fairness.{rule.column}"
    if not with_champion:
        return
    yield from (name for name in ("psi", "largest_difference") if number(evaluation.get(name)) is None)
    rows = number(part(evaluation, "holdout").get("rows"))
    for column in model.gate.slices:
        mine = [one for one in listed(evaluation, "slices") or [] if one.get("column") == column]
        if sum(number(one.get("rows")) or 0 for one in mine) != rows:
            yield f"slices.{column} (of all rows)"
        yield from (f"slices.{column}.{one.get('value')}" for one in mine if not _judged_or_small(model, one))
    earlier = listed(evaluation, "anchors") or []
    yield from (f"anchors.{n}" for n in model.gate.anchors if n not in [one.get("nights_ago") for one in earlier])
    for anchor in earlier:
        error = anchor.get("error", "")
        scored = error is None and number(anchor.get("value")) is not None and _key(anchor.get("last"))
        if not (scored or (isinstance(error, str) and error)):
            yield f"anchors.{anchor.get('nights_ago')} (neither scored nor said why not)"


def find(evaluation: Mapping[str, Any], name: str, **wanted: str) -> Mapping[str, Any] | None:
    """The one of a list that has these values."""
    for one in listed(evaluation, name) or []:
        if all(one.get(key) == value for key, value in wanted.items()):
            return one
    return None


def _judged_or_small(model: Model, one: Mapping[str, Any]) -> bool:
    """Whether a slice was compared, or is smaller than what can be."""
    classes = model.data.label.task is Task.CLASSIFICATION
    sizes = {name: least for name, least in SLICE_NEEDS.items() if classes or name != "class_rows"}
    counted = {name: number(one.get(name)) for name in sizes}
    if any(count is None for count in counted.values()):
        return False
    if any((counted[name] or 0.0) < least for name, least in sizes.items()):
        return True
    return Gain.of(one.get("gain")) is not None and number(one.get("p_worse")) is not None


def _key(value: Any) -> bool:
    """Whether this is a partition key (keys are compared as text, so nothing else may pass)."""
    try:
        return isinstance(value, str) and date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False
