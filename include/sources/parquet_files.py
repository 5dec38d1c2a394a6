"""A Parquet file, or a folder of them, as a source of days."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from include.errors import ConfigurationError, DataError
from include.sources import times
from include.sources.csv_text import COMPRESSIONS, open_input
from include.sources.daily_cache import DailyCache, decompressed, open_cache
from include.spelling import did_you_mean

T = TypeVar("T")
VALUES_AT_ONCE = 5_000_000  # of several days that are read together; rows would not limit a wide table


@dataclass(frozen=True)
class ParquetFiles:
    """Rows of a Parquet file (also compressed as a whole: .parquet.gz), or of a folder with Parquet files.

    If the time is a timestamp or a date, a day is read by a filter, from the row groups that can contain it. If it
    is text or a number, the files are cached by day like a CSV file.
    """

    path: Path
    time: times.EventTime

    def between(self, first: date, last: date, connections: Mapping[str, str]) -> pa.Table:
        """The rows of these local days, both included."""
        kind = self._time_type()
        if not _filterable(kind):
            return self.cache().between(first, last)
        return self._read(lambda data: data.to_table(filter=self._within(kind, first, last)))

    def by_day(self, first: date, last: date, connections: Mapping[str, str]) -> Iterator[tuple[date, pa.Table]]:
        """Each of these local days (both included) with its rows, in the order of days.

        Days are read together as long as they have at most `VALUES_AT_ONCE` values.
        """
        kind = self._time_type()
        if not _filterable(kind):
            yield from self.cache().by_day(first, last)
            return
        most = VALUES_AT_ONCE // len(self.schema().names)
        waiting = [(first, last)]
        while waiting:
            begin, end = waiting.pop()
            within = self._within(kind, begin, end)
            if begin < end and self._read(lambda data: data.count_rows(filter=within)) > most:  # noqa: B023
                middle = begin + (end - begin) // 2
                waiting += [(middle + timedelta(days=1), end), (begin, middle)]
                continue
            rows = self._read(lambda data: data.to_table(filter=within))  # noqa: B023
            for day in times.days_between(begin, end):
                yield day, rows.filter(self._within(kind, day, day))

    def _within(self, kind: pa.DataType, first: date, last: date) -> ds.Expression:
        """The filter for the rows of these local days, both included."""
        aware = pa.types.is_timestamp(kind) and kind.tz is not None
        start, end = times.instant_bounds(first, last, self.time.timezone) if aware else times.wall_bounds(first, last)
        if pa.types.is_date(kind):
            low, high = pa.scalar(start.date(), pa.date32()), pa.scalar(end.date(), pa.date32())
        else:
            zone = "UTC" if aware else None
            low, high = pa.scalar(start, pa.timestamp("us", zone)), pa.scalar(end, pa.timestamp("us", zone))
        field = ds.field(self.time.column)
        return (field >= low) & (field < high)

    def counts(self, connections: Mapping[str, str]) -> dict[date, int]:
        """The number of rows of each local day that has any."""
        if not _filterable(self._time_type()):
            return self.cache().counts()
        return self._days()[0]

    def without_time(self, connections: Mapping[str, str]) -> int:
        """The number of rows whose time is missing or cannot be read. They belong to no day."""
        return self._days()[1] if _filterable(self._time_type()) else self.cache().without_time()

    def cache(self) -> DailyCache:
        """The cache of the files by day, for sources whose days cannot be filtered."""
        try:
            return open_cache(self.path, "parquet", self.time, self._batches)
        except ValueError as problem:
            raise DataError(f"{self.path} cannot be read: {problem}") from problem

    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        return self.dataset().schema

    def dataset(self) -> ds.Dataset:
        """The files as one table.

        Raises
        ------
        ConfigurationError : the path does not exist. DataError : it is not Parquet.
        """
        if not self.path.exists():
            raise ConfigurationError(f"there is no file or folder {self.path}")
        path = decompressed(self.path, open_input) if self.path.suffix in COMPRESSIONS else self.path
        try:
            found = ds.dataset(str(path), format="parquet", partitioning="hive" if path.is_dir() else None)
            if not found.files:
                raise ConfigurationError(f"the folder {self.path} holds no Parquet file")
            return found
        except (pa.ArrowInvalid, OSError) as problem:
            raise DataError(f"{self.path} cannot be read as Parquet: {str(problem).splitlines()[0]}") from problem

    def _batches(self) -> Iterator[pa.RecordBatch]:
        yield from self.dataset().to_batches()

    def _read(self, ask: Callable[[ds.Dataset], T]) -> T:
        try:
            return ask(self.dataset())
        except pa.ArrowInvalid as problem:
            raise DataError(f"{self.path} cannot be read: {str(problem).splitlines()[0]}") from problem

    def _time_type(self) -> pa.DataType:
        schema = self.schema()
        if self.time.column not in schema.names:
            raise ConfigurationError(
                f"{self.path} has no column {self.time.column!r}{did_you_mean(self.time.column, schema.names)}"
            )
        return schema.field(self.time.column).type

    def _days(self) -> tuple[dict[date, int], int]:
        counted: Counter[date] = Counter()
        without = 0
        for batch in self.dataset().to_batches(columns=[self.time.column]):
            days = times.local_days(batch.column(0), self.time)
            known = days[~np.isnat(days)]
            without += len(days) - len(known)
            found, rows = np.unique(known, return_counts=True)
            counted.update(dict(zip(found.tolist(), rows.tolist(), strict=True)))
        return dict(sorted(counted.items())), without


def _filterable(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))
