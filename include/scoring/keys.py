"""The canonical key of a row: one text, however a client spells the values. Predictions and labels are joined by it.

Values are cast to the declared types, so 1545.0, 1545 and "1545" are one integer, and an instant is the same in every
offset. Texts are compared byte by byte: they are neither trimmed nor normalised (NFC).

This module imports neither pandas nor pyarrow; `include.data.keys` makes the same keys of a table.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from include.partitions import day_of
from include.scoring.columns import Inputs, utc_naive

Key = tuple[tuple[str, str], ...]
"""Names and declared types of the columns of a key, in the order in which they are written."""

EXACT = 2**53  # integers up to here are exact in float64
LARGEST = 2**63 - 1
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)((?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)")  # as in JSON


def of(inputs: Inputs, key: Iterable[str]) -> Key:
    """The columns of a key that are inputs. A label can be part of the key, but no prediction knows it."""
    wanted = set(key)
    return tuple(sorted((name, str(kind)) for name, kind in inputs if name in wanted))


def canonical(key: Key, values: Mapping[str, Any]) -> str:
    """The key of one row, as JSON: ``{"bus": 1545, "origin": "EWR"}``.

    Parameters
    ----------
    values : of the row, as JSON has them; others than those of the key are ignored.

    Raises
    ------
    ValueError : a value is missing or does not fit its declared type; names the column.
    """
    parts = []
    for name, kind in key:
        try:
            parts.append(f"{json.dumps(name)}: {text(kind, values.get(name))}")
        except (ValueError, TypeError, OverflowError) as error:
            raise ValueError(f"key column {name!r}, declared {kind}: {error}") from None
    return f"{{{', '.join(parts)}}}"


def text(kind: str, value: Any) -> str:
    """One value as canonical JSON.

    Raises
    ------
    ValueError, TypeError, OverflowError : it is missing or does not fit its declared type.
    """
    if value is None:
        raise ValueError("it is missing")
    return _TEXTS[kind](value)


def _string(value: Any) -> str:
    if type(value) is not str:
        raise ValueError(f"{_shown(value)} is not a text")
    return json.dumps(value)


def _integer(value: Any) -> str:
    number = _parsed(value)
    if type(number) is float:
        if not number.is_integer() or abs(number) > EXACT:
            raise ValueError(f"{_shown(value)} is not an integer that a float holds exactly")
        number = int(number)
    if not -LARGEST - 1 <= number <= LARGEST:
        raise ValueError(f"{_shown(value)} has more than 64 bits")
    return str(number)


def _number(value: Any) -> str:
    number = float(_parsed(value)) + 0.0  # -0.0 becomes 0.0
    if not math.isfinite(number):
        raise ValueError(f"{_shown(value)} is not a finite number")
    return repr(number)


def _parsed(value: Any) -> int | float:
    """A number, or the one that a text spells as JSON would: 007 is a name."""
    if type(value) is str and (spelled := _NUMBER.fullmatch(value)):
        return float(value) if spelled[1] else int(value)
    if type(value) is int or type(value) is float:
        return value
    raise ValueError(f"{_shown(value)} is not a number")


def _boolean(value: Any) -> str:
    if type(value) is not bool:
        raise ValueError(f"{_shown(value)} is not true or false")
    return "true" if value else "false"


def _timestamp(value: Any) -> str:
    if not isinstance(value, str | datetime):
        raise ValueError(f"{_shown(value)} is not a timestamp")
    return instant(utc_naive(value).isoformat(timespec="microseconds"))


def instant(moment: str) -> str:
    """The canonical JSON of a moment in UTC that is written like 2026-05-03T14:30:00.000000."""
    return f'"{moment}Z"'


def _date(value: Any) -> str:
    return f'"{day_of(value).isoformat()}"'


_TEXTS: dict[str, Callable[[Any], str]] = {
    "string": _string,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "timestamp": _timestamp,
    "date": _date,
}


def _shown(value: Any) -> str:
    if type(value) is int and abs(value) > 10**30:
        return "a number of more than 30 digits"  # Python refuses to print very long ones
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
