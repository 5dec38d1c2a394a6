"""Draws a back-test: the rolling metric of the policies, what the gate decided each night, and how old the champion is.

Objects of matplotlib only, no `pyplot` (it keeps figures in a global and picks a backend); same report, same bytes.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from datetime import date
from typing import Any

from include.settings import Settings

os.environ.setdefault("MPLCONFIGDIR", str(Settings.from_environment().matplotlib))

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from include.backtest.outcome import number
from include.backtest.policies import FROZEN, MONTHLY, NIGHTLY, NO_DECISION, REFUSED, UNGATED
from include.backtest.report import Report, titles

SIZE, DPI = (11.0, 7.2), 130
Style = dict[str, object]  # arguments of matplotlib
STYLE: Any = {"svg.hashsalt": "perennial", "svg.fonttype": "path", "font.family": "DejaVu Sans", "font.size": 10}
LINES: dict[str, Style] = {
    FROZEN: {"color": "#8a8f98", "linewidth": 1.8},
    MONTHLY: {"color": "#d9822b", "linewidth": 1.8},
    UNGATED: {"color": "#6bb7a3", "linewidth": 1.2, "linestyle": (0, (4, 2))},
    NIGHTLY: {"color": "#0b6e4f", "linewidth": 2.2},
}
MARKS: dict[str, tuple[str, Style]] = {
    "promote": ("promoted", {"marker": "|", "color": "#0b6e4f", "s": 70}),
    "reject": ("rejected", {"marker": "x", "color": "#c0392b", "s": 26, "linewidths": 1.3}),
    "hold": ("held", {"marker": "o", "facecolors": "none", "edgecolors": "#b7791f", "s": 24}),
    REFUSED: ("refit refused", {"marker": "s", "facecolors": "none", "edgecolors": "#7d3c98", "s": 24}),
    NO_DECISION: ("no decision", {"marker": ".", "color": "#8a8f98", "s": 20}),
}
NAMES = {
    "log_loss": "log loss",
    "roc_auc": "ROC-AUC",
    "average_precision": "average precision",
    "brier": "Brier score",
    "mae": "mean absolute error",
    "rmse": "root mean squared error",
    "r2": "R²",
}


def draw(report: Report) -> dict[str, bytes]:
    """The picture of a report that has days, as ``backtest.svg`` and ``backtest.png``."""
    return rendered(lambda: _figure(report), "backtest")


def rendered(make: Callable[[], Figure], name: str) -> dict[str, bytes]:
    """What ``make`` draws, in the style of the project, as ``<name>.svg`` and ``<name>.png``."""
    with rc_context(STYLE):
        figure = make()
        vector, raster = io.BytesIO(), io.BytesIO()
        FigureCanvasSVG(figure).print_svg(vector, metadata={"Date": None, "Creator": None})
        figure.set_dpi(DPI)
        FigureCanvasAgg(figure).print_png(raster, metadata={"Software": None})
    return {f"{name}.svg": vector.getvalue(), f"{name}.png": raster.getvalue()}


def sentence(report: Report) -> str:
    """What the picture shows, in one sentence."""
    metric, every = report.metric, report.protocol.every
    values = {policy: number(found.metrics[metric]) for policy, found in report.policies.items()}
    often = "every night" if every == 1 else f"every {every} nights"
    return (
        f"{report.model}: {name_of(metric)} {values[NIGHTLY]} retrained {often} behind the gate, "
        f"{values[MONTHLY]} monthly, {values[FROZEN]} never"
    )


def name_of(metric: str) -> str:
    """A metric as people write it."""
    return NAMES.get(metric, metric.replace("_", " "))


def _figure(report: Report) -> Figure:
    figure = Figure(figsize=SIZE, layout="constrained", facecolor="white")
    grid = figure.add_gridspec(3, 1, height_ratios=(6, 1.5, 1.9))
    top = figure.add_subplot(grid[0])
    gate = figure.add_subplot(grid[1], sharex=top)
    age = figure.add_subplot(grid[2], sharex=top)
    figure.suptitle(sentence(report), x=0.01, ha="left", fontsize=12, fontweight="bold")
    days, after = report.days, report.protocol.serves_after_days
    top.set_title(
        f"Each day from {days[0].day} to {days[-1].day} is scored by the model that would have served it: "
        f"fitted up to {'the day' if after == 1 else f'{after} days'} before, at the newest.",
        loc="left",
        fontsize=9,
        color="#4a4f57",
    )
    _metric(top, report)
    _decisions(gate, report)
    _ages(age, report)
    for axes in (top, gate, age):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="x", color="#e6e8eb", linewidth=0.8)
        axes.set_axisbelow(True)
    for axes in (top, gate):
        axes.tick_params(labelbottom=False)
    locator = AutoDateLocator(minticks=4, maxticks=12)
    age.xaxis.set_major_locator(locator)
    age.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    return figure


def _metric(axes: Any, report: Report) -> None:
    metric, protocol = report.metric, report.protocol
    names = titles(protocol)
    for policy, style in LINES.items():
        points = [(day.day, day.policies[policy].rolling) for day in report.days]
        drawn = [(_day(day), value) for day, value in points if value is not None]
        pooled = number(report.policies[policy].metrics[metric])
        axes.plot([d for d, _ in drawn], [v for _, v in drawn], label=f"{pooled}  {names[policy]}", **style)
    better = "higher" if report.larger_is_better else "lower"
    axes.set_ylabel(f"{name_of(metric)}, last {protocol.rolling_days} days ({better} is better)")
    axes.grid(axis="y", color="#e6e8eb", linewidth=0.8)
    nightly = report.policies[NIGHTLY]
    axes.legend(
        title=f"over all {nightly.days} days, {nightly.rows:,} rows",
        frameon=False,
        loc="upper left",
        bbox_to_anchor=(0, -0.01, 1, 1),
        ncols=2,
        alignment="left",
        fontsize=9,
        title_fontsize=9,
    )
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + (high - low) * 0.22)  # room for the legend above the lines


def _decisions(axes: Any, report: Report) -> None:
    """One row for each kind of verdict that occurred."""
    there = [verdict for verdict in MARKS if report.decisions.get(verdict)]
    for row, verdict in enumerate(reversed(there)):
        nights = [_day(night.as_of) for night in report.nights if night.verdict == verdict]
        axes.scatter(nights, [row] * len(nights), **MARKS[verdict][1])
    labels = [f"{MARKS[verdict][0]} ({report.decisions[verdict]})" for verdict in reversed(there)]
    axes.set_yticks(range(len(there)), labels)
    axes.set_ylim(-0.7, len(there) - 0.3)
    axes.tick_params(axis="y", length=0)
    axes.set_title("the gate's decisions, by the day that each night was about", loc="left", fontsize=9)


def _ages(axes: Any, report: Report) -> None:
    for policy in (MONTHLY, NIGHTLY):
        points = [(_day(day.day), day.policies[policy].age) for day in report.days]
        axes.step([d for d, _ in points], [a for _, a in points], where="mid", **LINES[policy])
    axes.set_ylim(bottom=0)
    axes.set_title("days since the last day that the serving model has learned from", loc="left", fontsize=9)


def _day(key: str) -> date:
    return date.fromisoformat(key)
