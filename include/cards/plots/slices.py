"""The picture of the slices: where the challenger is better or worse than the champion, value by value of a column."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from include.cards.plots.canvas import COLOURS, INK, MARGIN, SOFT, Drawn, Figure, figure, labelled, say, sure
from include.gate.completeness import SLICE_NEEDS
from include.gate.evaluation import Gain, Slice
from include.spec import Task
from include.statistics import uncertainty

MOST_VALUES = 30
MOST_NAMED = 10

Judged = tuple[Slice, Gain, bool]
"""A value of a column, its gain, and whether it is significantly worse by more than the margin."""


def gains(holdout: Drawn) -> Figure:
    """The gain over the champion for each value that is judged, with its limits and the margin of a slice."""
    model = holdout.model
    found = (holdout.evaluation.slices if holdout.evaluation else None) or ()
    margin = model.gate.slice_margin or 2 * model.gate.margin
    judged, rest = _judged(found, model.gate.alpha)
    columns = " or ".join(dict.fromkeys(one.column for one in found))
    bad = [f"{one.column} {_short(one.value)}" for one, _, worse in judged if worse]
    if not judged:
        title = f"No value of {columns} has enough rows to be judged"
    elif bad:
        title = f"Significantly worse than the champion by more than {margin:g}: {_listed(bad)}"
    else:
        title = f"No value of {columns} is significantly worse than the champion by more than {margin:g}"
    drawn = _worst(judged)
    few = f" The {len(drawn)} worst of {len(judged)} values." if len(drawn) < len(judged) else ""
    left_out = [f"{one.column} {_short(one.value)} ({one.rows:,} rows)" for one in rest]
    unsaid = f" Too little data to judge: {_listed(left_out)}." if left_out else ""
    subtitle = (
        f"Gain in {model.training.metric}, right of 0 the challenger is better, with limits of {sure(model)} each."
        f"{few}{unsaid}"
    )
    heads = len({one.column for one, _, _ in drawn})
    made, (axes,) = figure(title, subtitle, height=max(1.4, 0.75 + 0.2 * (len(drawn) + heads)))
    if not drawn:
        of_each = "" if model.data.label.task is Task.REGRESSION else f", {SLICE_NEEDS['class_rows']} of each class"
        say(axes, f"Judged with at least {SLICE_NEEDS['rows']} rows{of_each} and {SLICE_NEEDS['days']} days.")
        return made
    longest = max(len(_short(one.value)) for one, _, _ in drawn)
    made.subplots_adjust(left=min(0.3, 0.05 + 0.0105 * max(longest, 6)), right=0.88)
    _lines(axes, drawn)
    axes.axvline(0, color=SOFT, linewidth=1.0, zorder=1)
    axes.axvline(-margin, **MARGIN, zorder=1)
    top = axes.get_xaxis_transform()
    said = f"margin: {margin:g} worse "
    axes.text(-margin, 1.0, said, transform=top, ha="left", va="bottom", fontsize=8, color=MARGIN["color"])
    labelled(axes, f"gain in {model.training.metric}", "")
    return made


def _judged(found: Sequence[Slice], alpha: float) -> tuple[list[Judged], list[Slice]]:
    """The values with a gain that is known, and the others; which are worse is decided as in the gate (Holm)."""
    tested = [one for one in found if one.gain is not None]
    worse = uncertainty.holm([uncertainty.UNDEFINED if one.p_worse is None else one.p_worse for one in tested], alpha)
    pairs = [(one, Gain.of(one.gain), is_worse) for one, is_worse in zip(tested, worse, strict=True)]
    judged = [(one, gain, is_worse) for one, gain, is_worse in pairs if gain is not None]
    there = {id(one) for one, _, _ in judged}
    return judged, [one for one in found if id(one) not in there]


def _worst(judged: list[Judged]) -> list[Judged]:
    """At most `MOST_VALUES`, those with the lowest gain; by column, the lowest first."""
    kept = sorted(judged, key=lambda drawn: drawn[1].value)[:MOST_VALUES]
    columns = list(dict.fromkeys(one.column for one, _, _ in judged))
    return sorted(kept, key=lambda drawn: (columns.index(drawn[0].column), drawn[1].value))


def _lines(axes: Axes, drawn: list[Judged]) -> None:
    """A line for each value, the name of the column above its values, the rows at the right."""
    at, ticks, column = 0, {}, None
    right = axes.get_yaxis_transform()
    for one, gain, worse in drawn:
        if one.column != column:
            column = one.column
            axes.annotate(
                column, (0, at), (-5, 0), xycoords=right, textcoords="offset points",
                ha="right", va="center", fontsize=9, fontweight="bold", color=INK,
            )  # fmt: skip
            at += 1
        colour = COLOURS["champion" if worse else "challenger"]
        axes.plot([gain.lower, gain.upper], [at, at], color=colour, linewidth=1.4)
        axes.plot([gain.value], [at], color=colour, marker="o", markersize=4.5)
        rows = f" {one.rows:,} rows"
        axes.text(1, at, rows, transform=right, ha="left", va="center", fontsize=8, color=SOFT)
        ticks[at] = _short(one.value)
        at += 1
    axes.set_ylim(at - 0.4, -0.6)
    axes.set_yticks(list(ticks), list(ticks.values()))
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)


def _short(text: str) -> str:
    return text if len(text) <= 22 else f"{text[:13]}\N{HORIZONTAL ELLIPSIS}{text[-8:]}"


def _listed(names: list[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
