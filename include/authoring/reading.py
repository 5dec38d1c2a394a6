"""Reads the rows that everything is inferred from, and gives each column a name and a type."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa

from include.authoring import formats
from include.authoring.encodings import told_encoding
from include.authoring.findings import Findings, FoundColumn, Request, Role
from include.authoring.names import declared_names
from include.authoring.texts import Texts, beyond_exact
from include.errors import DataError
from include.partitions import is_day
from include.sources import CsvFile, Source
from include.sources.days import typed
from include.sources.missing import NULLS
from include.sources.times import instants
from include.spec import Column, ColumnType

MOST_ROWS = 300_000  # that are examined: the newest ones
LONE_DAYS = 180  # a gap this long, with next to nothing behind it, cuts off rows that are dated by mistake
BOOLEANS = ({"true", "false"}, {"t", "f"})


def read(request: Request, source: Source, connections: Mapping[str, str], today: date) -> Findings:
    """All that can be found about the source without knowing what its columns mean.

    Raises
    ------
    DataError : there are no rows with a time, or most have none.
    """
    counts = source.counts(connections)
    without = source.without_time(connections)
    total = sum(counts.values())
    if not total:
        raise DataError(f"{request.source} has no row with a time in {request.time}")
    if without > 0.05 * (total + without):
        raise DataError(
            f"{without} of {total + without} rows have no time in {request.time} that can be read, and belong to no "
            "day: fix them, or name another column."
        )
    kept, cut = _without_lone_days(counts, today)
    raw, looked_at = _newest(source, connections, kept)
    names = declared_names(raw.column_names)
    texts = Texts.of(request, source, raw)
    columns, series = [], {}
    for position, original in enumerate(raw.column_names):
        column, values = _column(original, names[original], raw.column(position), texts)
        columns.append(column)
        if column.role is not Role.LEFT_OUT:
            series[column.name] = values
    texts.ask()
    rows = pd.DataFrame(series)
    time = names[request.time]
    rows = rows.sort_values(time, kind="stable", ignore_index=True)
    found = Findings(request, source, columns, rows, kept, sum(kept.values()), time, names[request.target])
    _say(found, without, cut, looked_at)
    texts.say(found)
    return found


def _without_lone_days(counts: dict[date, int], today: date) -> tuple[dict[date, int], dict[date, int]]:
    """The days, without those of the future and those far away from nearly all rows (1900-01-01, 2099-12-31)."""
    total, days = sum(counts.values()), sorted(counts)
    keep = [day for day in days if day <= today] or days
    for sign in (1, -1):
        ordered = keep[::sign]
        rows = 0
        for n in range(len(ordered) - 1):
            rows += counts[ordered[n]]
            if rows > 0.005 * total:
                break
            if abs((ordered[n + 1] - ordered[n]).days) > LONE_DAYS:
                keep = ordered[n + 1 :][::sign]
                break
    return {d: counts[d] for d in keep}, {d: counts[d] for d in days if d not in set(keep)}


def _newest(source: Source, connections: Mapping[str, str], counts: dict[date, int]) -> tuple[pa.Table, int]:
    days = sorted(counts, reverse=True)
    rows = np.cumsum([counts[day] for day in days])
    enough = min(int(np.searchsorted(rows, MOST_ROWS)) + 1, len(days))
    table = source.between(days[enough - 1], days[0], connections)
    return table, table.num_rows


def _column(original: str, name: str, values: pa.ChunkedArray, texts: Texts) -> tuple[FoundColumn, pd.Series | None]:
    array = values.combine_chunks()
    array = array if isinstance(array, pa.Array) else pa.concat_arrays(array.chunks)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    found = FoundColumn(name, original, ColumnType.STRING, nulls=array.null_count / max(len(array), 1))
    request = texts.request
    told = texts.column(original, array)
    if told.array.null_count == len(array):
        return found.as_role(Role.LEFT_OUT, "has no value in any row"), None
    exact = told.exact or ("" if original == request.time else beyond_exact(array))
    if exact:
        series = _pandas(typed(told.array, Column(name=name, type=ColumnType.STRING)), ColumnType.STRING)
        nulls, distinct = float(series.isna().mean()), int(series.nunique())
        column = FoundColumn(name, original, ColumnType.STRING, Role.UNUSED, None, nulls, distinct, exact, told.missing)
        return column, series
    kind, format = (told.type, None) if told.type else _type(told.array, original, texts.source, request)
    if kind is ColumnType.STRING:
        told = texts.as_texts(original)
    array = told.array
    if kind is None:
        return found.as_role(Role.LEFT_OUT, f"is of type {array.type}, which the lake has no type for"), None
    if kind in (ColumnType.TIMESTAMP, ColumnType.DATE):  # a date as the midnight that it begins with
        series = pd.Series(instants(array, format or "iso", request.timezone))
    else:
        cast = typed(array, Column(name=name, type=kind), told.numbers or ".")
        series = _pandas(cast, kind)
    column = FoundColumn(
        name, original, kind, format=format, nulls=float(series.isna().mean()), distinct=int(series.nunique()),
        missing=told.missing, numbers=told.numbers,
    )  # fmt: skip
    return column, series


def _type(array: pa.Array, original: str, source: Source, request: Request) -> tuple[ColumnType | None, str | None]:
    """The declared type, and the format of a time."""
    kind = array.type
    if original == request.time:
        return ColumnType.TIMESTAMP, source.time.format
    if pa.types.is_boolean(kind):
        return ColumnType.BOOLEAN, None
    if pa.types.is_integer(kind):
        return ColumnType.INTEGER, None
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        values = array.cast(pa.float64()).to_numpy(zero_copy_only=False)
        values = values[np.isfinite(values)]
        # A label of 0.0 and 1.0 is how pandas writes whole numbers of which some are missing.
        label = original == request.target and len(values) and bool((values == np.round(values)).all())
        return (ColumnType.INTEGER if label else ColumnType.NUMBER), None
    if pa.types.is_date(kind):
        return ColumnType.DATE, "timestamp"
    if pa.types.is_timestamp(kind):
        return ColumnType.TIMESTAMP, "timestamp"
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
        return None, None
    return _of_texts(array, isinstance(source, CsvFile))


def _of_texts(array: pa.Array, untyped: bool) -> tuple[ColumnType, str | None]:
    """The types of texts that are no numbers. Only in a CSV file, where everything is text, can they be booleans."""
    known = [text.strip() for text in array.drop_null().unique().to_pylist()]
    if untyped and {text.lower() for text in known} in BOOLEANS:
        return ColumnType.BOOLEAN, None
    if len(known) >= 2 and all(is_day(text) for text in known):
        return ColumnType.DATE, "iso"
    if len(known) >= 2 and all(len(text) >= 6 and not text.isdigit() for text in known):
        format = formats.time_format(array)
        if format:
            return ColumnType.TIMESTAMP, format
    return ColumnType.STRING, None


def _pandas(array: pa.Array, kind: ColumnType) -> pd.Series:
    """Text as objects with None, everything else as float64 with nan: as needed for scoring a column alone."""
    if kind is ColumnType.STRING:
        series = pd.Series(array.to_pylist(), dtype=object)
        return series.where(series.notna(), None)
    return pd.Series(array.cast(pa.float64()).to_pandas(), dtype="float64")


def _say(found: Findings, without: int, cut: dict[date, int], looked_at: int) -> None:
    first, last = min(found.counts), max(found.counts)
    found.say(
        "Data",
        f"{found.total:,} rows with {len(found.columns)} columns on {len(found.counts):,} days, {first} to {last}; "
        f"days begin at midnight of {found.request.timezone}.",
    )
    if isinstance(found.source, CsvFile):
        file = found.source
        found.say("Data", told_encoding(file))
        found.say(
            "Data",
            f"Empty cells mean missing; in numbers, times and booleans {', '.join(NULLS[1:])} as well.",
        )
    found.say("Data", f"{found.request.time} is written as {_told(found.source.time.format, found.request.timezone)}.")
    if without:
        found.say("Data", f"{without:,} rows have no time that can be read; they belong to no day and are never seen.")
    if cut:
        shown = ", ".join(str(day) for day in list(cut)[:3])
        found.say("Data", f"{sum(cut.values()):,} rows far away from all others are taken for wrong dates: {shown}.")
    if looked_at < found.total:
        found.say("Data", f"Everything below is inferred from the newest {looked_at:,} rows.")
    renamed = [f"{c.original!r} -> {c.name}" for c in found.columns if c.name != c.original]
    if renamed:
        found.say("Data", f"Renamed, because the lake has no such names: {', '.join(renamed)}.")


def _told(format: str, timezone: str) -> str:
    meaning = {
        "timestamp": f"the type of the column says (without a timezone: the wall clock of {timezone})",
        "iso": f"ISO text without an offset, taken for the wall clock of {timezone}",
        "iso_offset": "ISO text with an offset from UTC",
        "epoch_s": "seconds since 1970",
        "epoch_ms": "milliseconds since 1970",
    }
    return meaning.get(format, f"{format}, taken for the wall clock of {timezone}")


def per_day(found: Findings, values: pd.Series) -> pd.Series:
    """Sum of ``values`` on each local day from the first to the last, 0 on days without rows."""
    days = found.rows[found.time].dt.tz_convert(found.request.timezone).dt.tz_localize(None).dt.normalize()
    first, last = min(found.counts), max(found.counts)
    every = pd.date_range(first, last + timedelta(days=0), freq="D")
    return values.groupby(days).sum().reindex(every, fill_value=0)
