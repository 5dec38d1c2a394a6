"""Plot the effect of damaged nights: the metric with and without the gate, and the outcome of each night."""

from __future__ import annotations

from datetime import date
from typing import Any

from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from include.backtest import picture
from include.backtest.damaged_result import DamagedResult, DrawResult
from include.backtest.outcome import number
from include.backtest.policies import NIGHTLY, UNGATED
from include.backtest.report import Report, titles

SIZE = (11.0, 6.4)
LINES = {UNGATED: {"color": "#c0392b", "linewidth": 1.6, "linestyle": (0, (4, 2))}, NIGHTLY: picture.LINES[NIGHTLY]}
SOUND: picture.Style = {"color": "#b9bec6", "linewidth": 1.6}
PASSED = {"promote": ("passed", {"marker": "D", "color": "#0b6e4f", "s": 30})}
NIGHT = "#e6b8b2"
# White background, because the vertical lines of the nights span the full height.
LEGEND: picture.Style = {
    "loc": "upper left",
    "fontsize": 9,
    "facecolor": "white",
    "framealpha": 1,
    "edgecolor": "none",
}


def draw(report: Report, damaged: DamagedResult) -> dict[str, bytes]:
    """The picture of the first draw of a report with damaged nights, as ``broken.svg`` and ``broken.png``."""
    return picture.rendered(lambda: _figure(report, damaged), "broken")


def sentence(report: Report, damaged: DamagedResult) -> str:
    """The title of the picture: the share of broken nights, and the metric with and without the gate."""
    metric = report.metric
    gate, none = (number(damaged.draws[0].policies[name].metrics[metric]) for name in (NIGHTLY, UNGATED))
    return (
        f"{report.model}, {100 * damaged.share:.3g} % of nights broken: {picture.name_of(metric)} {gate} "
        f"behind the gate, {none} without one"
    )


def _figure(report: Report, damaged: DamagedResult) -> Figure:
    draw = damaged.draws[0]
    figure = Figure(figsize=SIZE, layout="constrained", facecolor="white")
    grid = figure.add_gridspec(2, 1, height_ratios=(5, 3.2))
    top = figure.add_subplot(grid[0])
    nights = figure.add_subplot(grid[1], sharex=top)
    figure.suptitle(sentence(report, damaged), x=0.01, ha="left", fontsize=12, fontweight="bold")
    _metric(top, report, damaged)
    _nights(nights, draw)
    for axes in (top, nights):
        for night in draw.nights:
            axes.axvline(_day(night.as_of), color=NIGHT, linewidth=0.9, zorder=0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_axisbelow(True)
    top.tick_params(labelbottom=False)
    locator = AutoDateLocator(minticks=4, maxticks=12)
    nights.xaxis.set_major_locator(locator)
    nights.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    return figure


def _metric(axes: Any, report: Report, damaged: DamagedResult) -> None:
    names, metric, days = titles(report.protocol), report.metric, report.protocol.rolling_days
    draw = damaged.draws[0]
    sound = [(day.day, day.policies[NIGHTLY].rolling) for day in report.days]
    pooled = number(report.policies[NIGHTLY].metrics[metric])
    _line(axes, sound, label=f"{pooled}  {names[NIGHTLY]}, no night broken", **SOUND)
    for policy, style in LINES.items():
        points = [(day.day, day.policies[policy].rolling) for day in draw.days]
        _line(axes, points, label=f"{number(draw.policies[policy].metrics[metric])}  {names[policy]}", **style)
    better = "higher" if report.larger_is_better else "lower"
    axes.set_ylabel(f"{picture.name_of(metric)}, last {days} days\n({better} is better)")
    axes.grid(axis="y", color="#e6e8eb", linewidth=0.8)
    count, draws = len(draw.nights), len(damaged.draws)
    first = f"the first of {draws} draws: " if draws > 1 else ""
    judged = ", are judged by broken rows" if damaged.everywhere else ""
    title = (
        f"{first}{count} of the nights (vertical lines) learn from broken rows{judged} and serve until the next release"
    )
    axes.set_title(title, loc="left", fontsize=9, color="#4a4f57")
    axes.legend(**LEGEND, ncols=3)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + (high - low) * 0.14)  # room for the legend above the lines


def _line(axes: Any, points: list[tuple[str, float | None]], **style: Any) -> None:
    drawn = [(_day(day), value) for day, value in points if value is not None]
    axes.plot([day for day, _ in drawn], [value for _, value in drawn], **style)


def _nights(axes: Any, draw: DrawResult) -> None:
    """Plot one row for each kind of damage; each mark shows the gate's decision on a night."""
    kinds = sorted({night.damage for night in draw.nights}, reverse=True)
    for verdict, (name, style) in {**picture.MARKS, **PASSED}.items():
        found = [night for night in draw.nights if night.verdict == verdict]
        if found:
            days, rows = [_day(n.as_of) for n in found], [kinds.index(n.damage) for n in found]
            axes.scatter(days, rows, label=f"{name} ({len(found)})", **style)
    axes.set_yticks(range(len(kinds)), kinds)
    axes.set_ylim(-0.7, len(kinds) + 0.9)  # room for the legend
    axes.tick_params(axis="y", length=0)
    axes.set_title("outcome", loc="left", fontsize=9, color="#4a4f57")
    axes.legend(**LEGEND, ncols=5)


def _day(key: str) -> Any:
    return date.fromisoformat(key)
