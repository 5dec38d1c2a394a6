"""How texts are written: times, numbers, separators and encodings, inferred from what a file holds."""

from __future__ import annotations

import codecs
import csv
import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from include.errors import ConfigurationError
from include.sources import times
from include.sources.csv_file import open_input

SEPARATORS = (",", ";", "\t", "|")
DATES = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d-%m-%Y", "%m-%d-%Y", "%d.%m.%y", "%d %b %Y", "%b %d, %Y")
CLOCKS = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p")
OFFSET = re.compile(r"(?:Z|[+-]\d{2}:?\d{2})$")
# Pandas writes whole numbers as 3.0 if values are missing.
WHOLE = {".": re.compile(r"^[+-]?(?:0|[1-9]\d{0,17})(?:\.0)?$"), ",": re.compile(r"^[+-]?(?:0|[1-9]\d{0,17})(?:,0)?$")}
DECIMAL = {
    ".": re.compile(r"^[+-]?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$"),
    ",": re.compile(r"^[+-]?(?:(?:0|[1-9]\d*|[1-9]\d{0,2}(?:\.\d{3})+)(?:,\d*)?|,\d+)(?:[eE][+-]?\d+)?$"),
}
DIGITS = {8: "%Y%m%d", 10: "epoch_s", 13: "epoch_ms"}


def encoding_of(path: Path) -> str:
    """utf-8, utf-16 by its mark, else cp1252; reads to the end, because the first umlaut can come late."""
    with open_input(path) as file:
        head = file.read(4)
        if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            decoder.decode(head)
            while block := file.read(1 << 22):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "cp1252"
    return "utf-8"


def separator_of(path: Path, encoding: str) -> str:
    """The separator that gives the header and the first lines the same, largest number of fields.

    Raises
    ------
    ConfigurationError : the file is empty, or no separator fits.
    """
    with open_input(path) as file:
        start = io.TextIOWrapper(io.BufferedReader(file), encoding=encoding, errors="replace", newline="").read(1 << 18)
    # Only at \n, \r and \r\n, as csv does: str.splitlines() would tear a text that holds any other separator of lines.
    lines = io.StringIO(start, newline="").readlines()[: 200 if start.count("\n") > 200 else None]
    if len(start) == 1 << 18 and len(lines) > 2:
        lines = lines[:-1]
    if len(lines) < 2:
        raise ConfigurationError(f"{path} has no rows below a header")
    best = (0, "")
    for separator in SEPARATORS:
        counts = [len(row) for row in csv.reader(lines, delimiter=separator) if row]
        agree = sum(count == counts[0] for count in counts) / len(counts)
        if counts[0] > 1 and agree >= 0.9:
            best = max(best, (counts[0], separator), key=lambda pair: pair[0])
    if not best[1]:
        raise ConfigurationError(
            f"{path} cannot be read as a table: its lines do not have the same number of fields for any of the "
            f"separators {', '.join(map(repr, SEPARATORS))}. A CSV file needs a header and one row a line."
        )
    return best[1]


def time_format(values: pa.Array, share: float = 1.0) -> str | None:
    """How these texts or numbers write times, as `include.sources.EventTime` names it; ``None`` if they are not times.

    If two patterns fit (03/04/2024), the one is taken by which the values are closer to being in order; if
    that does not decide, `ConfigurationError` asks for the pattern.
    """
    kind = values.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return times.TYPED
    texts = values.drop_null()
    if not len(texts):
        return None
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return _epoch(texts.cast(pa.float64()).to_numpy())
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return None
    sample = pd.Series(texts.slice(0, 200_000).to_pylist(), dtype="str").str.strip()
    first = sample.iloc[0]
    if first.isdigit():
        return _of_digits(sample, share)
    if not re.search(r"\d", first) or len(first) > 40:
        return None
    if _fits(sample.head(50), "ISO8601", 0.5 * share):
        with_offset = sample.str.contains(OFFSET).mean() > 0.5 and sample.str.contains(":").mean() > 0.5
        return (times.ISO_OFFSET if with_offset else times.ISO) if _fits(sample, "ISO8601", share) else None
    fitting = [
        date + clock
        for date in DATES
        for clock in CLOCKS
        if _fits(sample.head(50), date + clock, 0.5 * share) and _fits(sample, date + clock, share)
    ]
    return _steadiest(sample, fitting) if fitting else None


def decimal_of(columns: dict[str, pd.Series], separator: str) -> str:
    """``,`` if whole columns are numbers only with a decimal comma, else a point."""
    if separator == ",":
        return "."
    for texts in columns.values():
        known = texts.dropna().unique()
        if len(known) and any("," in t for t in known) and all(DECIMAL[","].match(t.strip()) for t in known):
            return ","
    return "."


def looks_like_data(header: list[str]) -> bool:
    """Whether the first line of a file holds values instead of names."""
    return sum(bool(DECIMAL["."].match(cell)) for cell in header) > len(header) / 2


def _epoch(numbers: np.ndarray) -> str | None:
    middle = float(np.median(np.abs(numbers)))
    if 3e8 < middle < 5e9:
        return "epoch_s"
    return "epoch_ms" if 3e11 < middle < 5e12 else None


def _of_digits(sample: pd.Series, share: float) -> str | None:
    lengths = sample.str.len()
    length = int(lengths.mode().iloc[0])
    if (lengths == length).mean() < share or length not in DIGITS:
        return None
    found = DIGITS[length]
    return found if found.startswith("epoch") or _fits(sample, found, share) else None


def _fits(sample: pd.Series, format: str, share: float) -> bool:
    parsed = pd.to_datetime(sample, format=format, errors="coerce", utc=True)
    return bool(parsed.notna().mean() >= share)


def _steadiest(sample: pd.Series, formats: list[str]) -> str:
    if len(formats) == 1:
        return formats[0]
    backward = {f: int((np.diff(pd.to_datetime(sample, format=f).to_numpy()).astype(int) < 0).sum()) for f in formats}
    order = sorted(formats, key=lambda f: backward[f])
    if backward[order[0]] == backward[order[1]]:
        raise ConfigurationError(
            f"{sample.iloc[0]!r} can be read in several ways ({', '.join(order)}), and the order of the rows does not "
            f"tell which: say it, e.g. TIME_FORMAT='{order[0]}'."
        )
    return order[0]
