"""The questions that the gate asks, each a pure function of an evaluation, with a value, a limit and a sentence.

A check passes (True), fails (False), or cannot be answered (None). Nothing that is missing or contradictory ever
passes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from include.gate.evaluation import BASELINE, CHALLENGER, CHAMPION, Anchor, Change, Evaluation, Gain, signed
from include.spec import Model, Task
from include.statistics import metrics, uncertainty
from include.training import measures

SAME = 1e-6
"""Scores that differ by less are those of the same model."""

MEASURES = {
    "demographic_parity": "the share of positive decisions",
    "equalized_odds": "the true or false positive rate",
    "group_error": "the mean loss",
}

Otherwise = Literal["reject", "hold"]


@dataclass(frozen=True, config=ConfigDict(strict=True, extra="forbid", allow_inf_nan=False))
class Check:
    """One question about the evidence, and the answer.

    Attributes
    ----------
    passed : None if the evidence to answer it is missing.
    otherwise : what a check that fails leads to; one that cannot be answered always leads to *hold*.
    """

    name: str
    value: int | float | str | None
    limit: int | float | str | None
    passed: bool | None
    sentence: str
    otherwise: Otherwise = "hold"

    @property
    def result(self) -> str:
        """``passed``, or the verdict that the check leads to: ``REJECT`` or ``HOLD``."""
        if self.passed:
            return "passed"
        return "REJECT" if self.passed is False and self.otherwise == "reject" else "HOLD"


def sure(model: Model) -> str:
    """The confidence of a one-sided limit: ``95 %``."""
    return f"{100 * (1 - model.gate.alpha):.3g} %"


def complete(gone: list[str]) -> Check:
    if gone:
        return Check("evidence", len(gone), 0, None, f"Evidence is missing: {', '.join(gone)}.")
    return Check("evidence", 0, 0, True, "All evidence is there.")


def scored(evaluation: Evaluation) -> Check:
    """Whether the challenger could be scored at all; a model without usable scores cannot serve."""
    error = evaluation.challenger.error
    if error is None:
        return Check("scores", "finite", "finite", True, "Every score of the challenger is a finite number.", "reject")
    sentence = f"The challenger's scores cannot be used: {error.rstrip('.')}."
    return Check("scores", error, "finite", False, sentence, "reject")


def varied(evaluation: Evaluation) -> Check:
    """A model that gives every row the same score has learned nothing."""
    spread, name = evaluation.spread, "output varies"
    if spread is None:
        return Check(name, None, 0.0, None, "It is not known whether the challenger's scores differ between rows.")
    sentence = (
        f"The challenger's scores have a standard deviation of {spread:.3g}."
        if spread > SAME
        else "The challenger gives every row the same score."
    )
    return Check(name, spread, 0.0, spread > SAME, sentence, "reject")


# -- is it enough, and sound?


def enough(model: Model, evaluation: Evaluation) -> Iterator[Check]:
    holdout, gate = evaluation.holdout, model.gate
    days, rows, blocks = holdout.days, holdout.rows, evaluation.blocks or 0
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
        counts = evaluation.class_rows or {"": 0}
        name, least = min(counts.items(), key=lambda item: item[1])
        text = f"The scarcest class, {name}, has {least} rows; at least {gate.min_class_rows} are needed."
        enough_of_each = least >= gate.min_class_rows and len(counts) > 1
        yield Check("rows of each class", float(least), gate.min_class_rows, enough_of_each, text)


def same_rows(evaluation: Evaluation, sides: list[str]) -> Check:
    rows, found = evaluation.holdout.rows, {name: evaluation.side(name) for name in sides}
    others = [f"{name} on {side.rows}" for name, side in found.items() if side and side.rows != rows]
    if others:
        listed = "; ".join(others)
        return Check("same rows", listed, rows, False, f"Not all were scored on the same {rows} rows: {listed}.")
    return Check("same rows", rows, rows, True, f"All were scored on the same {rows} rows.")


def unseen(evaluation: Evaluation, sides: list[str]) -> Check:
    """No model is judged on a day that it was fitted on."""
    first, found = evaluation.holdout.first, {name: evaluation.side(name) for name in sides}
    fits = {name: side.last for name, side in found.items() if side}
    seen = [f"{side} (fitted up to {last})" for side, last in fits.items() if last >= first]
    if seen:
        listed = ", ".join(seen)
        return Check("unseen", listed, first, False, f"The holdout begins on {first}, and was seen by: {listed}.")
    last = max(fits.values())
    text = f"No model has seen the holdout: it begins on {first}, the fits end by {last}."
    return Check("unseen", last, first, True, text)


# -- is it sane?


def no_leak(model: Model, evaluation: Evaluation) -> Check:
    """A feature that explains everything is most likely the label in another form."""
    limit, found = model.gate.leak_alarm, evaluation.strongest
    if found is None:
        return Check("no leak", None, limit, None, "It is not known how much a single feature explains.")
    unit = "rank correlation" if model.data.label.task is Task.REGRESSION else "ROC-AUC"
    sentence = (
        f"The strongest feature, {found.feature!r}, has a {unit} of {found.power:.3f} on its own; at {limit:g} "
        "or more it is a leak."
    )
    return Check("no leak", found.power, limit, found.power < limit, sentence, "reject")


def not_too_good(model: Model, evaluation: Evaluation) -> Iterator[Check]:
    """A challenger that is suddenly almost perfect most likely gets the label from a combination of features."""
    metric = "r2" if model.data.label.task is Task.REGRESSION else "roc_auc"
    mine, theirs = (evaluation.metric(side, metric) for side in (CHALLENGER, CHAMPION))
    if mine is None or theirs is None:
        return
    limit = model.gate.leak_alarm
    text = f"Its {metric} is {mine:.3f}, the champion's on the same rows {theirs:.3f}"
    sudden = theirs < limit <= mine
    text += (
        f": suspiciously good (a possible leak, from {limit:g}); look for inputs that know the answer."
        if sudden
        else "."
    )
    yield Check("not too good", mine, limit, not sudden, text, "reject")


def like_the_champion(model: Model, evaluation: Evaluation) -> Iterator[Check]:
    """Another model than the champion, and not grossly unlike it.

    Scores that are distributed differently are not a fault if they are significantly better: then the champion is out
    of date, and a gate that asks for its distribution would keep it for ever.
    """
    difference, torn, limit = evaluation.largest_difference, evaluation.psi, model.gate.max_psi
    if not evaluation.champion_exists or difference is None or torn is None:
        return
    text = f"On one row at least it differs from the champion by {difference:.3g}."
    if difference < SAME:
        by = f" by more than {difference:.1g}" if difference else ""
        text = f"It is the same model as the champion: no score differs{by}."
    yield Check("another model", difference, SAME, difference >= SAME, text)
    text = f"The distribution of its scores is {torn:.2f} away from the champion's (PSI; up to {limit:g} is usual)."
    pair = _pair(model, evaluation, CHAMPION, model.training.metric)
    outdated = torn > limit and pair is not None and pair[0].lower > 0
    if outdated:
        text += " It is significantly better on the same rows, so the champion's scores are out of date."
    yield Check("scores distributed alike", torn, limit, torn <= limit or outdated, text, "reject")


def better_than_baseline(model: Model, evaluation: Evaluation, sound: bool) -> Check:
    name, metric = "better than the baseline", model.gate.baseline_metric or model.training.metric
    pair = _pair(model, evaluation, BASELINE, metric) if sound else None
    if pair is None:
        return Check(name, None, 0.0, None, "It is not known whether the challenger beats the baseline.")
    gain, mine, theirs = pair
    figures = (
        f"The challenger's {metric} is {mine:.4f}, the trivial baseline's {theirs:.4f}: {gain.words(sure(model))}."
    )
    if gain.value > 0:
        return Check(name, gain.value, 0.0, True, figures)
    if gain.upper < 0:
        return Check(name, gain.value, 0.0, False, f"{figures} It is worse than guessing.", "reject")
    return Check(name, gain.value, 0.0, False, f"{figures} It is not known to be better than guessing.", "hold")


def floors(model: Model, evaluation: Evaluation) -> Iterator[Check]:
    for floor in model.gate.floors:
        found, name = evaluation.floor_of(floor.metric), f"floor of {floor.metric}"
        gain, value = (Gain.of(found.gain), found.value) if found else (None, None)
        if gain is None or value is None:
            text = f"It is not known whether {floor.metric} keeps to the {floor.limit:g} that are promised."
            yield Check(name, value, floor.limit, None, text)
            continue
        violated = gain.upper < 0
        text = f"Its {floor.metric} is {value:.4f}; {floor.limit:g} is promised"
        text += f", and with {sure(model)} confidence this is not kept." if violated else "."
        yield Check(name, value, floor.limit, not violated, text, "reject")


# -- may it replace the champion?


def not_worse_than_champion(model: Model, evaluation: Evaluation, sound: bool) -> Check:
    """Non-inferiority: promote if the lower limit is above -margin, reject if the upper one is below."""
    margin, name, metric = model.gate.margin, "not worse than the champion", model.training.metric
    if sound and not evaluation.champion_exists:
        return Check(name, None, -margin, True, "There was no champion, so it only had to beat the baseline.")
    pair, champion = _pair(model, evaluation, CHAMPION, metric) if sound else None, evaluation.champion
    if pair is None or champion is None:
        return Check(name, None, -margin, None, "It is not known whether the challenger is worse than the champion.")
    gain, mine, theirs = pair
    figures = f"Against {champion.name} its {metric} is {mine:.4f} to {theirs:.4f}: {gain.words(sure(model))}"
    if gain.lower > -margin:
        return Check(name, gain.lower, -margin, True, f"{figures}; {margin:g} worse is allowed.")
    if gain.upper < -margin:
        worst = f"{figures}, and significantly more than the {margin:g} that are allowed."
        return Check(name, gain.upper, -margin, False, worst, "reject")
    return Check(name, gain.lower, -margin, False, f"{figures}: too uncertain, {margin:g} worse is allowed.", "hold")


def another_recipe_is_better(model: Model, change: Change | None, tonight: Gain | None = None) -> Check:
    """Another recipe than the champion's must be better, on weeks of scores of both.

    Parameters
    ----------
    change : None if nothing is known about it.
    tonight : how much better it is on tonight's holdout; this is reported only.
    """
    wanted, name = model.gate.change_days, "another recipe is better"
    if change is None:
        text = f"0 of the {wanted} days of scores that another recipe needs are there."
        return Check(name, None, wanted, None, text)
    days, gain, who = change.days, Gain.of(change.gain), f"{change.rival} against {change.incumbent}"
    if days < wanted:
        text = f"{days} of the {wanted} days of scores that another recipe needs are there ({who})"
        return Check(name, days, wanted, None, f"{text}{_so_far(model, gain, tonight)}.{_outlook(change)}")
    if gain is None:
        text = f"It cannot be concluded from {days} days whether the change is an improvement ({who})."
        return Check(name, None, 0.0, None, text)
    text = f"On {days} days {who}: {gain.words(sure(model))}; more than 0 is needed."
    passed = gain.lower > 0
    return Check(name, gain.lower, 0.0, passed, text if passed else text + _outlook(change, gain))


def _so_far(model: Model, gain: Gain | None, tonight: Gain | None) -> str:
    """How much better another recipe is on the days of scores that are there; without any, on tonight's holdout."""
    if gain is not None:
        return f"; on these it is {gain.words(sure(model))}"
    return "" if tonight is None else f"; on tonight's holdout it is {tonight.words(sure(model))}"


def _outlook(change: Change, gain: Gain | None = None) -> str:
    """When another recipe can pass, as a sentence of its own; ``gain``: what is not enough, of enough days."""
    if gain is not None and gain.value <= 0:
        return " It cannot pass before it is better."
    if gain is not None and change.needed is None:
        return " So small a gain does not show in the days of scores that are kept: it cannot pass unless it grows."
    if change.earliest is None or change.needed is None:
        return ""
    if gain is not None:
        return f" If the gain stays as it is, {change.needed} days show it: in the night about {change.earliest}."
    return (
        f" It can pass in the night about {change.earliest} at the earliest, if it wins the selection every night "
        "until then."
    )


def anchors(model: Model, evaluation: Evaluation) -> Iterator[Check]:
    """Small losses within the margin must not add up: the challenger is also compared with champions of earlier nights.

    A challenger that is significantly better than the champion is not a step down: a hold would keep a champion that
    is worse.
    """
    limit, metric = -model.gate.margin / 2, model.training.metric
    mine, first = evaluation.metric(CHALLENGER, metric), evaluation.holdout.first
    compared, known = measures.metric(model, metric), list[tuple[float, Anchor]]()
    for anchor in evaluation.anchors or ():
        if anchor.value is not None and mine is not None and anchor.last is not None and anchor.last < first:
            known.append((metrics.gain(compared, mine, anchor.value), anchor))
    if not known:
        return
    versions = len({anchor.version for _, anchor in known})
    gain, best = min(known, key=lambda pair: pair[0])
    text = (
        f"Against {best.name or 'the best earlier champion'}, the best of {versions} earlier champions, it is "
        f"{signed(gain)}; {-limit:g} worse is allowed."
    )
    pair = _pair(model, evaluation, CHAMPION, metric)
    step_up = gain < limit and pair is not None and pair[0].lower > 0
    if step_up:
        text += " It is significantly better than the champion that serves now, which is worse still."
    yield Check("not slowly worse", gain, limit, gain >= limit or step_up, text)


def slices(model: Model, evaluation: Evaluation) -> Iterator[Check]:
    """Whether one value of a column is significantly worse than the margin of a slice; Holm over all that are
    judged."""
    if not evaluation.champion_exists:
        return
    margin = model.gate.slice_margin or 2 * model.gate.margin
    every = evaluation.slices or ()
    pairs = [(one, gain) for one in every if (gain := Gain.of(one.gain)) is not None]
    p_values = [uncertainty.UNDEFINED if one.p_worse is None else one.p_worse for one, _ in pairs]
    worse = uncertainty.holm(p_values, model.gate.alpha)
    bad = [pair for pair, is_worse in zip(pairs, worse, strict=True) if is_worse]
    for column in model.gate.slices:
        name, mine = f"slices of {column}", [(one, gain) for one, gain in bad if one.column == column]
        if mine:
            listed = ", ".join(f"{one.value} ({signed(gain.value)} on {one.rows} rows)" for one, gain in mine)
            text = f"Significantly worse than the champion by more than {margin:g} if {column} is {listed}."
            yield Check(name, min(gain.value for _, gain in mine), -margin, False, text, "reject")
            continue
        known = [gain.value for one, gain in pairs if one.column == column]
        least = min(known, default=None)
        values = sum(one.column == column for one in every)
        enough = f"{len(known)} of {values} values of {column} have enough rows"
        text = f"Nowhere significantly worse than the champion by more than {margin:g}: {enough}."
        yield Check(name, least, -margin, True, text, "reject")


def fairness(model: Model, evaluation: Evaluation) -> Iterator[Check]:
    for rule in model.gate.fairness:
        found, name = evaluation.fairness_of(rule.column, rule.measure), f"{rule.measure} of {rule.column}"
        gap = Gain.of(found.difference) if found else None
        between = f"Between the groups of {rule.column} {MEASURES[rule.measure]} differs by"
        if rule.limit is None:
            text = f"{between} {f'{gap.value:.3f}' if gap else 'an unknown amount'}; this is reported only."
            yield Check(name, gap.value if gap else None, None, True, text)
        elif gap is None:
            groups = found.groups if found else ()
            enough = sum(one.judged for one in groups)
            text = (
                f"{between} an amount that cannot be computed ({enough} of {len(groups)} groups have enough rows); "
                f"{rule.limit:g} is allowed."
            )
            yield Check(name, None, rule.limit, None, text)
        else:
            violated = gap.lower > rule.limit
            text = f"{between} {gap.value:.3f}; {rule.limit:g} is allowed"
            text += f", and with {sure(model)} confidence it is more." if violated else "."
            yield Check(name, gap.value, rule.limit, not violated, text, "reject")


def _pair(model: Model, evaluation: Evaluation, other: str, metric: str) -> tuple[Gain, float, float] | None:
    """The paired gain, the challenger's value and the other's; None if one is missing or they do not agree."""
    gain = Gain.of(evaluation.estimate(other, metric))
    mine, theirs = (evaluation.metric(side, metric) for side in (CHALLENGER, other))
    if gain is None or mine is None or theirs is None:
        return None
    difference = metrics.gain(measures.metric(model, metric), mine, theirs)
    return (gain, mine, theirs) if abs(difference - gain.value) < 1e-6 * max(1, abs(mine)) else None
