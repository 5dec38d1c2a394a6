"""The questions that the gate asks, each a pure function of the evidence, with a value, a limit and a sentence.

A check passes (True), fails (False), or cannot be answered (None). Nothing that is absent, not finite or contradictory
ever passes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from include.spec import Model, Task
from include.training import comparison
from include.training import evaluation as figures

SAME = 1e-6
"""Scores that differ by less are those of the same model."""

KINDS = ("first", "refresh", "change")
MEASURES = {
    "demographic_parity": "the share of positive decisions",
    "equalized_odds": "the true or false positive rate",
    "group_error": "the mean loss",
}

Otherwise = Literal["reject", "hold"]


@dataclass(frozen=True)
class Check:
    """One question to the evidence.

    Attributes
    ----------
    passed : None where the evidence to answer it is missing.
    otherwise : what a check that fails leads to; one that cannot be answered always leads to *hold*.
    """

    name: str
    value: float | str | None
    limit: float | str | None
    passed: bool | None
    sentence: str
    otherwise: Otherwise = "hold"


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
    """A difference with its limits, as `comparison.Estimate` tells it; positive is better."""

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
        """``better by 0.0012 (95 % sure: between 0.0043 worse and 0.0067 better)``."""
        return f"{_signed(self.value)} ({confidence} sure: {_signed(self.lower)} or better)"


def _signed(value: float) -> str:
    return f"{abs(value):.4g} {'better' if value >= 0 else 'worse'}"


def sure(model: Model) -> str:
    """The confidence of a one-sided limit: ``95 %``."""
    return f"{100 * (1 - model.gate.alpha):.3g} %"


# -- is the evidence there?


def missing(model: Model, evaluation: Mapping[str, Any]) -> list[str]:
    """Every piece of evidence that a decision needs and that is not there, or not a number; in words."""
    holdout = part(evaluation, "holdout")
    gone = [f"holdout.{name}" for name in ("first", "last") if not _key(holdout.get(name))]
    gone += [f"holdout.{name}" for name in ("days", "rows") if number(holdout.get(name)) is None]
    gone += [f"{name}" for name in ("blocks", "spread") if number(evaluation.get(name)) is None]
    sides = ["challenger", "baseline", *_champion(evaluation, gone)]
    metrics = [name for name, metric in figures.METRICS.items() if metric.task is model.data.label.task]
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
    if kind not in KINDS or (kind == "first") == ("champion" in sides):
        gone.append("kind (whether the challenger is the first, a refresh of the champion's recipe, or another)")
    if not isinstance(evaluation.get("strongest"), Mapping):
        gone.append("strongest (the feature that explains most)")
    return gone


def _champion(evaluation: Mapping[str, Any], gone: list[str]) -> list[str]:
    exists, why = evaluation.get("champion_exists"), evaluation.get("champion_unusable", "it is not said whether it is")
    if exists is True:
        if why is None:
            return ["champion"]
        gone.append(f"a usable champion ({why})")
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
    """What `model.gate` asks to be looked at, and nobody has looked at."""
    gate = model.gate
    wanted: dict[str, list[str]] = {
        "floors": [f.metric for f in gate.floors],
        "fairness": [f.column for f in gate.fairness],
    }
    wanted["slices"] = list(gate.slices) if with_champion else []
    for name, of in wanted.items():
        seen = {one.get("metric" if name == "floors" else "column") for one in listed(evaluation, name) or []}
        yield from (f"{name}.{one}" for one in of if one not in seen)
    if with_champion:
        yield from (name for name in ("psi", "largest_difference") if number(evaluation.get(name)) is None)


def _key(value: Any) -> bool:
    """Whether this is a partition key (keys are compared as text, so nothing else may pass)."""
    try:
        return isinstance(value, str) and date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def complete(gone: list[str]) -> Check:
    if gone:
        return Check("evidence", len(gone), 0, None, f"Evidence is missing: {', '.join(gone)}.")
    return Check("evidence", 0, 0, True, "All evidence is there.")


def finite(evaluation: Mapping[str, Any]) -> Check:
    """Whether the challenger could be scored at all; its scores are what would serve."""
    found = part(evaluation, "challenger")
    error = found.get("error", "it is not said whether the scores are sound")
    if error is None:
        return Check("scores", "finite", "finite", True, "Every score of the challenger is a finite number.", "reject")
    known = "error" in found and isinstance(error, str)
    sentence = f"The challenger's scores cannot be used: {error}."
    return Check("scores", str(error), "finite", False if known else None, sentence, "reject")


def varied(evaluation: Mapping[str, Any]) -> Check:
    """A model that says the same of every row has learned nothing."""
    spread = number(evaluation.get("spread"))
    name = "output varies"
    if spread is None:
        return Check(name, None, 0.0, None, "It is not known whether the challenger's scores differ between rows.")
    sentence = (
        f"The challenger's scores have a standard deviation of {spread:.3g}."
        if spread > SAME
        else "The challenger gives every row the same score."
    )
    return Check(name, spread, 0.0, spread > SAME, sentence, "reject")


# -- is it enough, and sound?


def enough(model: Model, evaluation: Mapping[str, Any]) -> Iterator[Check]:
    holdout, gate = evaluation["holdout"], model.gate
    days, rows, blocks = int(holdout["days"]), int(holdout["rows"]), int(evaluation["blocks"])
    needed = f"at least {gate.min_days} are needed"
    yield Check(
        "days", days, gate.min_days, days >= gate.min_days, f"The holdout has {days} days with labels; {needed}."
    )
    if gate.block_days > 1:
        text = f"They are {blocks} blocks of {gate.block_days} days; at least 2 are needed."
        yield Check("blocks", blocks, 2, blocks >= 2, text)
    needed = f"at least {gate.min_rows} are needed"
    yield Check(
        "rows", rows, gate.min_rows, rows >= gate.min_rows, f"The holdout has {rows} rows with labels; {needed}."
    )
    if model.data.label.task is Task.CLASSIFICATION:
        counts = {name: number(n) or 0.0 for name, n in evaluation["class_rows"].items()}
        name, least = min(counts.items(), key=lambda item: item[1])
        text = f"The scarcest class, {name}, has {least:.0f} rows; at least {gate.min_class_rows} are needed."
        enough_of_each = least >= gate.min_class_rows and len(counts) > 1
        yield Check("rows of each class", least, gate.min_class_rows, enough_of_each, text)


def same_rows(evaluation: Mapping[str, Any], sides: list[str]) -> Check:
    rows = evaluation["holdout"]["rows"]
    others = [f"{s} on {evaluation[s]['rows']}" for s in sides if evaluation[s]["rows"] != rows]
    if others:
        told = "; ".join(others)
        return Check("same rows", told, rows, False, f"Not all were scored on the same {rows} rows: {told}.")
    return Check("same rows", rows, rows, True, f"All were scored on the same {rows} rows.")


def unseen(evaluation: Mapping[str, Any], sides: list[str]) -> Check:
    """No model is judged on a day that it was fitted on."""
    first, fits = evaluation["holdout"]["first"], {side: evaluation[side]["last"] for side in sides}
    seen = [f"{side} (fitted up to {last})" for side, last in fits.items() if last >= first]
    if seen:
        told = ", ".join(seen)
        return Check("unseen", told, first, False, f"The holdout begins on {first}, and was seen by: {told}.")
    last = max(fits.values())
    text = f"No model has seen the holdout: it begins on {first}, the fits end by {last}."
    return Check("unseen", last, first, True, text)


# -- is it sane?


def no_leak(model: Model, evaluation: Mapping[str, Any]) -> Check:
    """One feature that explains everything is most likely the answer under another name."""
    limit, found = model.gate.leak_alarm, part(evaluation, "strongest")
    power, name = number(found.get("power")), found.get("feature")
    if power is None or not isinstance(name, str):
        return Check("no leak", None, limit, None, "It is not known how much a single feature explains.")
    unit = "rank correlation" if model.data.label.task is Task.REGRESSION else "ROC-AUC"
    sentence = (
        f"The strongest feature, {name!r}, has a {unit} of {power:.3f} by itself; from {limit:g} on it is a leak."
    )
    return Check("no leak", power, limit, power < limit, sentence, "reject")


def like_the_champion(model: Model, evaluation: Mapping[str, Any]) -> Iterator[Check]:
    if not evaluation["champion_exists"]:
        return
    difference, torn, limit = evaluation["largest_difference"], evaluation["psi"], model.gate.max_psi
    text = f"On one row at least it differs from the champion by {difference:.3g}."
    if difference < SAME:
        text = f"It is the same model as the champion: no score differs by more than {difference:.1g}."
    yield Check("another model", difference, SAME, difference >= SAME, text)
    text = f"The distribution of its scores is {torn:.2f} away from the champion's (PSI; up to {limit:g} is usual)."
    yield Check("scores distributed alike", torn, limit, torn <= limit, text, "reject")


def better_than_baseline(model: Model, evaluation: Mapping[str, Any], sound: bool) -> Check:
    name, metric = "better than the baseline", model.gate.baseline_metric or model.training.metric
    pair = _pair(evaluation, "baseline", metric) if sound else None
    if pair is None:
        return Check(name, None, 0.0, None, "It cannot be said whether the challenger beats the baseline.")
    gain, mine, theirs = pair
    told = f"The challenger's {metric} is {mine:.4f}, the trivial baseline's {theirs:.4f}: {gain.words(sure(model))}."
    if gain.value > 0:
        return Check(name, gain.value, 0.0, True, told)
    if gain.upper < 0:
        return Check(name, gain.value, 0.0, False, f"{told} It is worse than guessing.", "reject")
    return Check(name, gain.value, 0.0, False, f"{told} It is not known to be better than guessing.", "hold")


def floors(model: Model, evaluation: Mapping[str, Any]) -> Iterator[Check]:
    for found in evaluation["floors"]:
        gain, value = Gain.of(found.get("gain")), number(found.get("value"))
        name, limit = f"floor of {found['metric']}", number(found.get("limit"))
        if gain is None or value is None:
            yield Check(name, value, limit, None, f"It cannot be said whether {found['metric']} keeps to {limit}.")
            continue
        violated = gain.upper < 0
        text = f"Its {found['metric']} is {value:.4f}; {limit:g} is promised"
        text += f", and it is {sure(model)} sure that this is not kept." if violated else "."
        yield Check(name, value, limit, not violated, text, "reject")


# -- may it replace the champion?


def not_worse_than_champion(model: Model, evaluation: Mapping[str, Any], sound: bool) -> Check:
    """Non-inferiority: promote where the lower limit is above -margin, reject where the upper one is below."""
    margin, name, metric = model.gate.margin, "not worse than the champion", model.training.metric
    if sound and evaluation["champion_exists"] is False:
        return Check(name, None, -margin, True, "There is no champion yet, so it needs to beat the baseline only.")
    pair = _pair(evaluation, "champion", metric) if sound else None
    if pair is None:
        return Check(name, None, -margin, None, "It cannot be said whether the challenger is worse than the champion.")
    gain, mine, theirs = pair
    who = evaluation["champion"]["name"]
    told = f"Against {who} its {metric} is {mine:.4f} to {theirs:.4f}: {gain.words(sure(model))}"
    if gain.lower > -margin:
        return Check(name, gain.lower, -margin, True, f"{told}; {margin:g} worse is allowed.")
    if gain.upper < -margin:
        worst = f"{told}, and surely more than the {margin:g} that are allowed."
        return Check(name, gain.upper, -margin, False, worst, "reject")
    return Check(name, gain.lower, -margin, False, f"{told}: too uncertain, {margin:g} worse is allowed.", "hold")


def a_change_is_better(model: Model, evaluation: Mapping[str, Any]) -> Iterator[Check]:
    """Another recipe than the champion's has to be better, on weeks of scores of both."""
    if evaluation["kind"] != "change":
        return
    found, wanted, name = part(evaluation, "change"), model.gate.change_days, "another recipe is better"
    days, gain = number(found.get("days")), Gain.of(found.get("gain"))
    who = f"{found.get('rival', 'the rival')} against {found.get('incumbent', 'the recipe of the champion')}"
    if days is None or days < wanted:
        text = f"{days or 0:.0f} of the {wanted} days of scores that another recipe needs are there ({who})."
        yield Check(name, days, wanted, None, text)
    elif gain is None:
        yield Check(
            name,
            None,
            0.0,
            None,
            f"It cannot be said from {days:.0f} days whether the change is one for the better ({who}).",
        )
    else:
        text = f"On {days:.0f} days {who}: {gain.words(sure(model))}; more than 0 is needed."
        yield Check(name, gain.lower, 0.0, gain.lower > 0, text)


def anchors(model: Model, evaluation: Mapping[str, Any]) -> Iterator[Check]:
    """Small losses within the margin must not add up: champions of earlier nights are the measure, too."""
    limit, metric = -model.gate.margin / 2, model.training.metric
    mine = number(part(evaluation, "challenger", "metrics").get(metric))
    known = []
    for anchor in evaluation["anchors"]:
        value = number(anchor.get("value"))
        if value is not None and mine is not None and anchor.get("last", "9999") < evaluation["holdout"]["first"]:
            known.append((figures.gain(metric, mine, value), anchor))
    if not known:
        return
    gain, best = min(known, key=lambda pair: pair[0])
    text = (
        f"Against {best.get('name', 'the best earlier champion')}, the best of {len(known)} earlier champions, it is "
        f"{_signed(gain)}; {-limit:g} worse is allowed."
    )
    yield Check("not slowly worse", gain, limit, gain >= limit, text)


def slices(model: Model, evaluation: Mapping[str, Any]) -> Iterator[Check]:
    """Whether one value of a column is surely worse than the margin of a slice; Holm over all that are judged."""
    margin = model.gate.slice_margin or 2 * model.gate.margin
    for column in model.gate.slices if evaluation["champion_exists"] else ():
        yield from _slices_of(model, evaluation, column, margin)


def _slices_of(model: Model, evaluation: Mapping[str, Any], column: str, margin: float) -> Iterator[Check]:
    name = f"slices of {column}"
    mine = [one for one in evaluation["slices"] if one.get("column") == column]
    tested = [one for one in evaluation["slices"] if one.get("gain") is not None]
    p_values = [number(one.get("p_worse")) for one in tested]
    if any(p is None for p in p_values):
        yield Check(name, None, -margin, None, f"It cannot be said how {column} fares: p-values are missing.")
        return
    worse = comparison.holm([float(p or 0.0) for p in p_values], model.gate.alpha)
    bad = [one for one, is_worse in zip(tested, worse, strict=True) if is_worse and one.get("column") == column]
    judged = [one for one in tested if one.get("column") == column]
    if bad:
        told = ", ".join(f"{one['value']} ({_signed(part(one, 'gain')['value'])} on {one['rows']} rows)" for one in bad)
        worst = min(part(one, "gain")["value"] for one in bad)
        yield Check(
            name, worst, -margin, False, f"Surely worse than the champion by more than {margin:g}: {told}.", "reject"
        )
        return
    text = (
        f"No value of {column} is surely worse by more than {margin:g} ({len(judged)} of {len(mine)} have enough rows)."
    )
    yield Check(name, len(bad), 0, True, text, "reject")


def fairness(model: Model, evaluation: Mapping[str, Any]) -> Iterator[Check]:
    for found in evaluation["fairness"]:
        name, limit = f"{found['measure']} of {found['column']}", number(found.get("limit"))
        gap, what = Gain.of(found.get("difference")), MEASURES.get(str(found["measure"]), str(found["measure"]))
        if limit is None:
            shown = f"{gap.value:.3f}" if gap else "unknown"
            text = f"Between the groups of {found['column']} {what} differs by {shown}; this is reported only."
            yield Check(name, gap.value if gap else None, None, True, text)
        elif gap is None:
            yield Check(
                name,
                None,
                limit,
                None,
                f"It cannot be said how much {what} differs between the groups of {found['column']}.",
            )
        else:
            violated = gap.lower > limit
            text = f"Between the groups of {found['column']} {what} differs by {gap.value:.3f}; {limit:g} is allowed"
            text += f", and {sure(model)} sure it is more." if violated else "."
            yield Check(name, gap.value, limit, not violated, text, "reject")


def _pair(evaluation: Mapping[str, Any], other: str, metric: str) -> tuple[Gain, float, float] | None:
    """The paired gain, the challenger's value and the other's; None where one is missing or they do not agree."""
    gain = Gain.of(part(evaluation, "paired", other).get(metric))
    mine, theirs = (number(part(evaluation, side, "metrics").get(metric)) for side in ("challenger", other))
    if gain is None or mine is None or theirs is None:
        return None
    return (
        (gain, mine, theirs)
        if abs(figures.gain(metric, mine, theirs) - gain.value) < 1e-6 * max(1, abs(mine))
        else None
    )
