"""Draws what broken nights have done: the metric with the gate and without one, and what became of each of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from include.backtest.outcome import number
from include.backtest.policies import NIGHTLY
from include.backtest.report import titles

HEIGHT = 6.0  # inches that it needs below the rest
RATIOS = (5, 3.2)


def draw(
    top: Any,
    nights: Any,
    report: Mapping[str, Any],
    lines: Mapping[str, Mapping[str, Any]],
    marks: Mapping[str, tuple[str, Mapping[str, Any]]],
    metric: str,
) -> None:
    """Draw the first draw of a report with broken nights into two axes.

    Parameters
    ----------
    lines, marks : how policies and verdicts are drawn, by their names.
    metric : what people call the metric.
    """
    draw = report["broken"]["draws"][0]
    _metric(top, report, draw, lines, metric)
    _nights(nights, draw, marks)
    for axes in (top, nights):
        for night in draw["nights"]:
            axes.axvline(_day(night["as_of"]), color="#e6b8b2", linewidth=0.9, zorder=0)


def _metric(
    axes: Any, report: Mapping[str, Any], draw: Mapping[str, Any], lines: Mapping[str, Mapping[str, Any]], metric: str
) -> None:
    names, of = titles(report["protocol"]), report["metric"]
    sound = [(_day(day["day"]), day["policies"][NIGHTLY]["rolling"]) for day in report["days"]]
    label = f"{number(report['policies'][NIGHTLY]['metrics'][of])}  {names[NIGHTLY]}, no night broken"
    _line(axes, sound, label=label, color="#b9bec6", linewidth=1.6)
    for policy, style in reversed(list(lines.items())):
        points = [(_day(day["day"]), day["policies"][policy]["rolling"]) for day in draw["days"]]
        _line(axes, points, label=f"{number(draw['policies'][policy]['metrics'][of])}  {names[policy]}", **style)
    axes.set_ylabel(f"{metric}, last {report['protocol']['rolling_days']} days")
    axes.grid(axis="y", color="#e6e8eb", linewidth=0.8)
    told = "the same history with broken nights (vertical lines)"
    axes.set_title(
        f"{told}: {len(draw['nights'])} of them, {100 * report['broken']['share']:.3g} % of all", loc="left", fontsize=9
    )
    axes.legend(frameon=False, loc="upper left", ncols=2, fontsize=9)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + (high - low) * 0.2)  # room for the legend above the lines


def _line(axes: Any, points: list[tuple[date, float | None]], **style: Any) -> None:
    drawn = [(day, value) for day, value in points if value is not None]
    axes.plot([day for day, _ in drawn], [value for _, value in drawn], **style)


def _nights(axes: Any, draw: Mapping[str, Any], marks: Mapping[str, tuple[str, Mapping[str, Any]]]) -> None:
    """A row for each kind of damage; the mark says what the gate made of it."""
    kinds = sorted({night["damage"] for night in draw["nights"]}, reverse=True)
    for verdict, (name, style) in marks.items():
        found = [night for night in draw["nights"] if night["verdict"] == verdict]
        if found:
            days, rows = [_day(n["as_of"]) for n in found], [kinds.index(n["damage"]) for n in found]
            axes.scatter(days, rows, label=f"{name} ({len(found)})", **style)
    axes.set_yticks(range(len(kinds)), kinds)
    axes.set_ylim(-0.7, len(kinds) + 0.6)  # room for the legend
    axes.tick_params(axis="y", length=0)
    axes.set_title("what became of the broken nights", loc="left", fontsize=9)
    axes.legend(frameon=False, loc="upper left", ncols=5, fontsize=9)


def _day(key: str) -> date:
    return date.fromisoformat(key)
