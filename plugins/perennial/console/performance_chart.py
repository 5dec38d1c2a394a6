"""Performance over time as SVG: days as dots, the newest days together with their interval, promise and baseline."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from datetime import date

from markupsafe import Markup, escape

from include.overview.records import Performance, Scored
from perennial.console import charts, words

WIDE, HIGH = 1100, 250
LEFT, RIGHT, TOP, BOTTOM = 62, 96, 26, 26
NAME = 26
"""Pixels that the name of a version needs."""
Place = Callable[[Scored], float]


def performance(of: Performance) -> Markup:
    """One metric over time; nothing with fewer than two measured values."""
    values = [one for one in (*of.singles, *of.windows) if one.value is not None]
    if len(values) < 2:
        return Markup("")
    first, last = min(one.day for one in values), max(one.day for one in values)
    span = max(1, _days(first, last))
    low, high, step = scale(_figures(values))

    def across(day: str) -> float:
        return LEFT + _days(first, day) / span * (WIDE - LEFT - RIGHT)

    def down(value: float) -> float:
        inside = min(max(value, low), high)
        return TOP + (high - inside) / (high - low) * (HIGH - TOP - BOTTOM)

    def x(one: Scored) -> float:
        return across(one.day)

    parts = [*_grid(low, high, step, down), *_days_named(first, span, across), *_versions(of, across)]
    parts += _line("baseline", [(x(one), down(one.baseline)) for one in _by_day(values) if one.baseline is not None])
    parts += _line("promise", [(x(one), down(one.promise)) for one in _by_day(values) if one.promise is not None])
    parts += _windows(of.windows, x, down)
    parts += _singles(of.singles, x, down, high, low)
    parts += _names(values, down)
    return charts.svg("performance", WIDE, HIGH, described(of), parts)


def described(of: Performance) -> str:
    """What the chart shows, in words."""
    newest = next((one for one in reversed(of.windows) if one.value is not None), None)
    better = {True: ", larger is better", False: ", smaller is better", None: ""}[of.larger]
    said = f"{of.metric}{better}: {words.plural(len(of.singles), 'day')}"
    if newest is not None:
        said += f". The newest {words.plural(newest.days, 'day')} together, up to {words.day(newest.day)}: "
        said += words.number(newest.value) + _between(newest)
        said += f", promised {words.number(newest.promise)}" if newest.promise is not None else ""
        said += f", trivial baseline {words.number(newest.baseline)}" if newest.baseline is not None else ""
    return f"{said}. The table below has the figures."


def scale(values: Sequence[float]) -> tuple[float, float, float]:
    """The ends of an axis around these values, and the distance of its lines: 1, 2 or 5 times a power of ten."""
    low, high = min(values), max(values)
    if low == high:
        low, high = low - (abs(low) or 1.0) / 10, high + (abs(high) or 1.0) / 10
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(size * power for size in (1, 2, 5, 10) if size * power >= rough)
    return math.floor(low / step) * step, math.ceil(high / step) * step, step


def _figures(values: Iterable[Scored]) -> list[float]:
    """Every figure that must fit. An interval may be much wider than everything else, so it is cut to some extent."""
    values = list(values)
    points = [figure for one in values for figure in (one.value, one.promise, one.baseline) if figure is not None]
    room = (max(points) - min(points)) or abs(points[0]) or 1.0
    ends = [end for one in values for end in (one.low, one.high) if end is not None]
    return [*points, *(min(max(end, min(points) - room), max(points) + room) for end in ends)]


def _grid(low: float, high: float, step: float, down: Callable[[float], float]) -> list[str]:
    parts = []
    for n in range(round((high - low) / step) + 1):
        value = low + n * step
        y = down(value)
        parts.append(f'<path class="tick" d="M{LEFT} {y:.1f}H{WIDE - RIGHT}"/>')
        text = words.number(round(value / step) * step, 3) if abs(value) > step / 2 else "0"
        parts.append(f'<text class="axis" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{escape(text)}</text>')
    return parts


def _days_named(first: str, span: int, across: Callable[[str], float]) -> list[str]:
    """At most about eight days, named."""
    step = next((one for one in (1, 2, 7, 14, 28) if span / one <= 8), 56)
    parts = []
    for n in range(0, span + 1, step):
        day = date.fromordinal(date.fromisoformat(first).toordinal() + n).isoformat()
        name = escape(words.day(day))
        parts.append(f'<text class="axis" x="{across(day):.1f}" y="{HIGH - 8}" text-anchor="middle">{name}</text>')
    return parts


def _versions(of: Performance, across: Callable[[str], float]) -> list[str]:
    """A line where another version begins to be scored, with its name if there is room for it."""
    parts: list[str] = []
    serving: int | None = None
    free = 0.0
    for one in of.singles or of.windows:
        if one.version is None or one.version == serving:
            continue
        x = across(one.day)
        title = f"<title>{escape(f'v{one.version} from {words.day(one.day)}')}</title>"
        parts.append(f'<g class="version">{title}<path d="M{x:.1f} {TOP - 6}V{HIGH - BOTTOM}"/>')
        if x >= free:
            parts.append(f'<text x="{x + 3:.1f}" y="{TOP - 10}">v{one.version}</text>')
            free = x + NAME + 8 * len(str(one.version))
        parts.append("</g>")
        serving = one.version
    return parts


def _windows(of: Sequence[Scored], x: Place, down: Callable[[float], float]) -> list[str]:
    """The value as a line and its interval as a bar for each day; the line ends where a day is not known."""
    lines: list[str] = []
    marks: list[str] = []
    line: list[tuple[float, float]] = []
    for n, one in enumerate(of):
        if one.value is None or (line and _days(of[n - 1].day, one.day) > 1):
            lines += _line("window", line)
            line = []
        if one.value is None:
            continue
        at, y = x(one), down(one.value)
        line.append((at, y))
        title = f"<title>{escape(spoken(one))}</title>"
        bar = ""
        if one.low is not None and one.high is not None:
            bar = f'<path class="limits" d="M{at:.1f} {down(one.low):.1f}V{down(one.high):.1f}"/>'
        wrong = " violated" if one.state == "violated" else ""
        mark = f'<path d="M{at - 4:.1f} {y:.1f}l4 -4 4 4 -4 4z"/>'
        marks.append(f'<g class="windowed{wrong}">{title}{bar}{mark}</g>')
    return [*lines, *_line("window", line), *marks]


def _singles(of: Sequence[Scored], x: Place, down: Callable[[float], float], high: float, low: float) -> list[str]:
    """A dot for each day: filled for live predictions, hollow for scores that were replayed."""
    parts = []
    for one in of:
        if one.value is not None:
            kind = "single replayed" if one.source == "replayed" else "single"
            title = escape(spoken(one))
            parts.append(
                f'<circle class="{kind}" cx="{x(one):.1f}" cy="{down(one.value):.1f}" r="2.8"><title>{title}</title>'
                "</circle>"
            )
    return parts


def _names(values: Sequence[Scored], down: Callable[[float], float]) -> list[str]:
    """The lines by name, at their right ends and apart from each other."""
    newest = list(_by_day(values))[::-1]
    ends = [
        (name, next((figure for one in newest if (figure := getattr(one, name)) is not None), None))
        for name in ("promise", "baseline")
    ]
    window = next((one for one in newest if one.days > 1 and one.value is not None), None)
    named = [(name, down(value)) for name, value in ends if value is not None]
    if window is not None and window.value is not None:
        named.append((f"{window.days} days", down(window.value)))
    parts, lowest = [], 0.0
    for name, y in sorted(named, key=lambda one: one[1]):
        place = max(y + 4, lowest)
        parts.append(f'<text class="name" x="{WIDE - RIGHT + 8}" y="{place:.1f}">{escape(name)}</text>')
        lowest = place + 13
    return parts


def _line(kind: str, points: Sequence[tuple[float, float]]) -> list[str]:
    if not points:
        return []
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return [f'<polyline class="{kind}" points="{path}"/>']


def _by_day(values: Iterable[Scored]) -> list[Scored]:
    return sorted(values, key=lambda one: (one.day, one.days))


def spoken(one: Scored) -> str:
    """A figure in words."""
    what = words.day(one.day) if one.days == 1 else f"{words.plural(one.days, 'day')} to {words.day(one.day)}"
    version = f", v{one.version}" if one.version is not None else ""
    source = f", {one.source}" if one.source else ""
    figures = f"{words.number(one.value)}{_between(one)}"
    return f"{what}{version}{source}: {figures}, {words.plural(one.rows, 'row')}"


def _between(one: Scored) -> str:
    if one.low is None or one.high is None:
        return ""
    return f" ({words.number(one.low)} to {words.number(one.high)})"


def _days(first: str, day: str) -> int:
    return (date.fromisoformat(day) - date.fromisoformat(first)).days
