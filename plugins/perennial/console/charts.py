"""Charts as SVG, drawn here so that a page needs no library. Colours come from the style sheet, by class.

Every chart says what it shows in words (``aria-label``, ``title``), and nothing is told by colour alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, timedelta

from markupsafe import Markup, escape

from include.overview.records import AuditOf, Day, DayState, DecisionOf, Freeze, Gain, Night, Outcome, Point
from perennial.console import words

SHAPES = {
    Outcome.PROMOTED: '<path d="M6 1.2 11 10.4H1z"/>',
    Outcome.HELD: '<path d="M2.2 1.6h2.9v8.8H2.2zM6.9 1.6h2.9v8.8H6.9z"/>',
    Outcome.REJECTED: '<circle class="line" cx="6" cy="6" r="4"/>',
    Outcome.SKIPPED: '<circle cx="6" cy="6" r="1.9"/>',
    Outcome.FAILED: '<path class="line" d="M2.2 2.2l7.6 7.6M9.8 2.2 2.2 9.8"/>',
    Outcome.FROZEN: '<path d="M6 .8 11.2 6 6 11.2.8 6z"/>',
    Outcome.BROKEN: '<path d="M1.5 1.5h9v9h-9z"/>',
    Outcome.NO_CHAMPION: '<path class="line" d="M2 2h8v8H2z"/>',
    Outcome.NOT_RUN: '<path class="line" d="M6 1.4v5.6M6 9.2v1.6"/>',
    Outcome.RUNNING: '<path d="M6 2a4 4 0 0 1 0 8z"/><circle class="line" cx="6" cy="6" r="4"/>',
    Outcome.NOT_DUE: '<path class="line" d="M3.6 6h4.8"/>',
    Outcome.UNKNOWN: '<path class="line" d="M3.8 4.2a2.2 2.2 0 1 1 3 2c-.6.3-.8.6-.8 1.2M6 9.6v1"/>',
}
"""The mark of each outcome, 12 by 12."""


def symbols() -> Markup:
    """The marks, once for each page; `mark` and the charts refer to them."""
    parts = [
        f'<symbol id="m-{words.slug(name)}" viewBox="0 0 12 12">{shape}</symbol>' for name, shape in SHAPES.items()
    ]
    return Markup('<svg class="symbols" aria-hidden="true" focusable="false">{}</svg>').format(Markup("".join(parts)))


def mark(outcome: Outcome) -> Markup:
    """One mark, next to a word that says the same."""
    name = words.slug(outcome)
    return Markup(f'<svg class="mark {name}" viewBox="0 0 12 12" aria-hidden="true"><use href="#m-{name}"/></svg>')


def nights(of: Sequence[Night]) -> Markup:
    """A mark for each night, oldest first; what each is in a tooltip, and how many of each in words."""
    step, size = 12, 11
    parts = []
    for n, night in enumerate(of):
        name = words.slug(night.outcome)
        title = escape(f"{words.day(night.day)}: {words.outcome(night)}")
        box = f'x="{n * step}" width="{size}" height="{size}"'
        parts.append(f'<g class="{name}"><title>{title}</title><use href="#m-{name}" {box}/></g>')
    counted = Counter(night.outcome.value for night in of)
    said = ", ".join(f"{number} {outcome}" for outcome, number in counted.most_common())
    label = f"{words.plural(len(of), 'night')}: {said or 'none'}"
    return svg("nights", max(1, len(of)) * step, 12, label, parts)


def sparkline(points: Sequence[Point], width: int = 132, height: int = 30) -> Markup:
    """The gain over the baseline by night, with a dot where the version went into service."""
    known = [(n, point.value) for n, point in enumerate(points) if point.value is not None]
    if len(known) < 2:
        return Markup("")
    low, high = min(0.0, *(v for _, v in known)), max(0.0, *(v for _, v in known))
    span, step = (high - low) or 1.0, (width - 8) / max(1, len(points) - 1)

    def at(n: int, value: float) -> tuple[float, float]:
        return 4 + n * step, 4 + (high - value) / span * (height - 8)

    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(n, v) for n, v in known))
    zero = at(0, 0.0)[1]
    parts = [
        f'<path class="zero" d="M2 {zero:.1f}H{width - 2}"/>',
        f'<polyline points="{line}"/>',
    ]
    for n, value in known:
        if points[n].promoted:
            x, y = at(n, value)
            title = escape(f"{words.day(points[n].day)}: version {points[n].version} promoted")
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6"><title>{title}</title></circle>')
    first, last = known[0][1], known[-1][1]
    promoted = words.plural(sum(point.promoted for point in points), "promotion")
    label = (
        f"Gain over the baseline in {words.plural(len(points), 'night')}: {words.signed(first)} at first, "
        f"{words.signed(last)} at last; {promoted}"
    )
    return svg("spark", width, height, label, parts)


def interval(gain: Gain | None, among: Iterable[Gain | None], width: int = 120) -> Markup:
    """A gain with its limits on the scale of all gains of its table, and a line at zero."""
    ends = [0.0]
    for other in among:
        if other is not None:
            ends += [end for end in (other.value, other.lower, other.upper) if end is not None]
    low, high = min(ends), max(ends)
    if gain is None or gain.value is None or low == high:
        return Markup("")

    def at(value: float) -> float:
        return 5 + (value - low) / (high - low) * (width - 10)

    left = at(gain.lower if gain.lower is not None else gain.value)
    right = at(gain.upper if gain.upper is not None else gain.value)
    parts = [
        f'<path class="zero" d="M{at(0.0):.1f} 0v14"/>',
        f'<path class="limits" d="M{left:.1f} 7H{right:.1f}"/>',
        f'<circle cx="{at(gain.value):.1f}" cy="7" r="3"/>',
    ]
    return svg("interval", width, 14, words.gain(gain), parts)


# -- the timeline of one model

WIDE, TRACK, LANE = 1320, 34, 66


def timeline(decisions: Sequence[DecisionOf], audit: Sequence[AuditOf], frozen: Freeze | None, now: datetime) -> Markup:
    """Which version served when, as bars, and below them a mark for each decision."""
    moments = [one.at for one in decisions] + [one.at for one in audit if one.action in SERVES]
    if not moments:
        return Markup("")
    begin = max(min(moments), now - timedelta(days=91)) - timedelta(hours=12)
    span = max((now - begin).total_seconds(), 1.0)

    def at(moment: datetime) -> float:
        return max(0.0, min(1.0, (moment - begin).total_seconds() / span)) * (WIDE - 20) + 10

    parts = [*_axis(begin, now, at), *_bars(audit, now, at)]
    if frozen is not None:
        title = escape(words.freeze(frozen))
        left = at(frozen.since)
        parts.append(
            f'<rect class="freeze" x="{left:.1f}" y="{TRACK + 20}" width="{max(2, at(now) - left):.1f}" height="4">'
            f"<title>{title}</title></rect>"
        )
    for one in reversed(decisions):
        if one.at >= begin:
            name = words.slug(one.outcome)
            title = escape(f"{words.day(one.at.date().isoformat())}: {one.outcome.value.upper()}. {one.sentence}")
            box = f'x="{at(one.at) - 6:.1f}" y="{LANE}" width="12" height="12"'
            parts.append(f'<g class="{name}"><title>{title}</title><use href="#m-{name}" {box}/></g>')
    label = (
        f"Versions in service and {words.plural(len(decisions), 'decision')} over time; the table below has them all"
    )
    return svg("timeline", WIDE, LANE + 16, label, parts)


SERVES = ("promote", "rollback", "restore", "withdraw")
"""The changes that begin a new bar."""


def _bars(audit: Sequence[AuditOf], now: datetime, at: Callable[[datetime], float]) -> list[str]:
    changes = sorted((one for one in audit if one.action in SERVES), key=lambda one: one.at)
    parts = []
    for n, change in enumerate(changes):
        end = changes[n + 1].at if n + 1 < len(changes) else now
        left, right = at(change.at), at(end)
        if change.version is None or right - left < 0.5:
            continue
        title = escape(f"version {change.version} from {words.day(change.at.date().isoformat())}: {change.reason}")
        kind = "bar now" if n + 1 == len(changes) else "bar"
        box = f'x="{left:.1f}" y="{TRACK}" width="{max(1.5, right - left - 1):.1f}" height="16" rx="2"'
        parts.append(f'<g class="{kind}"><rect {box}/><title>{title}</title>')
        if right - left > 24:
            parts.append(f'<text x="{left + 5:.1f}" y="{TRACK + 12}">v{change.version}</text>')
        parts.append("</g>")
    return parts


def _axis(begin: datetime, end: datetime, at: Callable[[datetime], float]) -> list[str]:
    """At most about ten days, named."""
    days = max(1, (end - begin).days)
    step = next((one for one in (1, 2, 7, 14, 28) if days / one <= 10), 28)
    tick = (begin + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    parts = []
    while tick <= end:
        x = at(tick)
        name = escape(words.day(tick.date().isoformat()))
        parts.append(f'<path class="tick" d="M{x:.1f} 20V{LANE + 14}"/>')
        anchor = "end" if x > WIDE - 24 else "middle"
        parts.append(f'<text class="axis" x="{x:.1f}" y="13" text-anchor="{anchor}">{name}</text>')
        tick += timedelta(days=step)
    return parts


# -- the calendar of one model

CELL, LEFT, TOP = 18, 34, 18
IN_CELLS = {
    DayState.REJECTED: '<path d="M4.5 4.5l7 7M11.5 4.5l-7 7"/>',
    DayState.FAILED: '<path d="M8 3.6v5.2M8 11v1.4"/>',
    DayState.EMPTY: '<path d="M5 8h6"/>',
    DayState.PENDING: '<circle cx="8" cy="8" r="2.4"/>',
}


def calendar(days: Sequence[Day], address: Callable[[Day], str | None]) -> Markup:
    """A column for each week, a row for each weekday; days with a validation result are links."""
    if not days:
        return Markup("")
    first = date.fromisoformat(days[0].key)
    monday = first - timedelta(days=first.weekday())
    parts = [
        f'<text class="axis" x="0" y="{TOP + n * CELL + 12}">{name}</text>'
        for n, name in ((0, "Mon"), (2, "Wed"), (4, "Fri"), (6, "Sun"))
    ]
    weeks = 0
    for one in days:
        on = date.fromisoformat(one.key)
        weeks = (on - monday).days // 7
        x = LEFT + weeks * CELL
        if on.day == 1 or (one is days[0] and on.day < 16):  # two names need some space between them
            parts.append(f'<text class="axis" x="{x}" y="11">{on:%b}</text>')
        parts.append(_cell(one, x, TOP + on.weekday() * CELL, address(one)))
    return svg("calendar", LEFT + (weeks + 1) * CELL, TOP + 7 * CELL, described(days), parts, links=True)


def described(days: Sequence[Day]) -> str:
    """How many days of each state, in words."""
    counted = Counter(words.STATES[one.state] for one in days)
    return f"{words.plural(len(days), 'day')}: " + ", ".join(f"{number} {state}" for state, number in counted.items())


def day_title(one: Day) -> str:
    """A day in words."""
    rows = f", {words.plural(one.rows, 'row')}" if one.rows is not None else ""
    bad = f", {one.quarantined:,} in quarantine" if one.quarantined else ""
    return f"{one.key}: {words.STATES[one.state]}{rows}{bad}" + (f". {one.reason}" if one.reason else "")


def _cell(one: Day, x: int, y: int, address: str | None) -> str:
    inside = IN_CELLS.get(one.state, "")
    if one.state is DayState.PUBLISHED and one.quarantined:
        inside = '<path class="corner" d="M8 1h7v7z"/>'
    title = escape(day_title(one))
    box = f'<g class="day {words.slug(one.state)}" transform="translate({x} {y})"><title>{title}</title>'
    box += f'<rect x="1" y="1" width="14" height="14" rx="2"/>{inside}</g>'
    if address is None:
        return box
    return f'<a href="{escape(address)}" data-out="tab" aria-label="{title}">{box}</a>'


def svg(kind: str, width: int, height: int, label: str, parts: Iterable[str], links: bool = False) -> Markup:
    """The parts are built here, with every text escaped."""
    role = "group" if links else "img"
    return Markup(
        f'<svg class="{kind}" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="{role}" '
        f'aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )
