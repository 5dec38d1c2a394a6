"""A CSV file, plain or compressed, as a source of days."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.errors import ConfigurationError, DataError, PerennialError
from include.sources.csv_problems import undecodable
from include.sources.csv_text import Dialect, codec_of, header, records, require_closed
from include.sources.daily_cache import DailyCache, open_cache
from include.sources.missing import NULLS
from include.sources.times import EventTime
from include.spelling import did_you_mean

BLOCK = 1 << 24  # bytes that are parsed at once
EXAMPLES = 3


@dataclass(frozen=True)
class CsvFile:
    """Rows of a CSV file with a header, every value as text (`include.sources.days` gives the declared types).

    Parameters
    ----------
    path : plain, or compressed: .gz, .zst, .bz2, .xz.
    time : the column that determines a row's day.
    encoding, escape : see `include.sources.csv_text.Dialect`.
    nulls : cells that are a missing value in every column; `include.sources.Reading.missing` has those of one column.
    """

    path: Path
    time: EventTime
    separator: str = ","
    encoding: str = "utf-8"
    decimal: str = "."
    nulls: tuple[str, ...] = NULLS
    escape: str = ""

    @property
    def dialect(self) -> Dialect:
        """How the file is written."""
        return Dialect(self.separator, self.encoding, self.escape)

    def between(self, first: date, last: date, connections: Mapping[str, str]) -> pa.Table:
        """The rows of these local days, both included."""
        return self.cache().between(first, last)

    def by_day(self, first: date, last: date, connections: Mapping[str, str]) -> Iterator[tuple[date, pa.Table]]:
        """Each of these local days (both included) with its rows, in the order of days."""
        return self.cache().by_day(first, last)

    def counts(self, connections: Mapping[str, str]) -> dict[date, int]:
        """The number of rows of each local day that has any."""
        return self.cache().counts()

    def without_time(self, connections: Mapping[str, str]) -> int:
        """The number of rows whose time is missing or cannot be read. They belong to no day."""
        return self.cache().without_time()

    def cache(self) -> DailyCache:
        """The cache of the file by day; built if the file is new or has changed.

        Raises
        ------
        ConfigurationError : the file is missing, or has no column with the time's name.
        DataError : a line has another number of fields than the header, or a text does not follow the encoding.
        """
        if not self.path.is_file():
            raise ConfigurationError(f"there is no file {self.path}{_nearest_file(self.path)}")
        options = "\0".join([self.separator, self.encoding, str(self.nulls), *([self.escape] if self.escape else [])])
        try:
            return open_cache(self.path, options, self.time, self._batches)
        except PerennialError:
            raise
        except (pa.ArrowInvalid, UnicodeError, LookupError, ValueError) as problem:
            raise DataError(f"{self.path} cannot be read: {self._reason(problem)}") from problem

    def _reason(self, problem: Exception) -> str:
        if not isinstance(problem, UnicodeError) and "invalid UTF8" not in str(problem):
            return str(problem).splitlines()[0]
        found = undecodable(self.path, self.encoding)
        lines = "1 line does not follow" if found.lines == 1 else f"{found.lines:,} lines do not follow"
        return (
            f"{lines} the encoding {self.encoding} ({found}). Correct them, or read such "
            f"bytes as \N{REPLACEMENT CHARACTER}: encoding={codec_of(self.encoding)[0] + ':replace'!r}"
        )

    def header(self) -> list[str]:
        """Names of the columns; duplicates get a number: ``price``, ``price (2)``."""
        return header(self.path, self.dialect)

    def rows_with(self, wanted: Mapping[str, Collection[str]]) -> dict[str, list[tuple[int, str]]]:
        """Where these texts stand, by column: number of the row (the header is row 1) and text, the first three."""
        found: dict[str, list[tuple[int, str]]] = {name: [] for name in wanted}
        before = 2
        for batch in self._batches():
            for name, texts in wanted.items():
                if len(found[name]) < EXAMPLES:
                    column = batch.column(name)
                    stripped = pc.utf8_trim_whitespace(column)
                    for row in np.flatnonzero(pc.is_in(stripped, pa.array(list(texts), pa.string())))[:EXAMPLES]:
                        found[name].append((before + int(row), column[int(row)].as_py()))
            before += batch.num_rows
            if all(len(places) >= EXAMPLES for places in found.values()):
                break
        return {name: places[:EXAMPLES] for name, places in found.items()}

    def _batches(self) -> Iterator[pa.RecordBatch]:
        names = self.header()
        if self.time.column not in names:
            raise ConfigurationError(
                f"{self.path} has no column {self.time.column!r}{did_you_mean(self.time.column, names)}"
            )
        last = None
        with records(self.path, self.dialect, names, self.nulls, BLOCK) as (reader, stream):
            for batch in reader:
                last = batch if batch.num_rows else last
                yield batch
            require_closed(self.path, stream, last)


def _nearest_file(path: Path) -> str:
    there = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    return did_you_mean(path.name, there) if 0 < len(there) <= 200 else ""
