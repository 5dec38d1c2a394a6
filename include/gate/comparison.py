"""The figures that the gate judges by: differences of twins on the holdout, each with its error by blocks of days."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from include.gate.completeness import SLICE_NEEDS
from include.gate.evaluation import (
    BASELINE,
    CHALLENGER,
    CHAMPION,
    Estimate,
    Evaluation,
    FairnessResult,
    FloorResult,
    Group,
    Slice,
    Strongest,
    finite,
)
from include.spec import Fairness, Floor, Model, Task
from include.statistics import uncertainty
from include.statistics.distances import largest_difference, psi, spread
from include.statistics.metrics import METRICS, Metric
from include.statistics.uncertainty import blocks
from include.training import dataset, measures

MISSING = "(missing)"
ENOUGH = 200  # rows with a value, below which their power is not computed


def gain(
    metric: Metric, y: np.ndarray, mine: np.ndarray, theirs: np.ndarray, block: np.ndarray, alpha: float
) -> uncertainty.Estimate:
    """How much better the metric of ``mine`` is than that of ``theirs`` on the same rows; positive is better.

    Parameters
    ----------
    y : labels of shape (rows,). ``mine``, ``theirs``: scores as `measures.score` gives them. ``block``: `blocks`.
    """
    sign = 1.0 if metric.larger_is_better else -1.0
    if metric.by_row is not None:
        return uncertainty.jackknife_of_means(sign * (metric.by_row(y, mine) - metric.by_row(y, theirs)), block, alpha)
    return uncertainty.jackknife(
        lambda at: sign * (metric.compute(y[at], mine[at]) - metric.compute(y[at], theirs[at])), block, alpha
    )


def gains(model: Model, y: np.ndarray, mine: np.ndarray, theirs: np.ndarray, block: np.ndarray) -> dict[str, Estimate]:
    """`gain` in every metric of the model's task, by name."""
    alpha, metrics = model.gate.alpha, measures.metrics_of(model)
    return {name: Estimate.record(gain(metric, y, mine, theirs, block, alpha)) for name, metric in metrics.items()}


def floors(model: Model, y: np.ndarray, scores: np.ndarray, block: np.ndarray) -> tuple[FloorResult, ...]:
    """For each declared floor by how much the challenger satisfies it, and its value."""
    return tuple(_floor(model, floor, y, scores, block) for floor in model.gate.floors)


def _floor(model: Model, floor: Floor, y: np.ndarray, scores: np.ndarray, block: np.ndarray) -> FloorResult:
    alpha, found = model.gate.alpha, measures.metric(model, floor.metric)
    sign = 1.0 if found.larger_is_better else -1.0
    if found.by_row is not None:
        estimate = uncertainty.jackknife_of_means(sign * (found.by_row(y, scores) - floor.limit), block, alpha)
    else:
        estimate = uncertainty.jackknife(
            lambda at: sign * (found.compute(y[at], scores[at]) - floor.limit), block, alpha
        )
    value = finite(found.compute(y, scores))
    return FloorResult(metric=floor.metric, limit=floor.limit, value=value, gain=Estimate.record(estimate))


def class_rows(model: Model, y: np.ndarray) -> dict[str, int] | None:
    """Rows of each class; None for a regression."""
    label = model.data.label
    if label.task is Task.REGRESSION:
        return None
    names = dataset.class_names(model) or ("other", str(label.positive))
    return {str(name): int(np.sum(y == at)) for at, name in enumerate(names)}


# -- slices


def slices(
    model: Model, rows: pd.DataFrame, y: np.ndarray, mine: np.ndarray, theirs: np.ndarray, block: np.ndarray
) -> tuple[Slice, ...]:
    """Challenger and other by each value of the declared columns, those with the most rows first."""
    metric, found = measures.metric(model, model.training.metric), list[Slice]()
    margin = model.gate.slice_margin or 2 * model.gate.margin
    day = rows["partition"].astype(str).to_numpy(dtype=object)
    for column in model.gate.slices:
        values = groups(rows[column])
        for value in pd.unique(values):
            at = np.flatnonzero(values == value)
            size = _size(model, y, day, at)
            pair = [metric.compute(y[at], side[at]) for side in (mine, theirs)]
            estimate = gain(metric, y[at], mine[at], theirs[at], block[at], model.gate.alpha) if size.enough else None
            found.append(
                Slice(
                    column=column,
                    value=value,
                    rows=size.rows,
                    days=size.days,
                    class_rows=size.class_rows,
                    challenger=finite(pair[0]),
                    other=finite(pair[1]),
                    gain=Estimate.record(estimate) if estimate else None,
                    p_worse=finite(estimate.p_below(-margin)) if estimate else None,
                )
            )
    return tuple(sorted(found, key=lambda one: (model.gate.slices.index(one.column), -one.rows, one.value)))


@dataclass(frozen=True)
class _Size:
    """Rows, days and rows of the scarcest class (None for a regression) of a part of the rows."""

    rows: int
    days: int
    class_rows: int | None

    @property
    def enough(self) -> bool:
        """Whether the part is large enough to be judged on its own."""
        scarce = self.class_rows is None or self.class_rows >= SLICE_NEEDS["class_rows"]
        return self.rows >= SLICE_NEEDS["rows"] and self.days >= SLICE_NEEDS["days"] and scarce


def _size(model: Model, y: np.ndarray, day: np.ndarray, at: np.ndarray) -> _Size:
    scarce = None
    if model.data.label.task is Task.CLASSIFICATION:
        scarce = min(int(np.sum(y[at] == c)) for c in range(len(dataset.class_names(model) or (0, 1))))
    return _Size(len(at), len(np.unique(day[at])), scarce)


def groups(values: pd.Series) -> np.ndarray:
    """The group of each row as text: the value of a column, or `MISSING`."""
    text = values.astype(object).where(values.notna(), MISSING)
    return np.array([str(v) if str(v) else MISSING for v in text], dtype=object)


# -- fairness


def fairness(
    model: Model, rows: pd.DataFrame, y: np.ndarray, scores: np.ndarray, block: np.ndarray
) -> tuple[FairnessResult, ...]:
    """For each declared rule the largest difference between the groups, with its error, and each group on its own.

    Only groups that have the minimum size of a slice are compared.
    """
    return tuple(_rule(model, rule, rows, y, scores, block) for rule in model.gate.fairness)


def _rule(
    model: Model, rule: Fairness, rows: pd.DataFrame, y: np.ndarray, scores: np.ndarray, block: np.ndarray
) -> FairnessResult:
    group, day = groups(rows[rule.column]), rows["partition"].astype(str).to_numpy(dtype=object)
    figure = _figure(model, rule, y, scores)
    members = {value: np.flatnonzero(group == value) for value in np.unique(group.astype(str))}
    # A share of a handful of rows is mostly chance, and would dominate the largest difference.
    judged = [value for value, at in members.items() if _size(model, y, day, at).enough]

    def difference(at: np.ndarray) -> float:
        present = [figure(at[group[at] == value]) for value in judged]
        known = np.array([one for one in present if np.isfinite(one).any()])
        return float(np.nanmax(np.nanmax(known, axis=0) - np.nanmin(known, axis=0))) if len(known) > 1 else math.nan

    groups_found = [
        Group(value=str(value), rows=len(at), judged=value in judged, figures=tuple(finite(v) for v in figure(at)))
        for value, at in members.items()
    ]
    return FairnessResult(
        column=rule.column,
        measure=rule.measure,
        limit=rule.limit,
        difference=Estimate.record(uncertainty.jackknife(difference, block, model.gate.alpha)),
        groups=tuple(sorted(groups_found, key=lambda one: -one.rows)),
    )


def _figure(model: Model, rule: Fairness, y: np.ndarray, scores: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """What is compared between groups, of the rows at some positions: one figure or several."""
    if rule.measure == "group_error":
        by_row = METRICS["mae" if model.data.label.task is Task.REGRESSION else "log_loss"].by_row
        assert by_row is not None
        losses = by_row(y, scores)
        return lambda at: np.array([losses[at].mean() if len(at) else math.nan])
    from fairlearn.metrics import false_positive_rate, selection_rate, true_positive_rate

    truth, decided = (y, scores.argmax(axis=1)) if scores.ndim == 2 else (y.astype(int), (scores >= rule.threshold))
    classes = range(scores.shape[1]) if scores.ndim == 2 else (1,)

    def rates(at: np.ndarray) -> np.ndarray:
        found = []
        for one in classes:
            t, d = (truth[at] == one).astype(int), (decided[at] == one).astype(int)
            if rule.measure == "demographic_parity":
                found.append(selection_rate(t, d) if len(at) else math.nan)
            else:
                found.append(true_positive_rate(t, d, pos_label=1) if t.any() else math.nan)
                found.append(false_positive_rate(t, d, pos_label=1) if (t == 0).any() else math.nan)
        return np.array(found, dtype=float)

    return rates


# -- sanity


def strongest(model: Model, features: pd.DataFrame, y: np.ndarray, block: np.ndarray) -> Strongest | None:
    """The feature that explains most on its own; None if there is no feature, or none with a power that is defined.

    Its power is the ROC-AUC of its values, in the better direction (of several classes the best of one against the
    rest), or the absolute rank correlation with a number: on the rows that have a value, if there are at least
    `ENOUGH` of them, and of whether a value is present. A text counts as the mean label of its value in other blocks,
    so that a name that occurs once explains nothing.
    """
    found: Strongest | None = None
    for name in features.columns:
        power = _power(model, features[name], y, block)
        if math.isfinite(power) and (found is None or power > found.power):
            found = Strongest(feature=str(name), power=power)
    return found


def _power(model: Model, column: pd.Series, y: np.ndarray, block: np.ndarray) -> float:
    if model.data.label.task is Task.REGRESSION:
        return max((_rank_correlation(*pair) for pair in _readings(column, y, block)), default=math.nan)
    auc = METRICS["roc_auc"].compute
    powers = []
    for one in np.unique(y):
        for values, target in _readings(column, (y == one).astype(float), block):
            powers.append(auc(target, values))
    known = [max(power, 1 - power) for power in powers if math.isfinite(power)]
    return max(known, default=math.nan)


def _readings(column: pd.Series, target: np.ndarray, block: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """A feature in numbers, next to the target of the same rows: its values, and whether there is one."""
    if column.dtype == object:
        yield _mean_elsewhere(column, target, block), target
        return
    values = column.to_numpy(dtype=np.float64)
    there = np.isfinite(values)
    if there.sum() >= min(ENOUGH, len(values)):
        yield values[there], target[there]
    if not there.all():
        yield there.astype(np.float64), target


def _rank_correlation(values: np.ndarray, target: np.ndarray) -> float:
    """Spearman's, without its sign; 0 if one of them is constant."""
    ranks = [pd.Series(one).rank().to_numpy() for one in (values, target)]
    return abs(float(np.corrcoef(*ranks)[0, 1])) if min(map(np.std, ranks)) > 0 else 0.0


def _mean_elsewhere(column: pd.Series, target: np.ndarray, block: np.ndarray) -> np.ndarray:
    """The mean target of a row's value in the other blocks; that of all rows if it does not occur there."""
    frame = pd.DataFrame({"value": groups(column), "block": block, "target": target})
    whole = frame.groupby("value")["target"].agg(["sum", "size"])
    here = frame.groupby(["value", "block"])["target"].agg(["sum", "size"])
    own = here.reindex(pd.MultiIndex.from_frame(frame[["value", "block"]])).to_numpy()
    both = whole.reindex(frame["value"]).to_numpy()
    others = both - own
    means = np.divide(others[:, 0], others[:, 1], out=np.full(len(frame), np.nan), where=others[:, 1] > 0)
    return np.where(np.isfinite(means), means, float(np.mean(target)))


def compared(
    model: Model,
    evaluation: Evaluation,
    rows: pd.DataFrame,
    features: pd.DataFrame,
    y: np.ndarray,
    scores: Mapping[str, np.ndarray],
) -> Evaluation:
    """The evaluation with everything above: the challenger against the baseline and, if it was scored, the champion."""
    mine, champion = scores[CHALLENGER], scores.get(CHAMPION)
    block = blocks(rows["partition"].astype(str).to_numpy(), model.gate.block_days)
    others = {side: scores[side] for side in (BASELINE, CHAMPION) if side in scores}
    return evaluation.replace(
        blocks=len(np.unique(block)),
        class_rows=class_rows(model, y),
        paired={side: gains(model, y, mine, theirs, block) for side, theirs in others.items()},
        floors=floors(model, y, mine, block),
        slices=() if champion is None else slices(model, rows, y, mine, champion, block),
        fairness=fairness(model, rows, y, mine, block),
        spread=finite(spread(mine)),
        psi=None if champion is None else finite(psi(mine, champion)),
        largest_difference=None if champion is None else finite(largest_difference(mine, champion)),
        strongest=strongest(model, features, y, block),
    )
