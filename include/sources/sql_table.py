"""A table or view of a database as a source of days: one statement with bound times on a named connection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, NoSuchTableError, OperationalError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from include.errors import ConfigurationError, DataError, TransientError
from include.sources import times
from include.sources.connections import for_sqlalchemy
from include.spelling import did_you_mean

CHUNK = 100_000  # rows of the time column that are counted at once
MOST = 2**63 - 1  # of a whole number in Arrow and the lake; beyond it, digits are kept as text
PLAIN = (str, int, float, bool, date, datetime)
STREAMED = 5_000  # rows that are fetched at once


@dataclass(frozen=True)
class SqlTable:
    """Rows of a table or view.

    Parameters
    ----------
    connection : name of the connection with the database's address; the model lists it in ``data.connections``.
    table : name, with its schema if that is not the default one: ``sales.orders``.
    time : the column that determines a row's day: a timestamp (without a timezone: in ``time.timezone``) or a
        date. An index on it makes a day cheap.
    """

    connection: str
    table: str
    time: times.EventTime

    def between(self, first: date, last: date, connections: Mapping[str, str]) -> pa.Table:
        """The rows of these local days, both included."""
        with self._connected(connections) as (database, table):
            column = self._time_column(table)
            low, high = self._bounds(column, first, last)
            found = database.execute(sa.select(table).where(column >= low, column < high))
            return self._in_order(list(found.keys()), found.fetchall())

    def by_day(self, first: date, last: date, connections: Mapping[str, str]) -> Iterator[tuple[date, pa.Table]]:
        """Each of these local days (both included) with its rows, in the order of days.

        One statement; its rows are streamed, so memory holds those of one day.
        """
        with self._connected(connections) as (database, table):
            column = self._time_column(table)
            low, high = self._bounds(column, first, last)
            asked = sa.select(table).where(column >= low, column < high).order_by(column)
            found = database.execution_options(yield_per=STREAMED).execute(asked)
            names = list(found.keys())
            at = names.index(self.time.column)
            rows = iter(found)
            ahead = next(rows, None)
            for day in times.days_between(first, last):
                end = self._bounds(column, day, day)[1]
                of_day = []
                while ahead is not None and ahead[at] < end:
                    of_day.append(ahead)
                    ahead = next(rows, None)
                yield day, self._in_order(names, of_day)

    def _in_order(self, names: Sequence[str], rows: Sequence[Any]) -> pa.Table:
        """The rows by time, then by all values: a database guarantees no order, and a batch is named by its bytes."""
        values = list(zip(*rows, strict=True)) or [()] * len(names)
        table = pa.table([_array(v) for v in values], names=list(names))
        sortable = [f.name for f in table.schema if not pa.types.is_null(f.type)]
        by = sorted(sortable, key=lambda name: name != self.time.column)
        return table.sort_by([(name, "ascending") for name in by]) if by else table

    def counts(self, connections: Mapping[str, str]) -> dict[date, int]:
        """The number of rows of each local day that has any."""
        return self._days(connections)[0]

    def without_time(self, connections: Mapping[str, str]) -> int:
        """The number of rows without a time. They belong to no day."""
        return self._days(connections)[1]

    def columns(self, connections: Mapping[str, str]) -> dict[str, str]:
        """Names of the columns, with the types that the database gives them."""
        with self._connected(connections) as (_, table):
            return {column.name: str(column.type) for column in table.columns}

    def _days(self, connections: Mapping[str, str]) -> tuple[dict[date, int], int]:
        counted: Counter[date] = Counter()
        without = 0
        with self._connected(connections) as (database, table):
            column = self._time_column(table)
            found = database.execution_options(yield_per=CHUNK).execute(sa.select(column))
            for rows in found.scalars().partitions(CHUNK):
                days = times.local_days(_array(rows), self.time)
                known = days[~np.isnat(days)]
                without += len(days) - len(known)
                values, numbers = np.unique(known, return_counts=True)
                counted.update(dict(zip(values.tolist(), numbers.tolist(), strict=True)))
        return dict(sorted(counted.items())), without

    def _bounds(self, column: sa.Column[Any], first: date, last: date) -> tuple[Any, Any]:
        if isinstance(column.type, sa.DateTime):
            if column.type.timezone:
                return times.instant_bounds(first, last, self.time.timezone)
            return times.wall_bounds(first, last)
        start, end = times.wall_bounds(first, last)
        return start.date(), end.date()

    def _time_column(self, table: sa.Table) -> sa.Column[Any]:
        if self.time.column not in table.columns:
            raise ConfigurationError(
                f"{self.table} has no column {self.time.column!r}{did_you_mean(self.time.column, table.columns.keys())}"
            )
        column = table.columns[self.time.column]
        if not isinstance(column.type, (sa.DateTime, sa.Date)):
            raise ConfigurationError(
                f"{self.table}.{column.name} is of type {column.type}: a day is asked for by a range of times, so it "
                "must be a timestamp or a date. Make a view that casts it, and use the view."
            )
        return column

    @contextmanager
    def _connected(self, connections: Mapping[str, str]) -> Iterator[tuple[sa.Connection, sa.Table]]:
        """An open connection and the reflected table. No message contains an address or a password."""
        if self.connection not in connections:
            raise ConfigurationError(
                f"the connection {self.connection!r} was not handed over{did_you_mean(self.connection, connections)} "
                "Name it in data.connections of model.py."
            )
        schema, _, name = self.table.rpartition(".")
        try:
            engine = sa.create_engine(for_sqlalchemy(connections[self.connection]), poolclass=NullPool)
        except (SQLAlchemyError, ImportError) as problem:
            raise ConfigurationError(
                f"the connection {self.connection!r} cannot be used ({type(problem).__name__}): its URI must begin "
                "with a database that SQLAlchemy knows and whose driver is installed, e.g. postgresql://"
            ) from None
        try:
            with engine.connect() as database:
                try:
                    table = sa.Table(name, sa.MetaData(), schema=schema or None, autoload_with=database)
                except NoSuchTableError:
                    raise ConfigurationError(self._no_table(database, schema, name)) from None
                yield database, table
        except OperationalError as problem:
            raise TransientError(
                f"the database of the connection {self.connection!r} did not answer: {_first_line(problem)}"
            ) from None
        except DBAPIError as problem:
            raise DataError(f"{self.table} could not be read: {_first_line(problem)}") from None
        finally:
            engine.dispose()

    def _no_table(self, database: sa.Connection, schema: str, name: str) -> str:
        inspector = sa.inspect(database)
        if schema and schema not in inspector.get_schema_names():
            return f"the database has no schema {schema!r}{did_you_mean(schema, inspector.get_schema_names())}"
        known = inspector.get_table_names(schema or None) + inspector.get_view_names(schema or None)
        return f"the database has no table or view {self.table!r}{did_you_mean(name, known)}"


def _array(values: Any) -> pa.Array:
    """One column of a result. Values without a type in Arrow and the lake become text or numbers."""
    first = next((v for v in values if v is not None), None)
    if isinstance(first, Decimal):
        values = _of_decimals(values)
    elif first is not None and (not isinstance(first, PLAIN) or _too_large(values)):
        values = [None if v is None else str(v) for v in values]
    if isinstance(first, datetime) and first.tzinfo is not None:
        return pa.array(list(values), pa.timestamp("us", "UTC"))
    return pa.array(list(values))


def _too_large(values: Any) -> bool:
    return any(isinstance(v, int) and not -MOST - 1 <= v <= MOST for v in values)


def _of_decimals(values: Any) -> list[Any]:
    """Whole numbers stay exact (of NUMERIC(20, 0), a float would lose digits), as text if Arrow has none so large."""
    known = [v for v in values if v is not None]
    if not all(v.is_finite() and v.as_tuple().exponent == 0 for v in known):
        return [None if v is None else float(v) for v in values]
    kind: type = int if all(-MOST - 1 <= v <= MOST for v in known) else str
    return [None if v is None else kind(v) for v in values]


def _first_line(problem: DBAPIError) -> str:
    return str(problem.orig or type(problem).__name__).strip().splitlines()[0][:200]
