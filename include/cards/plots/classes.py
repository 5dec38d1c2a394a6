"""Pictures of a classification of several classes: confusion, ranking and calibration."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from include.cards.plots.binary import curves, off_by, reliability, roc_auc
from include.cards.plots.canvas import (
    CLASS_COLOURS,
    INK,
    Drawn,
    Figure,
    figure,
    labelled,
    percent,
    say,
    square,
    thinned,
)
from include.training import dataset

MOST_CLASSES = 12
OTHERS = "all others"


def confusion(holdout: Drawn) -> Figure:
    """The share of each class that is predicted as each class; challenger next to champion."""
    y = holdout.y
    names, place = _merged(holdout)
    tables = {side: _table(place[y], place[holdout.scores[side].argmax(axis=1)], len(names)) for side in holdout.rivals}
    right = {side: float(np.mean(holdout.scores[side].argmax(axis=1) == y)) for side in holdout.rivals}
    against = "".join(f"; the {side} on {percent(r)}" for side, r in right.items() if side != "challenger")
    title = f"The challenger is right on {percent(right['challenger'])} of the rows{against}{_mistake(names, tables)}"
    subtitle = f"Of the rows of a class (row), the percentage predicted as each (column). {holdout.summary}"
    longest = max(map(len, names))
    made, panels = figure(title, subtitle, len(tables), height=max(2.6, 0.9 + 0.27 * len(names)))
    made.subplots_adjust(left=min(0.3, 0.05 + 0.0115 * longest), wspace=0.12)
    for axes, (side, table) in zip(panels, tables.items(), strict=True):
        _matrix(axes, table, names, numbered=len(names) <= 8 or len(tables) == 1)
        labelled(axes, "taken for", "", side)
        if axes is not panels[0]:
            axes.tick_params(labelleft=False)
    return made


def _merged(holdout: Drawn) -> tuple[list[str], np.ndarray]:
    """Names of the classes that are drawn, and where each declared class is drawn: rare ones share the last line."""
    names = list(dataset.class_names(holdout.model))
    place = np.arange(len(names))
    if len(names) > MOST_CLASSES:
        common = np.sort(np.argsort(-np.bincount(holdout.y, minlength=len(names)), kind="stable")[: MOST_CLASSES - 1])
        place = np.full(len(names), len(common))
        place[common] = np.arange(len(common))
        names = [*(names[at] for at in common), OTHERS]
    return [_short(name) for name in names], place


def _short(name: str) -> str:
    return name if len(name) <= 20 else f"{name[:11]}\N{HORIZONTAL ELLIPSIS}{name[-8:]}"


def _table(true: np.ndarray, taken: np.ndarray, classes: int) -> np.ndarray:
    """Shares of each true class; nan if a class has no rows."""
    counts = np.bincount(true * classes + taken, minlength=classes * classes).reshape(classes, classes)
    with np.errstate(invalid="ignore"):
        return counts / counts.sum(axis=1, keepdims=True)


def _mistake(names: list[str], tables: dict[str, np.ndarray]) -> str:
    """The challenger's most frequent mistake, in words."""
    wrong = np.nan_to_num(tables["challenger"].copy())
    np.fill_diagonal(wrong, 0.0)
    true, taken = np.unravel_index(int(wrong.argmax()), wrong.shape)
    share = wrong[true, taken]
    return f". It takes {percent(share)} of {names[true]!r} for {names[taken]!r}" if share else ""


def _matrix(axes: Axes, table: np.ndarray, names: list[str], numbered: bool) -> None:
    axes.imshow(table, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    ticks = range(len(names))
    if max(map(len, names)) * len(names) > 32:  # no room below: the columns have the numbers of the rows
        axes.set_xticks(ticks, [str(at + 1) for at in ticks])
        names = [f"{name}  {at + 1}" for at, name in enumerate(names)]
    else:
        axes.set_xticks(ticks, names)
    axes.set_yticks(ticks, names)
    axes.tick_params(length=0)
    for line, column in np.ndindex(*table.shape) if numbered else ():
        share = table[line, column]
        if np.isfinite(share):
            text = f"{100 * share:.0f}"
            axes.text(column, line, text, ha="center", va="center", color="white" if share > 0.55 else INK, fontsize=8)
        elif column == 0:
            axes.text(0, line, " no row", va="center", ha="center", color=INK, fontsize=8)


def ranking(holdout: Drawn) -> Figure:
    """One class against the rest: ROC curves of challenger and champion."""
    names, y = dataset.class_names(holdout.model), holdout.y
    there = [int(at) for at in np.unique(y)]
    if len(there) < 2:
        made, (axes,) = figure("Ranking cannot be judged on this holdout", holdout.summary)
        say(axes, f"Every row of the holdout has the label {names[there[0]]!r}: there is nothing to tell apart.")
        return made
    areas = {side: {at: roc_auc(y == at, holdout.scores[side][:, at]) for at in there} for side in holdout.rivals}
    mine = areas["challenger"]
    hardest, easiest = min(there, key=lambda at: mine[at]), max(there, key=lambda at: mine[at])
    title = (
        f"The challenger separates {_short(names[easiest])!r} best from the rest (ROC-AUC {mine[easiest]:.3f}), "
        f"{_short(names[hardest])!r} worst ({mine[hardest]:.3f})"
    )
    common = sorted(there, key=lambda at: -np.sum(y == at))[: len(CLASS_COLOURS)]
    left_out = f" The {len(common)} most common of {len(there)} classes." if len(common) < len(there) else ""
    made, panels = figure(title, f"One class against the rest.{left_out} {holdout.summary}", len(areas), height=3.5)
    for axes, (side, found) in zip(panels, areas.items(), strict=True):
        for at, colour in zip(sorted(common), CLASS_COLOURS, strict=False):
            false, true, _ = curves(y == at, holdout.scores[side][:, at])
            axes.plot(*thinned(false, true), color=colour, linewidth=1.4, label=f"{_short(names[at])} {found[at]:.3f}")
        square(axes)
        axes.legend(loc="lower right")
        name = f"{side}, mean area {np.mean(list(found.values())):.3f}"
        labelled(axes, "share of the rest flagged", "share of the class found" if axes is panels[0] else "", name)
    return made


def calibration(holdout: Drawn) -> Figure:
    """Whether the most probable class is right as often as its probability predicts."""
    sides = {}
    for side in holdout.rivals:
        scores = holdout.scores[side]
        sides[side] = ((scores.argmax(axis=1) == holdout.y).astype(float), scores.max(axis=1))
    happened, said = sides["challenger"]
    sure, right = said.mean(), happened.mean()
    how = "about as sure as it is right" if abs(sure - right) < 0.02 else "too sure" if sure > right else "too modest"
    title = f"The challenger is {how}: it predicts {percent(sure)} on average and is right on {percent(right)}"
    off = "; ".join(f"{side} off by {100 * off_by(*found):.1f} points" for side, found in sides.items())
    subtitle = f"The most probable class of each row: {off}. Bars: 95 % of chance. {holdout.summary}"
    return reliability(
        holdout, sides, title, subtitle, ("probability of the most probable class", "share that is right")
    )
