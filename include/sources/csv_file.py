"""A CSV file, plain or compressed, as a source of days."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pcsv

from include.errors import ConfigurationError, DataError
from include.sources.daily_cache import DailyCache, open_cache
from include.sources.times import EventTime
from include.spelling import did_you_mean

COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".xz": "xz"}
NULLS = ("", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None", "#N/A", "?", "-")
BLOCK = 1 << 24  # bytes that are parsed at once


@dataclass(frozen=True)
class CsvFile:
    """Rows of a CSV file with a header, every value as text (`include.sources.days` gives the declared types).

    Parameters
    ----------
    path : plain, or compressed: .gz, .zst, .bz2, .xz.
    time : the column that determines a row's day.
    nulls : texts that stand for a missing value.
    """

    path: Path
    time: EventTime
    separator: str = ","
    encoding: str = "utf-8"
    decimal: str = "."
    nulls: tuple[str, ...] = NULLS

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
        options = f"{self.separator}\0{self.encoding}\0{self.nulls}"
        try:
            return open_cache(self.path, options, self.time, self._batches)
        except (pa.ArrowInvalid, UnicodeError, ValueError) as problem:
            raise DataError(f"{self.path} cannot be read: {str(problem).splitlines()[0]}") from problem

    def header(self) -> list[str]:
        """Names of the columns; duplicates get a number: ``price``, ``price (2)``."""
        return header(self.path, self.separator, self.encoding)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        names = self.header()
        if self.time.column not in names:
            raise ConfigurationError(
                f"{self.path} has no column {self.time.column!r}{did_you_mean(self.time.column, names)}"
            )
        with open_input(self.path) as file:
            reader = pcsv.open_csv(
                file,
                read_options=pcsv.ReadOptions(
                    column_names=names, skip_rows=1, encoding=self.encoding.removesuffix("-sig"), block_size=BLOCK
                ),
                parse_options=pcsv.ParseOptions(delimiter=self.separator, newlines_in_values=True),
                convert_options=pcsv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()),
                    null_values=list(self.nulls),
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=True,
                ),
            )
            yield from reader


def open_input(path: Path) -> pa.NativeFile:
    """The file's bytes, decompressed by the ending of its name."""
    if path.suffix == ".xz":  # Arrow does not know it
        import lzma

        return pa.PythonFile(lzma.open(path), mode="r")
    return pa.input_stream(str(path), compression=COMPRESSIONS.get(path.suffix))


def header(path: Path, separator: str, encoding: str) -> list[str]:
    """The first line of a CSV file as distinct names."""
    with open_input(path) as file:
        text = io.TextIOWrapper(io.BufferedReader(file), encoding=with_mark(encoding), newline="")
        first = next(csv.reader(text, delimiter=separator), [])
    names: list[str] = []
    for position, cell in enumerate(first):
        name = cell.strip() or f"column {position + 1}"
        number = 2
        while name in names:
            name = f"{cell.strip() or f'column {position + 1}'} ({number})"
            number += 1
        names.append(name)
    return names


def with_mark(encoding: str) -> str:
    """The encoding that skips a byte order mark."""
    return "utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding


def _nearest_file(path: Path) -> str:
    there = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    return did_you_mean(path.name, there) if 0 < len(there) <= 200 else ""
