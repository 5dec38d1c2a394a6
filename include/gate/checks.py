"""The questions that the gate asks, each a pure function of the evidence, with a value, a limit and a sentence.

A check passes (True), fails (False), or cannot be answered (None). Nothing that is absent, not finite or contradictory
ever passes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from include.gate.completeness import Gain, find, listed, number, part, signed
from include.spec import Model, Task
from include.statistics import metrics, uncertainty
from include.training import evaluation as figures

SAME = 1e-6
"""Scores that differ by less are those of the same model."""

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


def sure(model: Model) -> str:
    """The confidence of a one-sided limit: ``95 %``."""
    return f"{100 * (1 - model.gate.alpha):.3g} %"


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
    sentence = f"The challenger's scores cannot be used: {str(error).rstrip('.')}."
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


def not_too_good(model: Model, evaluation: Mapping[str, Any]) -> Iterator[Check]:
    """A challenger that all of a sudden knows nearly everything most likely knows the answer, from several features."""
    metric = "r2" if model.data.label.task is Task.REGRESSION else "roc_auc"
    mine, theirs = (number(part(evaluation, side, "metrics").get(metric)) for side in ("challenger", "champion"))
    if not evaluation["champion_exists"] or mine is None or theirs is None:
        return
    limit = model.gate.leak_alarm
    text = f"Its {metric} is {mine:.3f}, the champion's on the same rows {theirs:.3f}"
    sudden = theirs < limit <= mine
    text += f": too good to be true (from {limit:g} on); look for inputs that know the answer." if sudden else "."
    yield Check("not too good", mine, limit, not sudden, text, "reject")


def like_the_champion(model: Model, evaluation: Mapping[str, Any]) -> Iterator[Check]:
    """Another model than the champion, and not grossly unlike it.

    Scores that are torn away from the champion's are no fault where they are surely better ones: then the champion is
    out of date, and a gate that asks for its distribution would keep it for ever.
    """
    if not evaluation["champion_exists"]:
        return
    difference, torn, limit = evaluation["largest_difference"], evaluation["psi"], model.gate.max_psi
    text = f"On one row at least it differs from the champion by {difference:.3g}."
    if difference < SAME:
        by = f" by more than {difference:.1g}" if difference else ""
        text = f"It is the same model as the champion: no score differs{by}."
    yield Check("another model", difference, SAME, difference >= SAME, text)
    text = f"The distribution of its scores is {torn:.2f} away from the champion's (PSI; up to {limit:g} is usual)."
    pair = _pair(model, evaluation, "champion", model.training.metric)
    outdated = torn > limit and pair is not None and pair[0].lower > 0
    if outdated:
        text += " It is surely better on the same rows, so it is the champion's that are out of date."
    yield Check("scores distributed alike", torn, limit, torn <= limit or outdated, text, "reject")


def better_than_baseline(model: Model, evaluation: Mapping[str, Any], sound: bool) -> Check:
    name, metric = "better than the baseline", model.gate.baseline_metric or model.training.metric
    pair = _pair(model, evaluation, "baseline", metric) if sound else None
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
    for floor in model.gate.floors:
        found = find(evaluation, "floors", metric=floor.metric) or {}
        gain, value, name = Gain.of(found.get("gain")), number(found.get("value")), f"floor of {floor.metric}"
        if gain is None or value is None:
            text = f"It cannot be said whether {floor.metric} keeps to the {floor.limit:g} that are promised."
            yield Check(name, value, floor.limit, None, text)
            continue
        violated = gain.upper < 0
        text = f"Its {floor.metric} is {value:.4f}; {floor.limit:g} is promised"
        text += f", and it is {sure(model)} sure that this is not kept." if violated else "."
        yield Check(name, value, floor.limit, not violated, text, "reject")


# -- may it replace the champion?


def not_worse_than_champion(model: Model, evaluation: Mapping[str, Any], sound: bool) -> Check:
    """Non-inferiority: promote where the lower limit is above -margin, reject where the upper one is below."""
    margin, name, metric = model.gate.margin, "not worse than the champion", model.training.metric
    if sound and evaluation["champion_exists"] is False:
        return Check(name, None, -margin, True, "There is no champion yet, so it needs to beat the baseline only.")
    pair = _pair(model, evaluation, "champion", metric) if sound else None
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
        text = f"{days or 0:.0f} of the {wanted} days of scores that another recipe needs are there ({who}"
        yield Check(name, days, wanted, None, f"{text}){_so_far(model, evaluation, gain)}.{_outlook(found)}")
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
        passed = gain.lower > 0
        yield Check(name, gain.lower, 0.0, passed, text if passed else text + _outlook(found, gain))


def _so_far(model: Model, evaluation: Mapping[str, Any], gain: Gain | None) -> str:
    """How much better another recipe is on the days of scores that are there; without any, on tonight's holdout."""
    if gain is not None:
        return f"; on these it is {gain.words(sure(model))}"
    tonight = Gain.of(part(evaluation, "paired", "champion").get(model.training.metric))
    return "" if tonight is None else f"; on tonight's holdout it is {tonight.words(sure(model))}"


def _outlook(found: Mapping[str, Any], gain: Gain | None = None) -> str:
    """When another recipe can pass, as a sentence of its own; ``gain``: what is not enough, of enough days."""
    needed, earliest = number(found.get("needed")), found.get("earliest")
    if gain is not None and gain.value <= 0:
        return " It cannot pass before it is better."
    if gain is not None and "needed" in found and needed is None:
        return " So small a gain does not show in the days of scores that are kept: it cannot pass unless it grows."
    if not isinstance(earliest, str) or needed is None:
        return ""
    if gain is not None:
        return f" If the gain stays as it is, {needed:.0f} days show it: in the night about {earliest}."
    return (
        f" It can pass in the night about {earliest} at the earliest, if it wins the selection every night until then."
    )


def anchors(model: Model, evaluation: Mapping[str, Any]) -> Iterator[Check]:
    """Small losses within the margin must not add up: champions of earlier nights are the measure, too.

    A challenger that is surely better than the champion is no step down: to hold it would keep what is worse still.
    """
    limit, metric = -model.gate.margin / 2, model.training.metric
    mine = number(part(evaluation, "challenger", "metrics").get(metric))
    compared, known = figures.metric(model, metric), []
    for anchor in evaluation["anchors"]:
        value = number(anchor.get("value"))
        if value is not None and mine is not None and anchor.get("last", "9999") < evaluation["holdout"]["first"]:
            known.append((metrics.gain(compared, mine, value), anchor))
    if not known:
        return
    versions = len({anchor.get("version") for _, anchor in known})
    gain, best = min(known, key=lambda pair: pair[0])
    text = (
        f"Against {best.get('name', 'the best earlier champion')}, the best of {versions} earlier champions, it is "
        f"{signed(gain)}; {-limit:g} worse is allowed."
    )
    pair = _pair(model, evaluation, "champion", metric)
    step_up = gain < limit and pair is not None and pair[0].lower > 0
    if step_up:
        text += " It is surely better than the champion that serves now, which is worse still."
    yield Check("not slowly worse", gain, limit, gain >= limit or step_up, text)


def slices(model: Model, evaluation: Mapping[str, Any]) -> Iterator[Check]:
    """Whether one value of a column is surely worse than the margin of a slice; Holm over all that are judged."""
    if not evaluation["champion_exists"]:
        return
    margin = model.gate.slice_margin or 2 * model.gate.margin
    judged = [one for one in evaluation["slices"] if one.get("gain") is not None]
    worse = uncertainty.holm([float(one["p_worse"]) for one in judged], model.gate.alpha)
    bad = [one for one, is_worse in zip(judged, worse, strict=True) if is_worse]
    for column in model.gate.slices:
        name, mine = f"slices of {column}", [one for one in bad if one["column"] == column]
        if mine:
            told = ", ".join(f"{one['value']} ({signed(one['gain']['value'])} on {one['rows']} rows)" for one in mine)
            text = f"Surely worse than the champion by more than {margin:g} where {column} is {told}."
            yield Check(name, min(one["gain"]["value"] for one in mine), -margin, False, text, "reject")
            continue
        every = [one for one in evaluation["slices"] if one["column"] == column]
        known = [one for one in every if one.get("gain") is not None]
        least = min((one["gain"]["value"] for one in known), default=None)
        enough = f"{len(known)} of {len(every)} values of {column} have enough rows"
        text = f"Nowhere surely worse than the champion by more than {margin:g}: {enough}."
        yield Check(name, least, -margin, True, text, "reject")


def fairness(model: Model, evaluation: Mapping[str, Any]) -> Iterator[Check]:
    for rule in model.gate.fairness:
        found = find(evaluation, "fairness", column=rule.column, measure=rule.measure) or {}
        gap, name = Gain.of(found.get("difference")), f"{rule.measure} of {rule.column}"
        between = f"Between the groups of {rule.column} {MEASURES[rule.measure]} differs by"
        if rule.limit is None:
            text = f"{between} {f'{gap.value:.3f}' if gap else 'an unknown amount'}; this is reported only."
            yield Check(name, gap.value if gap else None, None, True, text)
        elif gap is None:
            known = listed(found, "groups") or []
            enough = sum(one.get("judged") is True for one in known)
            text = (
                f"{between} an amount that cannot be computed ({enough} of {len(known)} groups have enough rows); "
                f"{rule.limit:g} is allowed."
            )
            yield Check(name, None, rule.limit, None, text)
        else:
            violated = gap.lower > rule.limit
            text = f"{between} {gap.value:.3f}; {rule.limit:g} is allowed"
            text += f", and it is {sure(model)} sure that it is more." if violated else "."
            yield Check(name, gap.value, rule.limit, not violated, text, "reject")


def _pair(model: Model, evaluation: Mapping[str, Any], other: str, metric: str) -> tuple[Gain, float, float] | None:
    """The paired gain, the challenger's value and the other's; None where one is missing or they do not agree."""
    gain = Gain.of(part(evaluation, "paired", other).get(metric))
    mine, theirs = (number(part(evaluation, side, "metrics").get(metric)) for side in ("challenger", other))
    if gain is None or mine is None or theirs is None:
        return None
    return (
        (gain, mine, theirs)
        if abs(metrics.gain(figures.metric(model, metric), mine, theirs) - gain.value) < 1e-6 * max(1, abs(mine))
        else None
    )
