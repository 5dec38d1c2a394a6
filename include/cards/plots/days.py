"""Pictures by day, the same for every task: the metric of each side, and how much better the challenger is."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from include.cards.plots.canvas import (
    COLOURS,
    INK,
    MARGIN,
    SOFT,
    Drawn,
    Figure,
    counted,
    figure,
    labelled,
    say,
    shown,
    sure,
)
from include.gate.evaluation import Gain
from include.statistics import metrics
from include.training import measures


def metric_by_day(holdout: Drawn) -> Figure:
    """The metric that is compared, by day, of challenger, champion and baseline."""
    metric = holdout.model.training.metric
    days = holdout.by_day["challenger"]["partition"].tolist()
    values = {side: holdout.by_day[side][metric].to_numpy(dtype=float) for side in holdout.sides}
    known = np.isfinite(np.array(list(values.values()))).all(axis=0)
    sign = 1 if measures.metric(holdout.model, metric).larger_is_better else -1
    others = [sign * values[side][known] for side in values if side != "challenger"]
    best = int(np.sum(sign * values["challenger"][known] > np.max(others, axis=0))) if others and known.any() else 0
    direction = "larger is better" if sign > 0 else "smaller is better"
    title = f"By {metric}, the challenger is the best on {best} of {counted(int(known.sum()))}"
    undefined = f" Not defined on {counted(int((~known).sum()))}." if not known.all() else ""
    made, (axes,) = figure(title, f"{metric} of each day, {direction}.{undefined} {holdout.summary}", height=3.0)
    if not known.any():
        say(axes, f"{metric} is not defined on any of these days: each has one class only.")
        return made
    for side in reversed(holdout.sides):
        axes.plot(range(len(days)), values[side], color=COLOURS[side], marker="o", markersize=4, label=side)
    _day_axis(axes, days)
    labelled(axes, "", metric)
    axes.legend(reverse=True, ncols=3, loc="lower right", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.1)
    return made


def difference_by_day(holdout: Drawn) -> Figure:
    """How much better the challenger is than the champion on each day and on all of them, with the limits and the
    margin of the gate; than the baseline if there is no champion."""
    metric = holdout.model.training.metric
    other = next((side for side in ("champion", "baseline") if side in holdout.scores), None)
    if other is None:
        made, (axes,) = figure("There is nothing to compare the challenger with", holdout.summary, height=3.0)
        say(axes, "Neither champion nor baseline could be scored.")
        return made
    mine, theirs = holdout.by_day["challenger"], holdout.by_day[other]
    pairs = zip(mine[metric].astype(float), theirs[metric].astype(float), strict=True)
    compared = measures.metric(holdout.model, metric)
    gains = np.array([metrics.gain(compared, one, another) for one, another in pairs])
    known = np.isfinite(gains)
    better = f"{int(np.sum(gains[known] > 0))} of {counted(int(known.sum()))}"
    whole = Gain.of(holdout.estimate(other, metric))
    margin = holdout.model.gate.margin if other == "champion" else None
    title = f"The challenger beats the {other} on {better}"
    subtitle = f"Gain in {metric} by day, above 0 the challenger is better. {holdout.summary}"
    if whole is not None:
        title = _conclusion(whole, metric, other, margin)
        days = holdout.model.gate.block_days
        blocks = "days" if days == 1 else f"blocks of {days} days"
        subtitle = (
            f"Gain in {metric} by day, above 0 the challenger is better: on {better}. Limits: {sure(holdout.model)} "
            f"each, by {blocks}. {holdout.summary}"
        )
    made, (axes,) = figure(title, subtitle, height=3.0)
    if not known.any():
        say(axes, f"{metric} is not defined on any of these days: each has one class only.")
        return made
    colours = [COLOURS["challenger"] if gain > 0 else COLOURS[other] for gain in np.nan_to_num(gains)]
    axes.bar(range(len(gains)), np.nan_to_num(gains), color=colours, width=0.62)
    for at in np.flatnonzero(~known).tolist():
        axes.text(at, 0, "undefined", rotation=90, ha="center", va="bottom", color=SOFT, fontsize=8)
    axes.axhline(0, color=SOFT, linewidth=1.0)
    _day_axis(axes, mine["partition"].tolist())
    if whole is not None:
        axes.axhspan(whole.lower, whole.upper, color=INK, alpha=0.13, linewidth=0, label="limits of the gain")
        axes.axhline(whole.value, color=INK, linewidth=1.3, label="gain on all rows")
    if margin is not None:
        axes.axhline(-margin, **MARGIN, label=f"margin: {margin:g} worse")
    if whole is not None or margin is not None:
        axes.legend(ncols=3, loc="lower right", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.1)
    labelled(axes, "", f"gain in {metric}")
    return made


def _conclusion(gain: Gain, metric: str, other: str, margin: float | None) -> str:
    """What the limits mean, in a sentence."""
    who, by = f"In {metric} the challenger is", f"by {shown(abs(gain.value))} on these days"
    if gain.lower > 0:
        return f"{who} significantly better than the {other}, {by}"
    if gain.upper < -(margin or 0.0):
        return f"{who} significantly worse than the {other}{' by more than the margin' if margin else ''}, {by}"
    words = f"{who} {shown(abs(gain.value))} {'better' if gain.value >= 0 else 'worse'} than the {other}"
    if margin is None:
        return f"{words}, which may be chance"
    return (
        f"{words}, {'and significantly within the margin' if gain.lower > -margin else 'too uncertain for the margin'}"
    )


def _day_axis(axes: Axes, days: list[str]) -> None:
    """At most a dozen tick labels, the year once."""
    step = max(1, -(-len(days) // 12))
    named = range(0, len(days), step)
    air = max(0.6, (7 - len(days)) / 2)  # narrow bars for a few days
    axes.set_xlim(-air, len(days) - 1 + air)
    axes.set_xticks(list(named), [days[at] if at == 0 else days[at][5:] for at in named])
    axes.grid(axis="x", visible=False)
