"""Draws what `make gate-power` found: the cost of lag, the standard error, and how often an equal challenger passes.

Objects of matplotlib only, as in `include.backtest.picture`; same report, same bytes.
"""

from __future__ import annotations

from typing import Any

from include.backtest.picture import name_of, rendered

# isort: split
from matplotlib.figure import Figure  # after `picture`, which sets where matplotlib keeps its files
from matplotlib.ticker import PercentFormatter

from include.power.report import PowerReport, sentence
from include.spec.gate import STANDARD_ERRORS

SIZE = (11.0, 7.2)
GREEN, ORANGE, GREY, RED = "#0b6e4f", "#d9822b", "#8a8f98", "#c0392b"
SHADES = ("#b9ddd1", "#6bb7a3", "#2f8f73", "#0b6e4f", "#06402e")


def draw(report: PowerReport) -> dict[str, bytes]:
    """The picture of a report, as ``power.svg`` and ``power.png``."""
    return rendered(lambda: _figure(report), "power")


def _figure(report: PowerReport) -> Figure:
    figure = Figure(figsize=SIZE, layout="constrained", facecolor="white")
    grid = figure.add_gridspec(2, 2, height_ratios=(1, 1.3))
    figure.suptitle(sentence(report), x=0.01, ha="left", fontsize=12, fontweight="bold")
    _lag(figure.add_subplot(grid[0, 0]), report)
    _error(figure.add_subplot(grid[0, 1]), report)
    _power(figure.add_subplot(grid[1, :]), report)
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color="#e6e8eb", linewidth=0.8)
        axes.set_axisbelow(True)
    return figure


def _lag(axes: Any, report: PowerReport) -> None:
    found = [(one.lag, one.cost) for one in report.lag if one.cost and one.cost.value is not None]
    lags = [0, *(lag for lag, _ in found)]
    costs = [0.0, *(cost.value for _, cost in found)]
    errors = [0.0, *(cost.error or 0.0 for _, cost in found)]
    axes.errorbar(lags, costs, yerr=errors, color=GREEN, marker="o", capsize=3, linewidth=2)
    axes.axhline(report.configured, color=ORANGE, linestyle=(0, (4, 2)), label=f"margin {report.configured:g}")
    axes.set_xticks(lags)
    axes.set_xlabel("days that a model is older")
    axes.set_ylabel(f"worse {name_of(report.metric)}")
    axes.set_title("what lag costs in the week after (± standard error by days)", loc="left", fontsize=9)
    axes.legend(frameon=False, fontsize=9)


def _error(axes: Any, report: PowerReport) -> None:
    for apart, color in zip(sorted({one.apart for one in report.standard_error}), (GREY, GREEN), strict=False):
        found = [one for one in report.standard_error if one.apart == apart]
        days = [one.holdout for one in found]
        name = f"fits {apart} day{'' if apart == 1 else 's'} apart"
        axes.plot(days, [one.median for one in found], color=color, marker="o", label=f"{name}, median")
        high = [one.high for one in found]
        axes.plot(days, high, color=color, linewidth=1, linestyle=(0, (1, 2)), label="90 % of nights below")
    limit = report.configured / STANDARD_ERRORS
    axes.axhline(limit, color=ORANGE, linestyle=(0, (4, 2)), label=f"margin / {STANDARD_ERRORS:g}")
    axes.set_xticks(sorted({one.holdout for one in report.standard_error}))
    axes.set_ylim(bottom=0)
    axes.set_xlabel("days of the holdout")
    axes.set_title("standard error of the difference of two healthy fits", loc="left", fontsize=9)
    axes.legend(edgecolor="none", framealpha=0.8, fontsize=8)


def _power(axes: Any, report: PowerReport) -> None:
    lengths = sorted({one.holdout for one in report.power})
    for holdout, color in zip(lengths, SHADES, strict=False):
        cells = [one for one in report.power if one.holdout == holdout]
        own = holdout == report.protocol.holdout_days
        margins = [one.margin for one in cells]
        name = f"{holdout} days{' (own)' if own else ''}"
        axes.plot(
            margins, [one.equal for one in cells], color=color, marker="o", linewidth=2.6 if own else 1.4, label=name
        )
    axes.axvline(report.configured, color=ORANGE, linestyle=(0, (4, 2)), label=f"configured {report.configured:g}")
    mine = [one for one in report.power if one.holdout == report.protocol.holdout_days]
    worse = [one.worse for one in mine]
    axes.plot([one.margin for one in mine], worse, color=RED, linewidth=1.2, label="worse by the margin (own)")
    if report.margin > 0:
        axes.axvline(report.margin, color=GREEN, linestyle=(0, (1, 2)), label=f"least {report.margin:g}")
    axes.axhline(report.protocol.wanted, color=GREY, linewidth=0.8)
    axes.set_ylim(0, 1.02)
    axes.set_xscale("log")
    ticks = sorted({one.margin for one in report.power})
    axes.set_xticks(ticks, [f"{margin:g}" for margin in ticks])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlabel(f"margin in {name_of(report.metric)}")
    axes.set_title(
        "how often an equally good challenger is promoted, by the days of its holdout", loc="left", fontsize=9
    )
    axes.legend(frameon=False, fontsize=9, ncols=2)
