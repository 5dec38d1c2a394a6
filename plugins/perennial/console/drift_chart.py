"""Drift as a heat map: a row for each feature, a column for each day. A cross marks a day beyond its limit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date

from markupsafe import Markup, escape

from include.overview.panels import WEIGHTED
from include.overview.records import DriftCell, DriftMap, DriftRow
from perennial.console import charts, words

CELL, GAP, TOP = 15, 2, 20
LABEL, SHARE = 160, 48
LONGEST = 22
"""Characters of a name; the whole one is in its tooltip."""
HATCH = (
    '<defs><pattern id="hatch" width="4" height="4" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<path d="M1 0v4"/></pattern></defs>'
)
STEPS = (0.25, 0.5, 0.75)
"""Shares of the limit, from which on a cell is darker."""
MOST_ROWS = 40
IN_WORDS = {
    "violated": "beyond the limit",
    "healthy": "within the limit",
    "unknown": "not known",
}


def shown(of: DriftMap) -> list[DriftRow]:
    """The rows that are drawn: of many, the most important ones, and those that drift."""
    if len(of.rows) <= MOST_ROWS:
        return list(of.rows)
    first = of.rows[:MOST_ROWS]
    return [*first, *(row for row in of.rows[MOST_ROWS:] if row.beyond)][: 2 * MOST_ROWS]


def heat_map(of: DriftMap, address: Callable[[str], str], chosen: str | None = None) -> Markup:
    """The cells, and the names of their rows as a drawing of its own, which stays when the cells are scrolled.

    The name of a feature is a link to its distributions.
    """
    rows = shown(of)
    high = TOP + len(rows) * (CELL + GAP)
    cells, names = [HATCH, *_days(of.days)], []
    for n, row in enumerate(rows):
        y = TOP + n * (CELL + GAP)
        cells += [_cell(row, cell, at * CELL, y) for at, cell in enumerate(row.cells) if cell is not None]
        names.append(_name(row, y, address, chosen))
    names.append(f'<text class="axis" x="{LABEL + SHARE - 10}" y="12" text-anchor="end">importance</text>')
    drawn = charts.svg("heat", len(of.days) * CELL + 2, high, described(of), cells)
    return drawn + charts.svg(
        "heat names", LABEL + SHARE, high, "Features, the most important first", names, links=True
    )


def _days(days: Sequence[str]) -> list[str]:
    """Every seventh day before the last one, named at its right end."""
    parts = []
    for n, day in enumerate(days):
        if (len(days) - 1 - n) % 7 == 0 and n >= 3:
            on = date.fromisoformat(day)
            parts.append(f'<text class="axis" x="{(n + 1) * CELL}" y="12" text-anchor="end">{on.day} {on:%b}</text>')
    return parts


def described(of: DriftMap) -> str:
    """What the map shows, in words."""
    newest = [row for row in of.rows if (cell := row.newest) is not None and cell.state == "violated"]
    names = ", ".join(name(row) for row in newest[:6]) + (f" and {len(newest) - 6} more" if len(newest) > 6 else "")
    beyond = f"Beyond their limit on their newest day: {names}" if newest else "None is beyond its limit now"
    features = words.plural(sum(row.feature for row in of.rows), "feature")
    return f"Drift of {features} on {words.plural(len(of.days), 'day')}. {beyond}. The table below has the figures."


def name(row: DriftRow) -> str:
    """A row by name."""
    if row.feature or row.subject:
        return row.subject
    return "whole model" if row.measure == WEIGHTED else row.measure


def cell_title(row: DriftRow, cell: DriftCell) -> str:
    """A cell in words."""
    limit = f", limit {words.number(cell.limit)}" if cell.limit is not None else ""
    value = f": {words.number(cell.value)}{limit}" if cell.value is not None else ""
    return f"{name(row)}, {words.day(cell.day)}, {IN_WORDS.get(cell.state, cell.state)}{value}"


def darkness(cell: DriftCell) -> str:
    """The class of a cell: by the share of its limit, or that it is beyond it, or not known."""
    if cell.state == "violated":
        return "beyond"
    if cell.state != "healthy" or cell.value is None or not cell.limit:
        return "unmeasured" if cell.state != "healthy" else "q0"
    return f"q{sum(cell.value / cell.limit >= step for step in STEPS)}"


def _name(row: DriftRow, y: int, address: Callable[[str], str], chosen: str | None) -> str:
    whole = name(row)
    text = escape(words.shortened(whole, LONGEST))
    label = f'<text class="name" x="0" y="{y + 12}"><title>{escape(whole)}</title>{text}</text>'
    if not row.feature:
        return f'<g class="whole">{label}</g>'
    now = ' aria-current="true"' if row.subject == chosen else ""
    said = escape(f"{whole}: distributions then and now")
    share = escape(words.percent(row.importance))
    return (
        f'<a href="{escape(address(row.subject))}" aria-label="{said}"{now}>{label}</a>'
        f'<text class="axis" x="{LABEL + SHARE - 10}" y="{y + 12}" text-anchor="end">{share}</text>'
    )


def _cell(row: DriftRow, cell: DriftCell, x: int, y: int) -> str:
    kind = darkness(cell)
    title = f"<title>{escape(cell_title(row, cell))}</title>"
    hatched = ' fill="url(#hatch)"' if kind == "unmeasured" else ""
    box = f'<rect class="cell {kind}" x="{x}" y="{y}" width="{CELL - 1}" height="{CELL - 1}"{hatched}>{title}</rect>'
    return box + (f'<path class="cross" d="M{x + 4} {y + 4}l6 6m0 -6l-6 6"/>' if kind == "beyond" else "")
