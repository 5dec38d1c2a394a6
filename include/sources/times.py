"""The time formats of sources, and the local days and instants of their times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa

TYPED = "timestamp"  # the column's own type: a timestamp with or without timezone, or a date
ISO = "iso"  # text, 2026-05-03 14:30:00, without an offset from UTC
ISO_OFFSET = "iso_offset"  # text, 2026-05-03T14:30:00+02:00
EPOCH = {"epoch_s": "s", "epoch_ms": "ms"}  # whole numbers, counted from 1970-01-01 UTC


@dataclass(frozen=True)
class EventTime:
    """The column with the time of a row.

    Parameters
    ----------
    column : the column's name in the source.
    format : ``timestamp`` (the column's own type), ``iso``, ``iso_offset``, ``epoch_s``, ``epoch_ms``, or a pattern of
        `datetime.strptime`.
    timezone : IANA name. It determines when a day begins, and it is the zone of times without an offset.
    """

    column: str
    format: str = TYPED
    timezone: str = "UTC"


def wall_clock(values: pa.Array | pa.ChunkedArray, format: str, timezone: str) -> np.ndarray:
    """Local times as datetime64[us], NaT if there is none or if a text does not follow the format."""
    parsed = _parsed(values, format)
    if parsed.tz is not None:
        parsed = parsed.tz_convert(timezone).tz_localize(None)
    return np.asarray(parsed.to_numpy(), dtype="datetime64[us]")


def instants(values: pa.Array | pa.ChunkedArray, format: str, timezone: str) -> pd.DatetimeIndex:
    """The same as instants in UTC."""
    parsed = _parsed(values, format)
    if parsed.tz is None:
        return localized(np.asarray(parsed.to_numpy(), dtype="datetime64[us]"), timezone)
    return parsed.tz_convert("UTC").as_unit("us")


def localized(wall: np.ndarray, timezone: str) -> pd.DatetimeIndex:
    """Wall clock times as instants in UTC.

    In an hour that a clock change repeats, the first one is used; in an hour that it skips, the time after it.
    """
    local = pd.DatetimeIndex(wall).tz_localize(
        timezone, ambiguous=np.ones(len(wall), bool), nonexistent="shift_forward"
    )
    return local.tz_convert("UTC").as_unit("us")


def local_days(values: pa.Array | pa.ChunkedArray, when: EventTime) -> np.ndarray:
    """The local day of each value as datetime64[D]; NaT if it has none."""
    return wall_clock(values, when.format, when.timezone).astype("datetime64[D]")


def wall_bounds(first: date, last: date) -> tuple[datetime, datetime]:
    """Midnight of ``first`` and midnight after ``last``, as wall clock times."""
    return datetime.combine(first, time.min), datetime.combine(last + timedelta(days=1), time.min)


def instant_bounds(first: date, last: date, timezone: str) -> tuple[datetime, datetime]:
    """The same bounds as aware datetimes."""
    zone = ZoneInfo(timezone)
    start, end = wall_bounds(first, last)
    return start.replace(tzinfo=zone), end.replace(tzinfo=zone)


def _parsed(values: pa.Array | pa.ChunkedArray, format: str) -> pd.DatetimeIndex:
    """Aware if the values have an offset, else naive."""
    kind = values.type
    if pa.types.is_null(kind):
        return pd.DatetimeIndex(np.full(len(values), "NaT", dtype="datetime64[us]"))
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        micro = values.cast(pa.timestamp("us", kind.tz if pa.types.is_timestamp(kind) else None), safe=False)
        return pd.DatetimeIndex(_chunk(micro).to_pandas())
    if format in EPOCH:
        numbers = pd.to_numeric(_chunk(values).to_pandas(), errors="coerce")
        return pd.DatetimeIndex(pd.to_datetime(numbers, unit=EPOCH[format], utc=True, errors="coerce"))
    texts = _chunk(values).to_pandas().astype("str").where(lambda text: text.notna(), None)
    iso = format in (ISO, ISO_OFFSET)
    return pd.DatetimeIndex(
        pd.to_datetime(
            texts.str.strip(), format="ISO8601" if iso else format, utc=format == ISO_OFFSET, errors="coerce"
        )
    )


def _chunk(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def days_between(first: date, last: date) -> Sequence[date]:
    """Every day from ``first`` to ``last``, both included."""
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]
