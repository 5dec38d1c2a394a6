"""The paired rule: is a newer fit of the champion's recipe better on days that neither has seen?

Both score the same rows, so weather and season of these days cancel; what a single score says about an age does not
(measured: absolute losses against the promise alarm on most healthy spans). The difference is judged by days, with the
limits of Student's t, as the gate does (`include.gate.comparison.gain`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from include.gate import comparison
from include.monitoring.wording import count, number
from include.records import Record
from include.spec import Model
from include.spec.cron import days_and_time
from include.statistics.results import Cause, Result, State
from include.statistics.uncertainty import blocks
from include.training import measures

MEASURE = "paired_gain"
WEEK = 7
FORMULA = 1
PAGE_ALPHA, RETRAIN_ALPHA = 0.0025, 0.025
"""One-sided error probability of the lower bound on one day: where a person is asked, and where the answer is a
retraining, which costs minutes and which the gate judges. The bounds of consecutive days share all but one of their
days, so that `alarm_days` of `of_days` is hardly more than one of them, and a month has many. `make monitor-power`
measures how often the rule fires for equal models, and how soon it finds a champion that was frozen."""
MAY_LACK = 3
"""Paired days that may be missing."""


@dataclass(frozen=True)
class Pair:
    """The scores of the champion and of a newer fit of its recipe on the newest matured days.

    Attributes
    ----------
    y : labels, shape (rows,), as `dataset.labels`. ``champion``, ``newer`` : scores of the same rows, as
        `measures.score`.
    partitions : the partition key of each row, shape (rows,).
    champion_saw, newer_saw : the newest day that each fit has learned from; None: not known.
    """

    y: np.ndarray
    champion: np.ndarray
    newer: np.ndarray
    partitions: np.ndarray
    champion_saw: str | None
    newer_saw: str | None


class Paired(Record):
    """What the paired rule finds on one day.

    ``low``, ``high`` : one-sided limits of the gain, each at 1 - `alpha`; None if unknown. ``rows``, ``days`` : of the
    pair.
    """

    result: Result
    low: float | None = None
    high: float | None = None
    rows: int
    days: int


def alpha(model: Model) -> float:
    """The error probability of a model: `RETRAIN_ALPHA` if its monitor may answer with a retraining."""
    return RETRAIN_ALPHA if model.monitoring.retrain and not nightly(model) else PAGE_ALPHA


def nightly(model: Model) -> bool:
    """Whether the model retrains on every day of the week by its own schedule."""
    schedule = model.training.schedule
    if schedule is None:
        return False
    tick, monday = days_and_time(schedule), date(2024, 1, 1)
    return all(tick(monday + timedelta(days=at)) for at in range(WEEK))


def margin(model: Model) -> float:
    """How much worse than a newer fit the champion may be."""
    declared = model.monitoring.stale_margin
    return model.gate.margin / 10 if declared is None else declared


def judge(model: Model, pair: Pair | None, lack: str = "") -> Paired:
    """Whether the newer fit is better than the champion by more than the margin, confidently.

    Parameters
    ----------
    pair : None if there is none; ``lack`` is then the reason, as the end of a sentence.
    """
    if pair is None:
        return Paired(
            result=_result(model, None, State.UNKNOWN, f"not known: {lack or 'there is no pair'}"), rows=0, days=0
        )
    keys = np.unique(pair.partitions.astype(str))
    rows, days = len(pair.y), len(keys)
    why = _why_not(model, pair, keys)
    if why is None:
        metric = measures.metrics_of(model)[model.training.metric]
        block = blocks(pair.partitions, model.gate.block_days)
        gain = comparison.gain(metric, pair.y, pair.newer, pair.champion, block, alpha(model))
        if gain.known:
            low, high, limit = gain.lower, gain.upper, margin(model)
            stale = low > limit
            said = (
                f"a newer fit is {number(abs(gain.value))} {'better' if gain.value >= 0 else 'worse'} in "
                f"{model.training.metric} on the same {count(days, 'day')} ({number(low)} to {number(high)}); the "
                f"champion is {'stale' if stale else 'not significantly stale'} (limit {number(limit)})"
            )
            state = State.VIOLATED if stale else State.HEALTHY
            return Paired(result=_result(model, gain.value, state, said), low=low, high=high, rows=rows, days=days)
        why = f"{model.training.metric} is not defined on {count(gain.blocks, 'block')} of {count(days, 'day')}"
        value = gain.value if math.isfinite(gain.value) else None
        return Paired(result=_result(model, value, State.UNKNOWN, f"not known: {why}"), rows=rows, days=days)
    return Paired(result=_result(model, None, State.UNKNOWN, f"not known: {why}"), rows=rows, days=days)


def _why_not(model: Model, pair: Pair, keys: np.ndarray) -> str | None:
    """Why the pair says nothing, as the end of a sentence."""
    fewest = max(model.monitoring.paired_days - MAY_LACK, 2)
    if len(keys) < fewest:
        return f"the pair has {count(len(keys), 'day')} with labels, and {fewest} are needed"
    for who, saw in (("the champion", pair.champion_saw), ("the newer fit", pair.newer_saw)):
        if saw is None:
            return f"it is not known which days {who} has learned from"
        if saw >= str(keys[0]):
            return f"{who} has learned from days up to {saw}, and the pair begins on {keys[0]}"
    if str(pair.newer_saw) <= str(pair.champion_saw):
        return f"the other fit is not newer: it has learned from days up to {pair.newer_saw}"
    return None


def _result(model: Model, value: float | None, state: State, sentence: str) -> Result:
    return Result(
        subject="",
        measure=MEASURE,
        formula=FORMULA,
        value=value,
        high=margin(model),
        state=state,
        cause=Cause.STALE,
        sentence=sentence if state is not State.UNKNOWN else f"whether the champion is stale is {sentence}",
    )
