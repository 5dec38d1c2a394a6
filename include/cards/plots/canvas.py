"""How every picture looks, and how it becomes bytes."""

from __future__ import annotations

import io
import os
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from include.gate.evaluation import Estimate, Evaluation
from include.settings import Settings
from include.spec import Model

os.environ.setdefault("MPLCONFIGDIR", str(Settings.from_environment().matplotlib))

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# Okabe and Ito's colours: distinguishable with any colour vision, and in grey.
COLOURS = {"challenger": "#0072B2", "champion": "#D55E00", "baseline": "#767676"}
CLASS_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#767676")
MARGIN: Any = {"color": "#7a0177", "linewidth": 1.5, "linestyle": (0, (4, 2.5))}
INK, SOFT, LINE = "#1c2430", "#5b6675", "#d9dee5"
MOST_POINTS = 2_000
_STYLE: Any = {
    "svg.hashsalt": "perennial",
    "svg.fonttype": "none",  # text stays text: small, sharp, and found by a search
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.0,
    "text.color": INK,
    "axes.labelcolor": SOFT,
    "axes.edgecolor": LINE,
    "axes.titlecolor": INK,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#eceff3",
    "grid.linewidth": 0.8,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": SOFT,
    "ytick.labelcolor": SOFT,
    "lines.linewidth": 1.7,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "savefig.dpi": 144,  # of what is drawn as points inside the SVG
}
_TITLE_CHARACTERS, _SUBTITLE_CHARACTERS = 78, 108


@dataclass(frozen=True)
class Drawn:
    """The data of a picture of a holdout: labels, scores and metrics by day of each side, and the evaluation."""

    model: Model
    y: np.ndarray
    scores: Mapping[str, np.ndarray]
    by_day: Mapping[str, pd.DataFrame]
    evaluation: Evaluation | None = None

    @property
    def sides(self) -> list[str]:
        """Challenger, champion, baseline: those that were scored, in this order."""
        return [side for side in COLOURS if side in self.scores]

    @property
    def rivals(self) -> list[str]:
        """Challenger and champion: the two that are drawn in detail."""
        return [side for side in ("challenger", "champion") if side in self.scores]

    def estimate(self, other: str, metric: str) -> Estimate | None:
        """How much better the challenger is than another side."""
        return self.evaluation.estimate(other, metric) if self.evaluation else None

    @property
    def summary(self) -> str:
        """How much this is, for a subtitle."""
        return f"{len(self.y):,} rows of {counted(len(self.by_day['challenger']))} of the holdout"


@contextmanager
def drawing() -> Iterator[None]:
    """Draw and save inside of this: it sets the style, and ignores what others have set."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def figure(title: str, subtitle: str, panels: int = 1, height: float = 3.4) -> tuple[Figure, list[Axes]]:
    """A figure with a sentence above it and ``panels`` axes side by side."""
    lines = textwrap.wrap(title, _TITLE_CHARACTERS, break_on_hyphens=False)
    under = textwrap.wrap(subtitle, _SUBTITLE_CHARACTERS, break_on_hyphens=False)
    head = 0.38 + 0.2 * len(lines) + 0.15 * len(under)
    width, whole = 7.2, height + head
    made = Figure(figsize=(width, whole))
    FigureCanvasSVG(made)
    made.text(0.015, 1 - 0.12 / whole, "\n".join(lines), va="top", fontsize=11, fontweight="bold", linespacing=1.25)
    made.text(0.015, 1 - (0.17 + 0.2 * len(lines)) / whole, "\n".join(under), va="top", fontsize=8.5, color=SOFT)
    axes = made.subplots(1, panels, squeeze=False)[0]
    made.subplots_adjust(left=0.095, right=0.985, top=1 - (head + 0.16) / whole, bottom=0.52 / whole, wspace=0.28)
    return made, list(axes)


def svg(made: Figure) -> bytes:
    """The picture as an SVG file."""
    buffer = io.BytesIO()
    made.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, facecolor="white")
    return buffer.getvalue()


def say(axes: Axes, sentence: str) -> None:
    """Write into empty axes why there is nothing to see."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, textwrap.fill(sentence, 44), ha="center", va="center", color=SOFT, transform=axes.transAxes)


def labelled(axes: Axes, x: str, y: str, title: str = "") -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if title:
        axes.set_title(title, pad=6)


def square(axes: Axes) -> None:
    """From 0 to 1 in both directions, with the diagonal."""
    axes.plot([0, 1], [0, 1], color=LINE, linewidth=1.0, zorder=1)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    ticks = [0, 0.25, 0.5, 0.75, 1]
    axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
    axes.set_yticks(ticks, [f"{t:g}" for t in ticks])


def thinned(*curves: np.ndarray, most: int = 300) -> list[np.ndarray]:
    """Curves with very many points, thinned until the eye would see a difference."""
    chosen = np.unique(np.linspace(0, len(curves[0]) - 1, num=min(most, len(curves[0])), dtype=int))
    return [curve[chosen] for curve in curves]


def sample(rows: int, most: int = MOST_POINTS) -> np.ndarray:
    """Indices of the rows that are drawn as points: all, or the same sample every time."""
    if rows <= most:
        return np.arange(rows)
    return np.sort(np.random.default_rng(0).choice(rows, size=most, replace=False))


def bins(values: np.ndarray, most: int = 10) -> Sequence[np.ndarray]:
    """Indices of the rows in bins of about equal size by value; equal values stay together."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, most + 1)[1:-1]))
    place = np.searchsorted(edges, values, side="right")
    found = (np.flatnonzero(place == at) for at in range(len(edges) + 1))
    return [rows for rows in found if len(rows)]


def shown(value: float) -> str:
    """A number for a sentence: three significant digits, thousands separated."""
    return "undefined" if not np.isfinite(value) else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def counted(days: int) -> str:
    return f"{days} {'day' if days == 1 else 'days'}"


def sure(model: Model) -> str:
    """The confidence of one limit of a gain: ``95 %``."""
    return f"{100 * (1 - model.gate.alpha):.3g}\N{NO-BREAK SPACE}%"


def percent(share: float) -> str:
    return f"{100 * share:.1f}\N{NO-BREAK SPACE}%"
