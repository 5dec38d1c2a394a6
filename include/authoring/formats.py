"""How texts write times, inferred from what a file holds."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pyarrow as pa

from include.errors import ConfigurationError
from include.sources import times

DATES = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d-%m-%Y", "%m-%d-%Y", "%d.%m.%y", "%d %b %Y", "%b %d, %Y")
CLOCKS = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p")
OFFSET = re.compile(r"(?:Z|[+-]\d{2}:?\d{2})$")
NUMBER = re.compile(r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$")
DIGITS = {8: "%Y%m%d", 10: "epoch_s", 13: "epoch_ms"}


def time_format(values: pa.Array, share: float = 1.0) -> str | None:
    """How these texts or numbers write times, as `include.sources.EventTime` names it; ``None`` if they are not times.

    If two patterns fit (03/04/2024), the one is taken by which the values are closer to being in order; if
    that does not decide, `ConfigurationError` asks for the pattern.
    """
    kind = values.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return times.TYPED
    texts = values.drop_null()
    if not len(texts):
        return None
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return _epoch(texts.cast(pa.float64()).to_numpy())
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return None
    sample = pd.Series(texts.slice(0, 200_000).to_pylist(), dtype="str").str.strip()
    first = sample.iloc[0]
    if first.isdigit():
        return _of_digits(sample, share)
    if not re.search(r"\d", first) or len(first) > 40:
        return None
    if _fits(sample.head(50), "ISO8601", 0.5 * share):
        with_offset = sample.str.contains(OFFSET).mean() > 0.5 and sample.str.contains(":").mean() > 0.5
        return (times.ISO_OFFSET if with_offset else times.ISO) if _fits(sample, "ISO8601", share) else None
    fitting = [
        date + clock
        for date in DATES
        for clock in CLOCKS
        if _fits(sample.head(50), date + clock, 0.5 * share) and _fits(sample, date + clock, share)
    ]
    return _steadiest(sample, fitting) if fitting else None


def looks_like_data(header: list[str]) -> bool:
    """Whether the first line of a file holds values instead of names."""
    return sum(bool(NUMBER.match(cell)) for cell in header) > len(header) / 2


def _epoch(numbers: np.ndarray) -> str | None:
    middle = float(np.median(np.abs(numbers)))
    if 3e8 < middle < 5e9:
        return "epoch_s"
    return "epoch_ms" if 3e11 < middle < 5e12 else None


def _of_digits(sample: pd.Series, share: float) -> str | None:
    lengths = sample.str.len()
    length = int(lengths.mode().iloc[0])
    if (lengths == length).mean() < share or length not in DIGITS:
        return None
    found = DIGITS[length]
    return found if found.startswith("epoch") or _fits(sample, found, share) else None


def _fits(sample: pd.Series, format: str, share: float) -> bool:
    parsed = pd.to_datetime(sample, format=format, errors="coerce", utc=True)
    return bool(parsed.notna().mean() >= share)


def _steadiest(sample: pd.Series, formats: list[str]) -> str:
    if len(formats) == 1:
        return formats[0]
    backward = {f: int((np.diff(pd.to_datetime(sample, format=f).to_numpy()).astype(int) < 0).sum()) for f in formats}
    order = sorted(formats, key=lambda f: backward[f])
    if backward[order[0]] == backward[order[1]]:
        raise ConfigurationError(
            f"{sample.iloc[0]!r} can be read in several ways ({', '.join(order)}), and the order of the rows does not "
            f"tell which: say it, e.g. TIME_FORMAT='{order[0]}'."
        )
    return order[0]
