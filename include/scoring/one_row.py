"""The checks of `contract.InputContract` for one row, laid out once when a model is loaded.

Most requests have one row. A numpy array or a line of Python for each column then costs more than the values, so the
columns of a type are checked together and converted as one array, of which each column is one row. What is accepted and
what `features.build` gets are the same as for many rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any

import numpy as np

from include.partitions import day_of
from include.scoring.documents import Column
from include.scoring.event_times import EventTimes

_ORDER = ("number", "integer", "boolean", "string", "date", "timestamp")
_EPOCH = datetime.fromtimestamp(0, UTC)
_EPOCH_DAY = _EPOCH.toordinal()
_DAYS, _MICROSECONDS = np.dtype("datetime64[D]"), np.dtype("datetime64[us]")


class OneRow:
    """Checks one row and turns it into columns.

    Parameters
    ----------
    columns : the raw inputs, in order of declaration.
    types : the Python types of the values of each type of column.
    limits : how far from zero the values of each numeric type may be.
    event_times : the range of event times, if one is declared.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        types: Mapping[str, frozenset[type]],
        limits: Mapping[str, float],
        event_times: EventTimes | None,
    ) -> None:
        fields = sorted(columns, key=lambda column: (_ORDER.index(column.type), column.nullable))
        self._fields = [field.name for field in fields]
        self._known = frozenset(self._fields)
        self._values = _getter(self._fields)
        self._declared = [column.name for column in columns]
        self._in_order = _getter([self._fields.index(name) for name in self._declared])

        alike = dict.fromkeys((field.type, field.nullable) for field in fields)
        self._types = [
            (_part(fields, (kind,), nullable), types[kind] | {type(None)} if nullable else types[kind])
            for kind, nullable in alike
        ]
        self._limits = [(_part(fields, (kind,)), limit) for kind, limit in limits.items()]
        self._integers, self._required_texts = _part(fields, ("integer",)), _part(fields, ("string",), False)
        self._numbers, self._texts = _part(fields, ("number", "integer", "boolean")), _part(fields, ("string",))
        self._dates, self._timestamps = _part(fields, ("date",)), _part(fields, ("timestamp",))
        self._event_times = event_times
        self._event = self._fields[self._timestamps].index(event_times.column) if event_times is not None else 0

    def __call__(self, row: Any, now: float | None) -> dict[str, np.ndarray] | None:
        """The columns, each with one value, in order of declaration; None if something is wrong with the row.

        Parameters
        ----------
        now : the moment of a live request, as in `contract.InputContract.columns`.

        Raises
        ------
        ValueError, OverflowError : a text is not a date or a timestamp.
        """
        if type(row) is not dict:
            return None
        if len(row) == len(self._fields):
            try:
                values = self._values(row)
            except KeyError:  # so there is an unknown field in its place
                return None
        elif row.keys() <= self._known:
            values = tuple(map(row.get, self._fields))
        else:
            return None
        for part, allowed in self._types:
            if not allowed.issuperset(map(type, values[part])):
                return None
        for part, limit in self._limits:
            for value in values[part]:
                if value is not None and not -limit <= value <= limit:  # also refuses nan, which compares false
                    return None
        for value in values[self._integers]:
            if type(value) is float and not value.is_integer():
                return None
        if now is not None and "" in values[self._required_texts]:
            return None
        times = [None if text is None else _microseconds(text) for text in values[self._timestamps]]
        if now is not None and self._event_times is not None:
            first, last = self._event_times.bounds(now)
            event = times[self._event]
            if event is None or not first <= event <= last:
                return None
        columns = [  # numpy makes nan or NaT of None
            *np.array(values[self._numbers], dtype=np.float64, ndmin=2).T,
            *np.array([text or "" for text in values[self._texts]], dtype=object, ndmin=2).T,
            *[np.array((None if text is None else _day(text),), dtype=_DAYS) for text in values[self._dates]],
            *[np.array((time,), dtype=_MICROSECONDS) for time in times],
        ]
        return dict(zip(self._declared, self._in_order(columns), strict=True))


def _part(fields: Sequence[Column], kinds: tuple[str, ...], nullable: bool | None = None) -> slice:
    """Where in ``fields`` the columns of some types are, which follow each other; optionally only the nullable ones."""
    at = [n for n, field in enumerate(fields) if field.type in kinds and nullable in (None, field.nullable)]
    return slice(at[0], at[-1] + 1) if at else slice(0, 0)


def _getter(keys: Sequence[Any]) -> Callable[[Any], tuple[Any, ...]]:
    """`itemgetter`, which gives a tuple also for fewer than two keys."""
    if len(keys) > 1:
        return itemgetter(*keys)
    return lambda values: tuple(values[key] for key in keys)


@lru_cache(1000)  # live requests are about few days
def _day(text: str) -> int:
    """The day that a text means, counted from 1970-01-01; ValueError as `day_of`."""
    return day_of(text).toordinal() - _EPOCH_DAY


def _since_1970(moment: datetime) -> int:
    """Microseconds since 1970 of an aware moment."""
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


_FIRST, _LAST = _since_1970(datetime.min.replace(tzinfo=UTC)), _since_1970(datetime.max.replace(tzinfo=UTC))


def _microseconds(text: str) -> int:
    """The moment in microseconds since 1970; refuses what `columns.utc_naive` refuses.

    Raises
    ------
    ValueError : it is not ISO 8601, or has no offset from UTC.
    OverflowError : in UTC, it lies outside of the years 1 to 9999.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no offset from UTC")
    found = _since_1970(moment)
    if not _FIRST <= found <= _LAST:
        raise OverflowError(f"{text} lies outside of the years 1 to 9999 in UTC")
    return found
