"""Pictures of a regression: predicted and actual values, and the size and place of the errors."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from include.cards.plots.canvas import (
    COLOURS,
    LINE,
    SOFT,
    Drawn,
    Figure,
    bins,
    figure,
    labelled,
    percent,
    sample,
    shown,
)


def predicted(holdout: Drawn) -> Figure:
    """Predicted against actual values of challenger and champion."""
    y = holdout.y
    error = {side: float(np.mean(np.abs(y - holdout.scores[side]))) for side in holdout.rivals}
    against = "".join(f", the champion's by {shown(e)}" for side, e in error.items() if side == "champion")
    title = f"The challenger's predictions are off by {shown(error['challenger'])} on average{against}"
    spread = float(np.sum((y - y.mean()) ** 2))
    explained = 1 - float(np.sum((y - holdout.scores["challenger"]) ** 2)) / spread if spread > 0 else float("nan")
    what = f"It explains {percent(explained)} of the variance. " if np.isfinite(explained) and explained > 0 else ""
    rows = sample(len(y))
    part = f" ({len(rows):,} of them drawn)" if len(rows) < len(y) else ""
    made, panels = figure(title, f"{what}{holdout.summary}{part}", len(error), height=3.6)
    low, high = _range(np.concatenate([y[rows], *(holdout.scores[side][rows] for side in error)]))
    for axes, side in zip(panels, error, strict=True):
        axes.plot([low, high], [low, high], color=SOFT, linewidth=1.0, zorder=3)
        _points(axes, holdout.scores[side][rows], y[rows], side)
        axes.set_xlim(low, high)
        axes.set_ylim(low, high)
        label = holdout.model.data.label.column
        labelled(axes, f"predicted {label}", f"actual {label}" if axes is panels[0] else "", side)
    return made


def residuals(holdout: Drawn) -> Figure:
    """Errors by predicted value: the median and the range of four of five, in tenths of the rows."""
    y = holdout.y
    bias = float(np.mean(y - holdout.scores["challenger"]))
    size = float(np.mean(np.abs(y - holdout.scores["challenger"])))
    if abs(bias) < 0.1 * size or size == 0:
        title = "On average, the challenger predicts neither too low nor too high"
    else:
        title = f"The challenger predicts {shown(abs(bias))} too {'little' if bias > 0 else 'much'} on average"
    subtitle = f"Line: the median error of each tenth of the rows; band: four of five. {holdout.summary}"
    made, panels = figure(title, subtitle, len(holdout.rivals), height=3.4)
    rows = sample(len(y))
    gaps = {side: y - holdout.scores[side] for side in holdout.rivals}
    low, high = _range(np.concatenate([gap[rows] for gap in gaps.values()]))
    for axes, (side, gap) in zip(panels, gaps.items(), strict=True):
        scores = holdout.scores[side]
        _points(axes, scores[rows], gap[rows], side, alpha=0.12)
        found = bins(scores)
        x = [float(scores[r].mean()) for r in found]
        tenth, middle, ninth = np.array([np.quantile(gap[r], [0.1, 0.5, 0.9]) for r in found]).T
        axes.axhline(0, color=SOFT, linewidth=1.0)
        axes.fill_between(x, tenth, ninth, color=COLOURS[side], alpha=0.2, linewidth=0)
        axes.plot(x, middle, color=COLOURS[side], marker="o", markersize=3.5)
        axes.set_ylim(low, high)
        axes.set_xlim(*_range(scores))
        label = holdout.model.data.label.column
        labelled(axes, f"predicted {label}", "actual minus predicted" if axes is panels[0] else "", side)
    return made


def errors(holdout: Drawn) -> Figure:
    """Histogram of the errors of all sides."""
    gaps = {side: holdout.y - holdout.scores[side] for side in holdout.sides}
    half, nine = np.quantile(np.abs(gaps["challenger"]), [0.5, 0.9])
    title = f"Half of the challenger's errors are below {shown(half)}, nine of ten below {shown(nine)}"
    made, (axes,) = figure(title, f"Actual minus predicted. {holdout.summary}", height=3.2)
    together = np.concatenate(list(gaps.values()))
    low, high = np.quantile(together, [0.005, 0.995])
    low, high = (low, high) if high > low else (low - 0.5, high + 0.5)
    edges = np.linspace(low, high, 51)
    for side in reversed(list(gaps)):
        share = np.histogram(np.clip(gaps[side], low, high), edges)[0] / len(holdout.y)
        if side == "challenger":
            axes.stairs(share, edges, fill=True, color=COLOURS[side], alpha=0.35, zorder=1)
        axes.stairs(share, edges, color=COLOURS[side], linewidth=1.3, label=side, zorder=2)
    axes.axvline(0, color=LINE, linewidth=1.2, zorder=1)
    axes.legend(reverse=True)
    labelled(axes, "error (the outermost bars hold all beyond)", "share of the rows")
    return made


def _points(axes: Axes, x: np.ndarray, y: np.ndarray, side: str, alpha: float = 0.3) -> None:
    axes.scatter(x, y, s=7, color=COLOURS[side], alpha=alpha, linewidths=0, rasterized=True, zorder=2)


def _range(values: np.ndarray) -> tuple[float, float]:
    """What is drawn: all but the outermost five in a thousand, with a small margin."""
    low, high = np.quantile(values, [0.0025, 0.9975])
    air = 0.04 * (high - low) or 0.5
    return float(low - air), float(high + air)
