"""A feature in the reference of a version and on a day, as shares of rows that a chart can draw. Pure.

A number is shown in the ten bins of equal mass of the reference, so each of them had a tenth of the rows then. The
first and the last bin are open; on the axis they end where the usual range of the reference ends, or as much farther as
the mean of the day's values in them is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from include.overview.watched import Bar, Bin, Distribution

if TYPE_CHECKING:
    from include.statistics.profiles import Bins, Categories, Names, Numbers
    from include.statistics.reference import FeatureReference

MOST_BARS = 12
OTHERS, NEVER_SEEN = "all others", "not in the reference"


def compared(reference: FeatureReference, day: Numbers | Categories) -> tuple[tuple[Bin, ...], tuple[Bar, ...]]:
    """The bins of a number, or the bars of a category; neither if the reference has no value, or none of this kind."""
    from include.statistics.profiles import Bins, Categories, Names, Numbers

    scheme, whole = reference.scheme, reference.whole
    if isinstance(scheme, Bins) and isinstance(whole, Numbers) and isinstance(day, Numbers):
        return (_bins(scheme, whole, day), ()) if len(day.counts) == len(whole.counts) else ((), ())
    if isinstance(scheme, Names) and isinstance(whole, Categories) and isinstance(day, Categories):
        return ((), _bars(scheme, whole, day)) if len(day.counts) == len(whole.counts) else ((), ())
    return (), ()


def drawn(feature: str, key: str, version: int | None, span: str, sentence: str, reference: FeatureReference,
          day: Numbers | Categories) -> Distribution:  # fmt: skip
    """The feature then and now."""
    bins, bars = compared(reference, day)
    whole = reference.whole
    if whole is None or not (bins or bars):
        why = "it has no value in the reference" if whole is None else "the day was measured with another reference"
        return Distribution(feature, key, version, lack=f"{feature} cannot be compared: {why}.", sentence=sentence)
    return Distribution(
        feature=feature,
        day=key,
        version=version,
        span=span,
        bins=bins,
        bars=bars,
        rows_then=whole.rows,
        rows_now=day.rows,
        missing_then=whole.missing,
        missing_now=day.missing,
        sentence=sentence,
    )


def _bins(scheme: Bins, whole: Numbers, day: Numbers) -> tuple[Bin, ...]:
    then, now = (_shares(scheme.in_coarse(one).tolist()) for one in (whole, day))
    edges = list(scheme.coarse)
    if not edges:
        return ()
    width = (scheme.high - scheme.low) / 3  # the fences are as far from the usual range as it is wide
    low = min(scheme.low + width, edges[0])
    high = max(scheme.high - width, edges[-1])
    first, last = _mean(scheme, day, None, edges[0]), _mean(scheme, day, edges[-1], None)
    low = min(low, max(scheme.low, 2 * first - edges[0])) if first is not None else low
    high = max(high, min(scheme.high, 2 * last - edges[-1])) if last is not None else high
    bounds = [low, *edges, high]
    return tuple(
        Bin(bounds[at], bounds[at + 1], then[at], now[at], at == 0, at == len(edges)) for at in range(len(edges) + 1)
    )


def _mean(scheme: Bins, day: Numbers, low: float | None, high: float | None) -> float | None:
    """The mean of a day's values below an edge, or from an edge on; ``None`` without such a value."""
    bounds = (None, *scheme.edges, None)
    total, rows = 0.0, 0
    for at, (count, mean) in enumerate(zip(day.counts, day.means, strict=True)):
        start, end = bounds[at], bounds[at + 1]
        inside = (low is None or (start is not None and start >= low)) and (
            high is None or (end is not None and end <= high)
        )
        if inside and count:
            total, rows = total + count * mean, rows + count
    return scheme.centre + scheme.scale * total / rows if rows else None


def _bars(scheme: Names, whole: Categories, day: Categories) -> tuple[Bar, ...]:
    """The categories with the largest shares, then all others as one, then what the reference does not have."""
    then, now = _shares([*whole.counts, whole.other]), _shares([*day.counts, day.other])
    every = [Bar(name, then[at], now[at]) for at, name in enumerate(scheme.names)]
    every.sort(key=lambda bar: (-max(bar.then, bar.now), bar.name))
    shown, rest = every[:MOST_BARS], every[MOST_BARS:]
    unnamed = scheme.distinct - len(scheme.names)
    if rest or unnamed:
        together_then = sum(bar.then for bar in rest) + (then[-1] if unnamed else 0.0)
        together_now = sum(bar.now for bar in rest) + (now[-1] if unnamed else 0.0)
        shown.append(Bar(OTHERS, together_then, together_now, len(rest) + unnamed))
    if not unnamed and (then[-1] or now[-1]):
        shown.append(Bar(NEVER_SEEN, then[-1], now[-1], 0))
    return tuple(shown)


def _shares(counts: Sequence[int]) -> list[float]:
    """Shares of the rows with a value; all 0 without one."""
    total = sum(counts)
    return [count / total if total else 0.0 for count in counts]
