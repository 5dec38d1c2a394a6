"""Whether the newest days can show anything: a model that is worse on them than the trivial baseline shows that they
are damaged, or that nothing it has learned holds any more.

Damage of labels (shuffled, inverted, filled with one value) and of the join of inputs is not seen in the inputs. On
such days no fit is better than another, but the less confident one loses less. The paired rule then calls the champion
stale (measured on a toy: from 8 damaged days of 14 on), and a retraining would learn from the damage.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from include.gate import comparison
from include.monitoring.performance import Scored
from include.monitoring.staleness import PAGE_ALPHA, Pair
from include.monitoring.wording import count, number
from include.spec import Model
from include.statistics.results import Cause, Result, State
from include.statistics.uncertainty import Estimate, blocks
from include.training import measures

MEASURE = "worse_than_baseline"
FORMULA = 1

Trivial = Callable[[], np.ndarray | None]
"""The scores of the trivial baseline on the rows of the pair; None if they are not known."""


def judge(model: Model, window: Scored | None, pair: Pair | None, trivial: Trivial) -> Result:
    """How much better the trivial baseline is than the scores that count, on the newest matured days.

    It is violated if the baseline is confidently better than these scores, than the champion, and than a newer fit: in
    ``gate.baseline_metric``, by days, at `PAGE_ALPHA`. If a newer fit is not worse than the baseline, the world has
    changed and a retraining helps; that is for the paired rule.

    Parameters
    ----------
    window : the scored rows of the newest matured days; None: there are none.
    pair : of the same days; None: there is no newer fit, so that the cause is not known.
    trivial : called only if the scores that count are worse than the baseline.
    """
    if window is None or not np.isfinite(window.baseline).all():
        why = "no day has been scored" if window is None else "its baseline is not known"
        return _result(None, State.UNKNOWN, f"the model is not compared with the trivial baseline: {why}")
    name = model.gate.baseline_metric or model.training.metric
    found = _gain(model, name, window.labels, window.baseline, window.scores, window.partitions)
    days = count(window.days, "day")
    if not found.known:
        return _result(None, State.UNKNOWN, f"{name} is not defined on blocks of {days}")
    if not found.lower > 0:
        return _result(found.value, State.HEALTHY, f"the model is not worse than the trivial baseline on {days}")
    said = f"the model is worse than the trivial baseline by {number(found.value)} {name} on {days}"
    scores = None if pair is None else trivial()
    if pair is None or scores is None:
        return _result(found.value, State.UNKNOWN, f"{said}; whether a newer fit is worse, too, is not known")
    for who, fit in (("the champion", pair.champion), ("a newer fit", pair.newer)):
        own = _gain(model, name, pair.y, scores, fit, pair.partitions)
        if not own.known or not own.lower > 0:
            return _result(found.value, State.HEALTHY, f"{said}, but {who} is not")
    return _result(found.value, State.VIOLATED, f"{said}, and so is a newer fit: the rows of these days do not fit")


def _gain(
    model: Model, name: str, y: np.ndarray, baseline: np.ndarray, scores: np.ndarray, partitions: np.ndarray
) -> Estimate:
    metric, block = measures.metrics_of(model)[name], blocks(partitions, model.gate.block_days)
    return comparison.gain(metric, y, baseline, scores, block, PAGE_ALPHA)


def _result(value: float | None, state: State, sentence: str) -> Result:
    return Result(
        subject="",
        measure=MEASURE,
        formula=FORMULA,
        value=value,
        high=0.0,
        state=state,
        cause=Cause.DATA,
        sentence=sentence,
    )
