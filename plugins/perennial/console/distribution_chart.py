"""A feature then and now as SVG: outlined what it was in the reference, filled what it is on the day."""

from __future__ import annotations

from collections.abc import Callable

from markupsafe import Markup, escape

from include.overview.records import Distribution
from perennial.console import charts, words
from perennial.console.performance_chart import scale

WIDE, HIGH = 640, 210
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 12, 28
ROW, NAMES, SHARES = 26, 170, 110
LONGEST = 24


def distribution(of: Distribution) -> Markup:
    """The chart; nothing if there is nothing to compare."""
    if of.bins:
        return _numbers(of)
    return _categories(of) if of.bars else Markup("")


def described(of: Distribution) -> str:
    """What the chart shows, in words."""
    shares = [(f"{words.number(one.low)} to {words.number(one.high)}", one.then, one.now) for one in of.bins]
    shares += [(one.name, one.then, one.now) for one in of.bars]
    if not shares:
        return of.lack or ""
    part, then, now = max(shares, key=lambda one: abs(one[1] - one[2]))
    return (
        f"{of.feature} on {words.day(of.day)} and in the reference. The largest difference: {part}, "
        f"{words.percent(then)} then and {words.percent(now)} now. The table below has the figures."
    )


def _numbers(of: Distribution) -> Markup:
    low, high = of.bins[0].low, of.bins[-1].high
    span = (high - low) or 1.0
    top = scale([0.0, *(share for one in of.bins for share in (one.then, one.now))])[1]

    def across(value: float) -> float:
        return LEFT + (value - low) / span * (WIDE - LEFT - RIGHT)

    def down(share: float) -> float:
        return TOP + (top - share) / (top or 1.0) * (HIGH - TOP - BOTTOM)

    parts = _axes(low, high, top, across, down)
    for one in of.bins:
        left, right = across(one.low), max(across(one.high), across(one.low) + 1)
        title = escape(f"{bounds(one.low, one.high, one.open_low, one.open_high)}: {shares(one.then, one.now)}")
        inset = min(3.0, (right - left) / 5)
        parts.append(
            f'<g class="bin"><title>{title}</title>'
            f'<rect class="now" x="{left + inset:.1f}" y="{down(one.now):.1f}" '
            f'width="{max(1.0, right - left - 2 * inset):.1f}" height="{down(0) - down(one.now):.1f}"/>'
            f'<path class="then" d="M{left:.1f} {down(0):.1f}V{down(one.then):.1f}H{right:.1f}V{down(0):.1f}"/></g>'
        )
    return charts.svg("distribution", WIDE, HIGH, described(of), parts)


def _axes(
    low: float, high: float, top: float, across: Callable[[float], float], down: Callable[[float], float]
) -> list[str]:
    parts = []
    for share in (0.0, top / 2, top):
        y = down(share)
        parts.append(f'<path class="tick" d="M{LEFT} {y:.1f}H{WIDE - RIGHT}"/>')
        text = words.percent(share)
        parts.append(f'<text class="axis" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
    first, last, step = scale([low, high])
    for n in range(round((last - first) / step) + 1):
        value = first + n * step
        if low <= value <= high:
            text = escape(words.number(value if abs(value) > step / 2 else 0, 4))
            parts.append(f'<path class="tick" d="M{across(value):.1f} {HIGH - BOTTOM}v4"/>')
            parts.append(
                f'<text class="axis" x="{across(value):.1f}" y="{HIGH - 8}" text-anchor="middle">{text}</text>'
            )
    return parts


def _categories(of: Distribution) -> Markup:
    top = max(max(one.then, one.now) for one in of.bars) or 1.0
    wide = WIDE - NAMES - SHARES
    parts = []
    for n, one in enumerate(of.bars):
        y = n * ROW + 4
        name = escape(words.shortened(one.name, LONGEST))
        title = escape(f"{one.name}: {shares(one.then, one.now)}")
        then, now = one.then / top * wide, one.now / top * wide
        parts.append(
            f'<g class="bin"><title>{title}</title>'
            f'<text class="name" x="{NAMES - 8}" y="{y + 13}" text-anchor="end">{name}</text>'
            f'<rect class="now" x="{NAMES}" y="{y + 4}" width="{max(now, 0.5):.1f}" height="10"/>'
            f'<path class="then" d="M{NAMES} {y + 0.5}H{NAMES + then:.1f}V{y + 17.5}H{NAMES}"/>'
            f'<text class="axis" x="{NAMES + max(then, now) + 6:.1f}" y="{y + 13}">'
            f"{words.percent(one.then)} → {words.percent(one.now)}</text></g>"
        )
    return charts.svg("distribution", WIDE, len(of.bars) * ROW + 8, described(of), parts)


def bounds(low: float, high: float, open_low: bool, open_high: bool) -> str:
    """A bin in words; the first and the last one are open."""
    if open_low and open_high:
        return "all values"
    if open_low:
        return f"below {words.number(high)}"
    return f"from {words.number(low)}" if open_high else f"{words.number(low)} to {words.number(high)}"


def shares(then: float, now: float) -> str:
    """Both shares in words."""
    return f"{words.percent(then)} of the rows in the reference, {words.percent(now)} on the day"
