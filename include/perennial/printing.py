"""DataFrames as text for a terminal: aligned columns, no line longer than the terminal is wide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

GAP = 2
NARROW = 8
"""A column is not cut below this width, unless the terminal is too narrow for all columns."""
ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"


def table(frame: pd.DataFrame, width: int) -> list[str]:
    """The rows of a frame, with a head; the widest columns are cut until a line has at most ``width`` characters.

    Numbers are aligned to the right. Line breaks and control characters in a value are shown as spaces.
    """
    names = [str(name) for name in frame.columns]
    numeric = [kind.kind in "ifu" for kind in frame.dtypes]
    cells = [[_text(value) for value in frame[name]] for name in frame.columns]
    wide = _widths([max(map(len, (name, *column))) for name, column in zip(names, cells, strict=True)], width)

    def line(values: Sequence[str]) -> str:
        parts = [
            f"{_cut(value, most):>{most}}" if right else f"{_cut(value, most):<{most}}"
            for value, most, right in zip(values, wide, numeric, strict=True)
        ]
        return (" " * GAP).join(parts).rstrip()[:width]

    return [line(names), *(line(row) for row in zip(*cells, strict=True))]


def _widths(wanted: list[int], width: int) -> list[int]:
    """Cut the widest column first, until all fit."""
    found = list(wanted)
    while found and sum(found) + GAP * (len(found) - 1) > width and max(found) > NARROW:
        found[found.index(max(found))] -= 1
    return found


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: max(most - 1, 0)] + ELLIPSIS


def _text(value: object) -> str:
    if value is None or value != value or str(value) == "<NA>":
        return "-"
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return "".join(one if one.isprintable() else " " for one in text)
