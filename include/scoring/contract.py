"""The input contract of a bundle: strict checks of a request's rows, compiled once from `input_schema.json`.

JSON types are strict: a text is not read as a number, nor a number as a boolean. A row that passes becomes the columns
that `features.build` gets; rows that do not are answered with every problem found, by row and field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from include.errors import DataError
from include.partitions import day_of
from include.scoring.columns import array_of, utc_naive
from include.scoring.documents import Column
from include.scoring.event_times import EventTimes
from include.scoring.messages import Problem
from include.scoring.one_row import OneRow
from include.spelling import did_you_mean

MAX_PROBLEMS = 20
INTEGER_LIMIT = 2**53 - 1  # what float64 and every JSON reader represent exactly
NUMBER_LIMIT = 1e32  # features and ONNX models compute in float32: beyond this, a scaled number can become infinite
_EPOCH = datetime.fromtimestamp(0, UTC).replace(tzinfo=None)

_TYPES: dict[str, frozenset[type]] = {
    "string": frozenset({str}),
    "integer": frozenset({int, float}),
    "number": frozenset({int, float}),
    "boolean": frozenset({bool}),
    "timestamp": frozenset({str}),
    "date": frozenset({str}),
}
_LIMITS = {"integer": float(INTEGER_LIMIT), "number": NUMBER_LIMIT}
_JSON_NAMES: dict[type, str] = {
    str: "text",
    int: "a number",
    float: "a number",
    bool: "a boolean",
    list: "an array",
    dict: "an object",
    type(None): "null",
}
_WANTED = {
    "string": "text",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "timestamp": "an ISO 8601 timestamp with an offset, like 2026-05-03T14:30:00Z",
    "date": "an ISO 8601 date, like 2026-05-03",
}


class InvalidRows(DataError):
    """The rows of a request break the input contract.

    Attributes
    ----------
    problems : at most `MAX_PROBLEMS`.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        first = self.problems[0]
        where = f"row {first.row}" + (f", field {first.field!r}" if first.field else "")
        more = f" (and {len(self.problems) - 1} more)" if len(self.problems) > 1 else ""
        super().__init__(f"{where}: {first.problem}{more}")


class InputContract:
    """Checks rows and turns them into columns.

    Parameters
    ----------
    columns : the raw inputs, in order of declaration.
    event_times : the range of event times, if one is declared.

    Notes
    -----
    ``now`` (POSIX seconds) of the methods is the moment of a live request. Only with it the event times are checked,
    and an empty text counts as missing: the probe rows of a bundle were right on the day when it was packaged.
    """

    def __init__(self, columns: Sequence[Column], event_times: EventTimes | None = None) -> None:
        self.event_times = event_times
        self.fields: dict[str, str] = {c.name: c.type for c in columns}
        self.required = tuple(c.name for c in columns if not c.nullable)
        self._known = self.fields.keys()
        self._texts = tuple(name for name in self.required if self.fields[name] == "string")
        self._checks: list[tuple[str, str, frozenset[type], float | None]] = []
        for column in columns:
            name, kind = column.name, column.type
            if kind not in _TYPES:
                raise DataError(f"column {name!r} has the unknown type {kind!r}{did_you_mean(kind, _TYPES)}")
            allowed = _TYPES[kind] | {type(None)} if column.nullable else _TYPES[kind]
            self._checks.append((name, kind, allowed, _LIMITS.get(kind)))
        if event_times is not None and self.fields.get(event_times.column) != "timestamp":
            raise DataError(f"the event time {event_times.column!r} is not a column of type timestamp")
        self._one = OneRow(columns, _TYPES, _LIMITS, event_times)

    def columns(self, rows: Sequence[Any], now: float | None = None) -> dict[str, np.ndarray]:
        """The columns for `features.build`.

        Raises
        ------
        InvalidRows : with the problems of the rows, the first `MAX_PROBLEMS` of them.
        """
        try:
            columns = self._one(rows[0], now) if len(rows) == 1 else self._many(rows, now)
        except (TypeError, ValueError, OverflowError, AttributeError):
            columns = None  # something is wrong: find out exactly what, off the fast path
        if columns is None:
            raise InvalidRows(self.problems(rows, now=now) or [Problem(None, None, "the rows could not be read")])
        return columns

    def _accepts(self, columns: Mapping[str, np.ndarray], now: float) -> bool:
        """Whether these values are allowed in a live request."""
        if any("" in columns[name].tolist() for name in self._texts):
            return False
        if self.event_times is None:
            return True
        first, last = self.event_times.bounds(now)
        moments = columns[self.event_times.column].astype(np.int64)
        return bool(((moments >= first) & (moments <= last)).all())

    def _many(self, rows: Sequence[Any], now: float | None) -> dict[str, np.ndarray] | None:
        known = self._known
        for row in rows:
            if type(row) is not dict or not row.keys() <= known:
                return None
        columns = {}
        for name, kind, allowed, limit in self._checks:
            values = [row.get(name) for row in rows]
            if not allowed.issuperset(map(type, values)):
                return None
            column = array_of(kind, values)
            if limit is not None:
                inside = np.abs(column) <= limit
                if kind == "integer":
                    inside &= column == np.floor(column)
                if len(rows) - int(np.count_nonzero(inside)) != values.count(None):
                    return None
            columns[name] = column
        return columns if now is None or self._accepts(columns, now) else None

    def problems(self, rows: Sequence[Any], limit: int = MAX_PROBLEMS, now: float | None = None) -> list[Problem]:
        """What is wrong with the rows, in their order, at most ``limit`` problems."""
        found: list[Problem] = []
        for at, row in enumerate(rows):
            if type(row) is not dict:
                found.append(Problem(at, None, f"a row must be an object, this is {_json_name(row)}"))
            else:
                for name in row:
                    if name not in self.fields:
                        unknown = f"unknown field{did_you_mean(str(name)[:100], self.fields)}"
                        found.append(Problem(at, str(name)[:100], unknown))
                    if len(found) >= limit:
                        break
                for name, kind, allowed, bound in self._checks:
                    sentence = _what_is_wrong(row.get(name), name in row, kind, type(None) in allowed, bound)
                    if sentence is None and now is not None:
                        sentence = self._refused(name, row.get(name), now)
                    if sentence:
                        found.append(Problem(at, name, sentence))
            if len(found) >= limit:
                return found[:limit]
        return found

    def _refused(self, name: str, value: Any, now: float) -> str | None:
        """What is wrong with a value of a live request that has its type."""
        if value == "" and name in self._texts:
            return f"required: {_WANTED['string']}; it is empty"
        times = self.event_times
        if times is None or name != times.column:
            return None
        first, last = times.bounds(now)
        if first <= (utc_naive(value) - _EPOCH) // timedelta(microseconds=1) <= last:
            return None
        moment = datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        return f"{_short(value)} is out of range: the event time is {times.sentence()} ({moment})"


def _whole(kind: str, value: float) -> bool:
    return kind != "integer" or type(value) is int or float(value).is_integer()


def _what_is_wrong(value: Any, present: bool, kind: str, nullable: bool, limit: float | None) -> str | None:
    wanted = _WANTED[kind]
    if value is None:
        return None if nullable else f"required: {wanted}; it is {'null' if present else 'missing'}"
    if type(value) not in _TYPES[kind]:
        return f"must be {wanted}, not {_json_name(value)} ({_short(value)})"
    if limit is not None:
        if value != value or value in (float("inf"), float("-inf")):
            return f"must be {wanted}, not {value}"
        if not -limit <= value <= limit:
            return f"{_short(value)} is out of range: {wanted} of at most {limit:.17g} either side of zero"
        if not _whole(kind, value):
            return f"must be {wanted}, not {_short(value)}"
    if kind == "date":
        try:
            day_of(value)
        except ValueError:
            return f"must be {wanted}, not {_short(value)}"
    if kind == "timestamp":
        try:
            utc_naive(value)
        except (ValueError, OverflowError) as error:
            if "has no offset" in str(error):
                return f"{_short(value)} has no offset from UTC: write {wanted}"
            return f"must be {wanted}, not {_short(value)}"
    return None


def _json_name(value: Any) -> str:
    return _JSON_NAMES.get(type(value), type(value).__name__)


def _short(value: Any) -> str:
    if type(value) is int and abs(value) > 10**30:
        return "a number of more than 30 digits"  # also: Python refuses to print very long ones
    text = repr(value) if not isinstance(value, str) else repr(value[:60])
    return text if len(text) <= 64 else text[:60] + "..."
