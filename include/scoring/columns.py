"""What `features.build` gets: one conversion of raw inputs to numpy columns, for training and serving alike.

A difference between the two ("skew") makes a model silently worse in production, so both go through `columns_for`:
training with a DataFrame read from the lake, the model server with the rows of a request. The convention:

=============  ==============================================  =======
declared type  what `build` receives (1-d, equal lengths)      missing
=============  ==============================================  =======
string         ``object`` array of ``str``                     ``""``
integer        ``float64`` array                               ``nan``
number         ``float64`` array                               ``nan``
boolean        ``float64`` array of 0.0 and 1.0                ``nan``
timestamp      ``datetime64[us]`` array, in UTC                ``NaT``
date           ``datetime64[D]`` array                         ``NaT``
=============  ==============================================  =======

An empty text is a missing one. The lake and requests write a date as ISO 8601 text, ``2026-05-03``.

This module needs numpy only: importing pandas here would put it into the model server's process.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from include.errors import DataError
from include.partitions import day_of
from include.scoring.messages import Row
from include.spelling import did_you_mean

Inputs = Iterable[tuple[str, str]]
"""Names and declared types of the raw inputs, in order (`spec.ColumnType`): ``[("distance", "number"), ...]``."""

MISSING = float("nan")


def columns_for(inputs: Inputs, source: Any) -> dict[str, np.ndarray]:
    """The columns that `features.build` gets, from either kind of source.

    Parameters
    ----------
    inputs : names and declared types of the columns known before the event, in order of declaration.
    source : a pandas DataFrame that has these columns (others are ignored), or a sequence of rows, each a mapping of
        names to JSON values (a missing key is a missing value).

    Returns
    -------
    dict of name to 1-d array, typed as the module's table says. The arrays are fresh: `build` may change them.

    Raises
    ------
    DataError : a column is absent from the frame, a value does not have the declared type, or a timestamp has no
        timezone. (The server checks its rows first, with `include.scoring.contract`, and answers 422.)
    """
    if hasattr(source, "columns"):
        return columns_from_frame(inputs, source)
    return columns_from_rows(inputs, source)


def columns_from_rows(inputs: Inputs, rows: Sequence[Row]) -> dict[str, np.ndarray]:
    """`columns_for` for rows of JSON values."""
    columns = {}
    for name, kind in inputs:
        values = [row.get(name) for row in rows]
        try:
            columns[name] = array_of(kind, values)
        except (TypeError, ValueError, OverflowError) as error:
            raise DataError(f"column {name!r} is declared {kind}: {error}") from None
    return columns


def columns_from_frame(inputs: Inputs, frame: Any) -> dict[str, np.ndarray]:
    """`columns_for` for a pandas DataFrame, of any dtypes that hold the declared types (str, object, Int64, ...)."""
    columns = {}
    for name, kind in inputs:
        if name not in frame.columns:
            raise DataError(f"the frame has no column {name!r}{did_you_mean(name, map(str, frame.columns))}")
        try:
            columns[name] = _array_of_series(kind, frame[name])
        except (TypeError, ValueError, OverflowError) as error:
            raise DataError(f"column {name!r} is declared {kind}, its dtype is {frame[name].dtype}: {error}") from None
    return columns


def array_of(kind: str, values: list[Any]) -> np.ndarray:
    """One column from a list of Python values, ``None`` if missing; timestamps as `datetime` or ISO 8601 text.

    The hot path of the server: no work beyond the conversion. ValueError, TypeError or OverflowError on a value that
    does not fit the type.
    """
    if kind == "string":
        texts = np.empty(len(values), dtype=object)
        texts[:] = ["" if value is None else value for value in values] if None in values else values
        return texts
    if kind == "timestamp":
        return np.array([None if value is None else utc_naive(value) for value in values], dtype="datetime64[us]")
    if kind == "date":
        days = {value: None if value is None else day_of(value) for value in set(values)}  # days come many times
        return np.array([days[value] for value in values], dtype="datetime64[D]")
    if kind in ("number", "integer", "boolean"):
        return np.array(values, dtype=np.float64)  # numpy makes nan of None
    raise ValueError(f"{kind!r} is not a column type{did_you_mean(str(kind), _KINDS)}")


def utc_naive(value: str | datetime) -> datetime:
    """The moment as a naive `datetime` in UTC; ValueError if the text is not ISO 8601 or has no offset.

    A timestamp without an offset is refused rather than guessed: a local time taken for UTC gives the features of
    another hour, without an error.
    """
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    if moment.tzinfo is None:
        raise ValueError(f"{value!s} has no offset from UTC: write it like 2026-05-03T14:30:00Z or ...-04:00")
    return moment.astimezone(UTC).replace(tzinfo=None)


_KINDS = ("string", "integer", "number", "boolean", "timestamp", "date")


def _array_of_series(kind: str, series: Any) -> np.ndarray:
    if kind == "string":
        texts = np.array(series.to_numpy(dtype=object), dtype=object)
        texts[series.isna().to_numpy(dtype=bool)] = ""
        odd = next((text for text in texts if type(text) is not str), None)
        if odd is not None:
            raise ValueError(f"{odd!r} is not text")
        return texts
    if kind == "timestamp":
        if series.dtype.kind == "O":  # texts, or moments of several offsets
            return array_of(kind, [None if missing else v for v, missing in zip(series, series.isna(), strict=True)])
        if getattr(series.dtype, "tz", None) is None:
            raise ValueError("the timestamps have no timezone; those of the lake are in UTC")
        return np.array(series.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy(), dtype="datetime64[us]")
    if kind == "date":
        missing = series.isna() | (series == "")
        return array_of(kind, [None if gone else day for day, gone in zip(series, missing, strict=True)])
    if kind in ("number", "integer", "boolean"):
        if series.dtype.kind == "O" and any(isinstance(value, str) for value in series):
            raise ValueError("it holds text")
        return np.array(series.to_numpy(dtype=np.float64, na_value=MISSING), dtype=np.float64)
    raise ValueError(f"{kind!r} is not a column type{did_you_mean(str(kind), _KINDS)}")
