"""The refit, and its guards: are the days that only the release model learns from, and what it learns, plausible?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from include.errors import ReleaseError
from include.spec import Model, Task
from include.statistics import metrics
from include.training import candidates, dataset, measures
from include.training.plan import Plan
from include.training.recipes import Recipe
from include.training.rows import Rows, read

GROSSLY_UNLIKE = 0.3
"""Largest mean |difference of probability| between release model and twin: healthy refits stay below .18 in 99 % of
nights, inverted labels give .42 to .71 (measured on a year of real days)."""

GROSSLY_UNLIKE_VALUES = 1.0
"""The same of a regression, in standard deviations of the label. Two years of hourly bike rentals, windows of 60 days:
healthy refits of boosting differ by .13 to .51, of ridge by .05 to .21; inverted labels give 1.8 and more."""

MORE_TO_LEARN = 1.25
"""A release model with at least this many times the rows of its twin is expected to fit the shared rows less closely,
so its loss on them is not a sign of broken days (a short history that fits into the window as a whole)."""

ROWS_TO_COMPARE = 1000
"""With fewer shared rows, the twin overfits them: on 320 to 657 of them healthy release models lost .011 to .034 log
loss to their twins, on the 2,208 of electricity hardly any loses .007."""

ENOUGH = 10
"""Rows of a class that every older day must have, before a newer day can be said to have too few."""


def refit(
    model: Model, plan: Plan, recipe: Recipe, twin: Any, lake: Rows
) -> tuple[candidates.Fitted, pd.DataFrame, list[str]]:
    """Fit the recipe on all matured rows: the fit, its rows, and what the guards of a refit found.

    Parameters
    ----------
    twin : the pipeline of the recipe's twin, which the refit must resemble.

    Raises
    ------
    ReleaseError : the newest days are not fit to learn from, or the refit is grossly unlike its twin.
    """
    spans = plan.spans(recipe.candidate)
    # The twin's days begin before those of the release model, and a short window may share none of them with it.
    every = dataset.labelled(model, read(plan, (spans.twin[0], spans.release[1]), lake))
    learned, newest = dataset.between(every, spans.release), dataset.between(every, spans.holdout)
    guards = guard_days(model, dataset.between(every, spans.twin), newest)
    declared = candidates.load(model)[recipe.candidate]
    fitted = candidates.fit(model, declared, learned, plan.seed, recipe.iterations)
    guards.append(guard_likeness(model, fitted.pipeline, twin, learned, newest))
    older = dataset.between(every, spans.twin)
    shared = dataset.between(older, spans.release)
    guards.append(guard_shared(model, fitted.pipeline, twin, shared, len(learned) / max(len(older), 1)))
    return fitted, learned, guards


def guard_days(model: Model, older: pd.DataFrame, newest: pd.DataFrame) -> list[str]:
    """Compare each day that only the release model learns from with the twin's days; sentences about what was checked.

    A day may have from half the rows of the smallest older day to twice the rows of the largest one. Classification:
    its share of the positive class (of each of several classes) may be half of the lowest older one, or half as far
    from 1 as the highest, if older days have at least `ENOUGH` rows on that side. Regression: its mean may leave the
    older range by as much as that range is wide, or by a standard deviation of a day's labels; its standard deviation
    may be a quarter of the lowest older one to four times the highest. Wide on purpose: a healthy day passes, a broken
    one (no label arrived, all are 0, another unit) does not.

    Two weeks vary less by chance than one day of few rows: the classes of all newest days together are held to the
    same limits, against as many older days in a row.

    Raises
    ------
    ReleaseError : a day, or all together, are outside; names them, with the numbers.
    """
    if older.empty or newest.empty:
        raise ReleaseError(
            f"there are {len(older)} older and {len(newest)} newest rows with labels: the refit cannot be checked."
        )
    before, after = _days(model, older), _days(model, newest)
    limits = {"rows": (before["rows"].min() / 2, before["rows"].max() * 2)}
    for figure in before.columns.drop("rows"):
        limits[figure] = _limits(model, before, figure)
    problems = []
    for day, found in after.iterrows():
        for figure, (low, high) in limits.items():
            value = found[figure]
            if not low <= value <= high:
                what = (
                    f"{day} has {value:.0f} rows with labels"
                    if figure == "rows"
                    else f"the {figure} of {day} is {value:.4g}"
                )
                problems.append(f"{what} ({low:.4g} to {high:.4g} is usual)")
    for figure, (value, low, high) in _together(model, before, after).items():
        if not low <= value <= high:
            span = f"{after.index[0]} to {after.index[-1]}"
            problems.insert(0, f"the {figure} of {span} is {value:.4g} ({low:.4g} to {high:.4g} is usual)")
    if problems:
        raise ReleaseError(
            f"the release model of {model.name} is not fitted, because its newest days are unlike the {len(before)} "
            f"before: {'; '.join(problems[:5])}{f' and {len(problems) - 5} more' if len(problems) > 5 else ''}. Look "
            "at the validation reports of these days and collect them again."
        )
    return [
        f"{len(after)} newest days: {figure} {after[figure].min():.4g} to {after[figure].max():.4g} a day (allowed "
        f"{low:.4g} to {high:.4g})."
        for figure, (low, high) in limits.items()
    ]


def _days(model: Model, rows: pd.DataFrame) -> pd.DataFrame:
    """One row for each day: ``rows``, and the statistics of its labels, each under its displayed name."""
    y = dataset.labels(model, rows)
    names = dataset.class_names(model)
    columns: dict[str, np.ndarray] = {"mean label": y}
    if names:
        columns = {f"share of {name!r}": (y == at).astype(float) for at, name in enumerate(names)}
    by_day = pd.DataFrame(columns).groupby(rows["partition"].astype(str).to_numpy(dtype=object))
    days = by_day.mean()
    if model.data.label.task is Task.REGRESSION:
        days["standard deviation of the label"] = by_day["mean label"].std(ddof=0)
    days.insert(0, "rows", by_day.size())
    return days


def _together(model: Model, before: pd.DataFrame, after: pd.DataFrame) -> dict[str, tuple[float, float, float]]:
    """Of each class the share in all newest days, and its allowed range: by figure, value and limits."""
    if model.data.label.task is Task.REGRESSION:
        return {}
    length = min(len(after), len(before))
    counts = before.mul(before["rows"], axis=0).assign(rows=before["rows"]).rolling(length).sum().dropna()
    shares = counts.div(counts["rows"], axis=0).assign(rows=counts["rows"])
    every = after["rows"].sum()
    return {
        figure: (float((after[figure] * after["rows"]).sum() / every), *_limits(model, shares, figure))
        for figure in after.columns.drop("rows")
    }


def _limits(model: Model, before: pd.DataFrame, figure: str) -> tuple[float, float]:
    """What a day may have of one figure."""
    values = before[figure]
    low, high = float(values.min()), float(values.max())
    if model.data.label.task is Task.CLASSIFICATION:
        # A healthy day can have no row of a rare class, so a lower limit applies to frequent classes only.
        enough = (values * before["rows"]).min() >= ENOUGH
        enough_others = ((1 - values) * before["rows"]).min() >= ENOUGH
        return low / 2 if enough else 0.0, 1 - (1 - high) / 2 if enough_others else 1.0
    if figure == "mean label":
        leave = max(high - low, float(before["standard deviation of the label"].max()))
        return low - leave, high + leave
    return low / 4, high * 4


def guard_likeness(model: Model, release: Any, twin: Any, rows: pd.DataFrame, newest: pd.DataFrame) -> str:
    """Compare the scores of two fitted pipelines, release model and twin, on the newest days; a sentence about it.

    The mean difference of a probability (of several classes: half the sum over the classes), or of a value.

    Parameters
    ----------
    rows : all rows with labels that the release model was fitted on: the scale of a regression.

    Raises
    ------
    ReleaseError : they hardly agree.
    """
    features = dataset.features_frame(model, newest)
    mine, theirs = (measures.score_features(model, pipeline, features) for pipeline in (release, twin))
    gaps = np.abs(mine - theirs)
    difference = float(np.mean(gaps.sum(axis=1) / 2 if gaps.ndim == 2 else gaps))
    limit = GROSSLY_UNLIKE
    if model.data.label.task is Task.REGRESSION:
        limit = GROSSLY_UNLIKE_VALUES * float(np.std(dataset.labels(model, rows)))
    if not difference <= limit:
        raise ReleaseError(
            f"the release model of {model.name} is grossly unlike its twin: on the {len(newest)} newest rows their "
            f"scores differ by {difference:.3g} on average ({limit:.3g} is allowed). Something in these rows changed "
            "what the model learns."
        )
    return f"Release model and twin differ by {difference:.3g} on average on the newest days (allowed {limit:.3g})."


def guard_shared(model: Model, release: Any, twin: Any, shared: pd.DataFrame, growth: float) -> str:
    """Compare two fitted pipelines, release model and twin, on the rows that both were fitted on; a sentence about it.

    No holdout is left that could judge a release model: the effect of its newest days shows in how well it still
    predicts the older ones. It may lose half of ``gate.margin``, as against the anchors. Inputs of the newest two weeks
    that are joined wrongly, or labels that are filled, cost .014 to .06 log loss of electricity there, where 111 of 112
    healthy nights lose less than .007.

    Parameters
    ----------
    shared : the rows with labels that both were fitted on.
    growth : rows of the release model for each row of the twin; nothing is compared if it is `MORE_TO_LEARN` or more,
        or with fewer than `ROWS_TO_COMPARE` shared rows.

    Raises
    ------
    ReleaseError : the release model is worse there by more than that.
    """
    if len(shared) < ROWS_TO_COMPARE or growth >= MORE_TO_LEARN:
        why = f"it has {growth:.1f} times the rows" if growth >= MORE_TO_LEARN else f"{len(shared)} rows are too few"
        return f"Release model and twin are not compared on what both were fitted on: {why}."
    metric, limit = measures.metric(model, model.training.metric), model.gate.margin / 2
    features, y = dataset.features_frame(model, shared), dataset.labels(model, shared)
    mine, theirs = (metric.compute(y, measures.score_features(model, fit, features)) for fit in (release, twin))
    lost = -metrics.gain(metric, mine, theirs)
    both = f"{model.training.metric} is {mine:.4f} to {theirs:.4f} on the {len(shared)} rows that both were fitted on"
    if not lost <= limit:
        raise ReleaseError(
            f"the release model of {model.name} is worse than its twin on older rows: its {both}, {lost:.4g} worse "
            f"({limit:.4g} is allowed). The newest days contradict the older ones: look at their validation reports "
            "and collect them again."
        )
    return f"Compared with its twin the release model's {both}: at most {limit:.4g} worse is allowed."
