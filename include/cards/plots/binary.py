"""Pictures of a binary classification: ranking, calibration and the distribution of the scores."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from include.cards import intervals
from include.cards.intervals import ALPHA
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
    say,
    square,
    thinned,
)
from include.statistics import metrics

roc_auc = metrics.METRICS["roc_auc"].compute
average_precision = metrics.METRICS["average_precision"].compute


def _one_class(holdout: Drawn) -> str | None:
    """Why nothing can be ranked, or None."""
    share = holdout.y.mean()
    if 0 < share < 1:
        return None
    which = "Every" if share else "No"
    return f"{which} row of the holdout has the label {holdout.model.data.label.positive!r}"


def ranking(holdout: Drawn) -> Figure:
    """ROC and precision-recall curves of challenger, champion and baseline."""
    alone = _one_class(holdout)
    if alone:
        made, (left, right) = figure("Ranking cannot be judged on this holdout", holdout.summary, panels=2)
        say(left, f"{alone}: there is nothing to tell apart.")
        right.set_axis_off()
        return made
    y = holdout.y
    areas = {side: roc_auc(y, holdout.scores[side]) for side in holdout.sides}
    others = ", ".join(f"{side} {percent(area)}" for side, area in areas.items() if side != "challenger")
    against = f"{others[:1].upper()}{others[1:]} (this is the ROC-AUC). " if others else ""
    against += (
        f"In brackets: {100 * (1 - ALPHA):.3g}\N{NO-BREAK SPACE}% intervals over days. "
        if holdout.evaluation and holdout.evaluation.intervals
        else ""
    )
    title = f"The challenger puts a positive row above a negative one in {percent(areas['challenger'])} of pairs"
    made, (left, right) = figure(title, f"{against}{holdout.summary}", panels=2, height=3.5)
    for side in reversed(holdout.sides):
        scores, colour = holdout.scores[side], COLOURS[side]
        false, true, precision = curves(y == 1, scores)
        left.plot(
            *thinned(false, true), color=colour, label=f"{side} {areas[side]:.3f}{_between(holdout, side, 'roc_auc')}"
        )
        name = f"{side} {average_precision(y, scores):.3f}{_between(holdout, side, 'average_precision')}"
        right.plot(*thinned(true, precision), color=colour, label=name, drawstyle="steps-post")
    square(left)
    labelled(left, "share of the negative rows flagged", "share of the positive rows found", "ROC (area)")
    square(right)
    right.lines[-1].remove()  # the diagonal means nothing here
    labelled(right, "recall: positive rows found", "precision: flagged rows right", "Precision and recall (average)")
    left.legend(loc="lower right", reverse=True)
    right.legend(loc="upper right", reverse=True)
    return made


def _between(holdout: Drawn, side: str, metric: str) -> str:
    """The interval of a metric, in brackets; nothing if it is not known."""
    found = intervals.between(holdout.evaluation, side, metric)
    return "" if found is None else f" ({found[0]:.3f} to {found[1]:.3f})"


def curves(positive: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Share of negative rows flagged, of positive rows found, and precision, at every threshold from the highest on."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)  # equal scores are flagged together
    found = np.cumsum(positive[order])[last]
    flagged = np.flatnonzero(last) + 1
    false, true = (flagged - found) / (len(scores) - found[-1]), found / found[-1]
    precision = found / flagged
    return np.insert(false, 0, 0.0), np.insert(true, 0, 0.0), np.insert(precision, 0, precision[0])


def calibration(holdout: Drawn) -> Figure:
    """How often the label occurs by predicted probability, with a histogram of the predictions below."""
    y, mine = holdout.y.astype(float), holdout.scores["challenger"]
    title = f"The challenger's probabilities are off by {_points(y, mine)} on average"
    others = [f"; the {s}'s by {_points(y, holdout.scores[s])}" for s in holdout.rivals if s != "challenger"]
    subtitle = f"Tenths of the rows by score{''.join(others)}. Bars: 95 % of chance. {holdout.summary}"
    return reliability(
        holdout, {side: (y, holdout.scores[side]) for side in holdout.rivals}, title, subtitle,
        ("predicted probability", f"share with the label {holdout.model.data.label.positive!r}"),
    )  # fmt: skip


def reliability(
    holdout: Drawn,
    sides: dict[str, tuple[np.ndarray, np.ndarray]],
    title: str,
    subtitle: str,
    names: tuple[str, str],
) -> Figure:
    """A reliability diagram of each side's (observed share, predicted probability), and the histogram of the latter."""
    made, (axes,) = figure(title, subtitle, height=4.1)
    box = axes.get_position()
    axes.set_position((box.x0, box.y0 + 0.21, box.width, box.height - 0.21))
    below = made.add_axes((box.x0, box.y0, box.width, 0.15))
    square(axes)
    for side in reversed(list(sides)):
        happened, said = sides[side]
        found = bins(said)
        x, share = (np.array([v[rows].mean() for rows in found]) for v in (said, happened))
        error = 1.96 * np.sqrt(share * (1 - share) / [len(rows) for rows in found])
        style: Any = {"color": COLOURS[side], "marker": "o", "markersize": 4, "label": side}
        axes.errorbar(x, share, yerr=error, elinewidth=0.9, linewidth=1.3, **style)
        grid = np.linspace(0, 1, 41)
        share_of_rows = np.histogram(said, grid)[0] / len(said)
        if side == "challenger":
            below.stairs(share_of_rows, grid, color=COLOURS[side], fill=True, alpha=0.45, zorder=1)
        else:
            below.stairs(share_of_rows, grid, color=COLOURS[side], zorder=2)
    axes.legend(loc="upper left", reverse=True)
    labelled(axes, "", names[1])
    axes.tick_params(labelbottom=False)
    below.set_xlim(-0.02, 1.02)
    below.grid(False)
    below.set_yticks([])
    below.set_xticks(axes.get_xticks(), [f"{t:g}" for t in axes.get_xticks()])
    labelled(below, names[0], "rows")
    return made


def off_by(happened: np.ndarray, said: np.ndarray) -> float:
    """The expected calibration error over tenths of the rows, in 0 to 1 (Naeini et al. 2015)."""
    return sum(len(rows) * abs(happened[rows].mean() - said[rows].mean()) for rows in bins(said)) / len(said)


def _points(happened: np.ndarray, said: np.ndarray) -> str:
    return f"{100 * off_by(happened, said):.1f} points"


def distribution(holdout: Drawn) -> Figure:
    """Histograms of the scores of positive and negative rows, of challenger and champion."""
    y, mine = holdout.y, holdout.scores["challenger"]
    alone = _one_class(holdout)
    gap = "" if alone else f"{100 * (mine[y == 1].mean() - mine[y == 0].mean()):.1f} points"
    title = alone or f"The challenger's score of positive rows is {gap} above that of negative ones"
    made, panels = figure(title, f"Share of the rows of each kind by score. {holdout.summary}", len(holdout.rivals))
    top = 0.0
    for axes, side in zip(panels, holdout.rivals, strict=True):
        top = max(top, _histograms(axes, holdout, side))
        labelled(axes, "score", "share of the rows" if axes is panels[0] else "", side)
    for axes in panels:
        axes.set_ylim(0, top * 1.08)
    panels[0].legend(loc="upper right")
    return made


def _histograms(axes: Axes, holdout: Drawn, side: str) -> float:
    """Both kinds of rows of one side; the highest bar."""
    edges = np.linspace(0, 1, 31)
    top = 0.0
    for label, colour, edge, name in (
        (0, LINE, SOFT, "negative rows"),
        (1, COLOURS[side], COLOURS[side], "positive rows"),
    ):
        scores = holdout.scores[side][holdout.y == label]
        if len(scores):
            share = np.histogram(scores, edges)[0] / len(scores)
            top = max(top, float(share.max()))
            axes.stairs(share, edges, fill=True, color=colour, alpha=0.75 if label == 0 else 0.35)
            axes.stairs(share, edges, color=edge, linewidth=1.2, label=name)
    axes.set_xlim(-0.01, 1.01)
    return top
