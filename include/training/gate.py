"""May the challenger replace the champion? A pure decision made of checks, each with a value, a limit and a sentence.

Nothing here reads a file, a clock or a database: the same evaluation always gives the same decision. Evidence that is
absent, not finite or contradictory never reads as good: it ends in *hold*, and broken scores in *reject*.

`_not_worse_than_champion` and `_better_than_baseline` are the only places that compare two models. A later issue
replaces
what they compute (a difference of whole-holdout metrics) by a jackknife over the days that ``evaluation["by_day"]``
refers to.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from enum import StrEnum
from typing import Any

from include.spec import Model
from include.training import evaluation as figures


class Verdict(StrEnum):
    """``promote``: release it. ``hold``: not known to be good enough, try again tomorrow. ``reject``: known to be
    bad."""

    PROMOTE = "promote"
    HOLD = "hold"
    REJECT = "reject"


@dataclass(frozen=True)
class Check:
    """One question to the evidence. ``passed`` is ``None`` where the evidence to answer it is missing."""

    name: str
    value: float | str | None
    limit: float | str | None
    passed: bool | None
    sentence: str


@dataclass(frozen=True)
class Decision:
    """What the gate decided, and every check that it is made of."""

    verdict: Verdict
    reason: str
    checks: tuple[Check, ...]

    def as_dict(self) -> dict[str, Any]:
        return {"verdict": self.verdict.value, "reason": self.reason, "checks": [asdict(c) for c in self.checks]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Decision:
        return cls(Verdict(values["verdict"]), str(values["reason"]), tuple(Check(**c) for c in values["checks"]))


def decide(model: Model, evaluation: Mapping[str, Any]) -> Decision:
    """Judge what `evaluate.evaluate` has measured, by ``model.gate``.

    Parameters
    ----------
    evaluation : ``holdout`` {first, last, days, rows}; ``challenger``, ``baseline`` and, where there is a champion,
        ``champion``: {name, last, rows, error, metrics}; ``champion_exists``; ``champion_unusable``.

    Returns
    -------
    Decision. *Reject*: a check is violated by sound evidence, or the challenger's scores are broken. *Hold*: evidence
    is
    missing or too little. *Promote*: every check passed.
    """
    missing = _missing(model, evaluation)
    broken = _scores_are_finite(evaluation)
    checks = [_complete(missing), broken]
    if not missing:
        checks += [
            _enough_days(model, evaluation),
            _enough_rows(model, evaluation),
            _same_rows(evaluation),
            _unseen(evaluation),
        ]
    sound = all(check.passed for check in checks)
    comparisons = [_better_than_baseline(model, evaluation, sound), _not_worse_than_champion(model, evaluation, sound)]
    checks += comparisons
    against = [check for check in (broken, *comparisons) if check.passed is False]
    if against:
        return Decision(Verdict.REJECT, " ".join(check.sentence for check in against), tuple(checks))
    doubts = [check for check in checks if check.passed is not True]
    if doubts:
        return Decision(
            Verdict.HOLD,
            " ".join(check.sentence for check in doubts if check not in comparisons) or doubts[0].sentence,
            tuple(checks),
        )
    return Decision(Verdict.PROMOTE, " ".join(check.sentence for check in comparisons), tuple(checks))


def _number(value: Any) -> float | None:
    """A finite number, or None for everything else (nan, infinity, text, booleans)."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return None


def _part(values: Any, name: str) -> Mapping[str, Any]:
    part = values.get(name) if isinstance(values, Mapping) else None
    return part if isinstance(part, Mapping) else {}


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _key(value: Any) -> bool:
    """Whether this is a partition key (keys are compared as text, so nothing else may pass)."""
    try:
        return isinstance(value, str) and date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def _missing(model: Model, evaluation: Mapping[str, Any]) -> list[str]:
    """Every piece of evidence that a decision needs and that is not there, or not a number; in words."""
    holdout = _part(evaluation, "holdout")
    gone = [f"holdout.{name}" for name in ("first", "last") if not _key(holdout.get(name))]
    gone += [f"holdout.{name}" for name in ("days", "rows") if _number(holdout.get(name)) is None]
    sides = ["challenger", "baseline"]
    exists = evaluation.get("champion_exists")
    if exists is True:
        if evaluation.get("champion_unusable", "not said") is not None:
            gone.append(
                f"a usable champion ({evaluation.get('champion_unusable', 'it is not said whether it is usable')})"
            )
        else:
            sides.append("champion")
    elif exists is False:
        if (
            evaluation.get("champion", "absent") is not None
            or evaluation.get("champion_unusable", "absent") is not None
        ):
            gone.append("champion (it is said both that there is one and that there is none)")
    else:
        gone.append("champion_exists (whether there is a champion is not known)")
    task = model.data.label.task
    metrics = [name for name, metric in figures.METRICS.items() if metric.task is task]
    for side in sides:
        part = _part(evaluation, side)
        known = {
            "name": _text(part.get("name")),
            "last": _key(part.get("last")),
            "rows": _number(part.get("rows")) is not None,
        }
        gone += [f"{side}.{name}" for name, there in known.items() if not there]
        if part.get("error", "not said") is not None:
            gone.append(f"{side}.scores ({part.get('error', 'it is not said whether they are sound')})")
        measured = _part(part, "metrics")
        gone += [f"{side}.{m}" for m in metrics if _number(measured.get(m)) is None]
    return gone


def _complete(missing: list[str]) -> Check:
    if missing:
        return Check("evidence", len(missing), 0, None, f"Evidence is missing: {', '.join(missing)}.")
    return Check("evidence", 0, 0, True, "All evidence is there.")


def _scores_are_finite(evaluation: Mapping[str, Any]) -> Check:
    """Whether the challenger could be scored at all; its scores are what would serve."""
    part = _part(evaluation, "challenger")
    error = part.get("error", "it is not said whether the scores are sound")
    if error is None:
        return Check("scores", "finite", "finite", True, "Every score of the challenger is a finite number.")
    sentence = f"The challenger's scores cannot be used: {error}."
    return Check(
        "scores", str(error), "finite", False if "error" in part and isinstance(error, str) else None, sentence
    )


def _enough_days(model: Model, evaluation: Mapping[str, Any]) -> Check:
    days, limit = int(evaluation["holdout"]["days"]), model.gate.min_days
    return Check(
        "days", days, limit, days >= limit, f"The holdout has {days} days with labels; at least {limit} are needed."
    )


def _enough_rows(model: Model, evaluation: Mapping[str, Any]) -> Check:
    rows, limit = int(evaluation["holdout"]["rows"]), model.gate.min_rows
    return Check(
        "rows", rows, limit, rows >= limit, f"The holdout has {rows} rows with labels; at least {limit} are needed."
    )


def _sides(evaluation: Mapping[str, Any]) -> list[str]:
    return ["challenger", "baseline", *(["champion"] if evaluation["champion_exists"] else [])]


def _same_rows(evaluation: Mapping[str, Any]) -> Check:
    rows = evaluation["holdout"]["rows"]
    others = [f"{s} on {evaluation[s]['rows']}" for s in _sides(evaluation) if evaluation[s]["rows"] != rows]
    if others:
        return Check(
            "same rows",
            "; ".join(others),
            rows,
            False,
            f"Not all were scored on the same {rows} rows: {'; '.join(others)}.",
        )
    return Check("same rows", rows, rows, True, f"All were scored on the same {rows} rows.")


def _unseen(evaluation: Mapping[str, Any]) -> Check:
    """No model is judged on a day that it was fitted on."""
    first = evaluation["holdout"]["first"]
    seen = [
        f"{side} (fitted up to {evaluation[side]['last']})"
        for side in _sides(evaluation)
        if evaluation[side]["last"] >= first
    ]
    if seen:
        return Check(
            "unseen",
            ", ".join(seen),
            first,
            False,
            f"The holdout begins on {first}, and was seen by: {', '.join(seen)}.",
        )
    last = max(evaluation[side]["last"] for side in _sides(evaluation))
    return Check(
        "unseen", last, first, True, f"No model has seen the holdout: it begins on {first}, the fits end by {last}."
    )


def _compared(metric: str, evaluation: Mapping[str, Any], other: str) -> tuple[str, float, float] | None:
    """The metric's name, the challenger's value and the other's; None where one is missing."""
    pair = [_number(_part(_part(evaluation, side), "metrics").get(metric)) for side in ("challenger", other)]
    return None if pair[0] is None or pair[1] is None else (metric, pair[0], pair[1])


def _better_than_baseline(model: Model, evaluation: Mapping[str, Any], sound: bool) -> Check:
    values = _compared(model.gate.baseline_metric or model.training.metric, evaluation, "baseline") if sound else None
    if values is None:
        return Check(
            "better than the baseline", None, 0.0, None, "It cannot be said whether the challenger beats the baseline."
        )
    metric, mine, theirs = values
    gain = figures.gain(metric, mine, theirs)
    how = "is better than" if gain > 0 else "is not better than"
    sentence = (
        f"The challenger's {metric} of {mine:.4f} {how} the trivial baseline's {theirs:.4f} (gain "
        f"{gain:+.4f}, more than 0 is needed)."
    )
    return Check("better than the baseline", gain, 0.0, gain > 0, sentence)


def _not_worse_than_champion(model: Model, evaluation: Mapping[str, Any], sound: bool) -> Check:
    margin = model.gate.margin
    name = "not worse than the champion"
    if sound and evaluation["champion_exists"] is False:
        return Check(name, None, -margin, True, "There is no champion yet, so it needs to beat the baseline only.")
    values = _compared(model.training.metric, evaluation, "champion") if sound else None
    if values is None:
        return Check(name, None, -margin, None, "It cannot be said whether the challenger is worse than the champion.")
    metric, mine, theirs = values
    gain = figures.gain(metric, mine, theirs)
    champion = evaluation["champion"]["name"]
    if gain >= -margin:
        sentence = (
            f"Against {champion} its {metric} is {mine:.4f} to {theirs:.4f} (gain {gain:+.4f}): not worse "
            f"by more than {margin:g}."
        )
        return Check(name, gain, -margin, True, sentence)
    sentence = (
        f"It is worse than {champion}: {metric} {mine:.4f} to {theirs:.4f} (gain {gain:+.4f}, allowed are "
        f"{-margin:+g})."
    )
    return Check(name, gain, -margin, False, sentence)
