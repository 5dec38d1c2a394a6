"""A CSV file as UTF-8 records: the one way in which files are examined by `new-model` and read by a model's source."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pcsv

from include.errors import DataError

COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".xz": "xz"}
READ_AT_ONCE = 1 << 22  # bytes
HEAD = 1 << 20  # bytes in which a header is looked for
MARK = b"\xef\xbb\xbf"
SEPARATOR_LINE = re.compile(rb'^"?sep=(.)"?\r?\n', re.IGNORECASE | re.DOTALL)  # what Excel writes above a header
ESCAPED = re.compile(rb'(\\+)"')


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written.

    Parameters
    ----------
    encoding : a codec of Python; ``utf-8:replace`` reads bytes that do not follow it as the sign U+FFFD.
    escape : ``\\`` if a quote inside a quoted cell is written ``\\"`` (Spark, MySQL); empty: ``""``, the usual way.
    """

    separator: str = ","
    encoding: str = "utf-8"
    escape: str = ""


def codec_of(encoding: str) -> tuple[str, str]:
    """The codec and what to do with bytes that do not follow it: ``strict`` or ``replace``."""
    codec, _, errors = encoding.partition(":")
    return codec, errors or "strict"


class Utf8:
    """A file of bytes that are the text of another one as UTF-8, without a byte order mark and a line ``sep=;``.

    Attributes
    ----------
    quotes : how many quotes were read so far.
    marked : the separator of the line ``sep=;``, or None.
    """

    def __init__(self, file: Any, dialect: Dialect) -> None:
        codec, errors = codec_of(dialect.encoding)
        plain = codecs.lookup(codec).name in ("utf-8", "utf-8-sig") and errors == "strict"
        self._decode: Callable[[bytes, bool], str] | None = (
            None if plain else codecs.getincrementaldecoder(codec)(errors).decode
        )
        self._file, self._escape = file, dialect.escape
        self._ready, self._kept = b"", b""
        self._started = self._ended = self.closed = False
        self.quotes, self.marked = 0, None  # type: int, str | None

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes; none at the end. UnicodeDecodeError if the bytes do not follow the encoding."""
        while not self._ended and (size < 0 or len(self._ready) < size):
            self._ready += self._more()
        size = len(self._ready) if size < 0 else size
        found, self._ready = self._ready[:size], self._ready[size:]
        return found

    def close(self) -> None:
        self.closed = True

    def readable(self) -> bool:
        return True

    def _more(self) -> bytes:
        raw = self._file.read(READ_AT_ONCE)
        self._ended = not raw
        found = raw if self._decode is None else self._decode(raw, self._ended).encode("utf-8", "replace")
        if not self._started and (found or self._ended):
            self._started = True
            found = found.removeprefix(MARK)
            if line := SEPARATOR_LINE.match(found):
                self.marked, found = line[1].decode("utf-8", "replace"), found[line.end() :]
            found = found.lstrip(b"\r\n")  # Arrow would take an empty line for the header
        if self._escape:
            found = self._kept + found
            held = b"" if self._ended else found[len(found.rstrip(b"\\")) :]
            self._kept, found = held, found[: len(found) - len(held)]
            found = ESCAPED.sub(_unescaped, found)
        self.quotes += found.count(b'"')
        return found


@contextmanager
def records(
    path: Path,
    dialect: Dialect,
    names: Sequence[str] | None = None,
    nulls: Sequence[str] = ("",),
    block: int = HEAD,
    skip_ragged: bool = False,
) -> Iterator[tuple[pcsv.CSVStreamingReader, Utf8]]:
    """A reader of batches in which every value is text.

    Parameters
    ----------
    names : of the columns, if the first record is the header and is left out; None: it is a row like the others.
    block : bytes that are parsed at once.
    skip_ragged : leave out records with another number of fields than the first one, instead of an ArrowInvalid.
    """
    with open_input(path) as file:
        stream = Utf8(file, dialect)
        yield (
            _reader(stream, dialect.separator, names, nulls, block, (lambda _: "skip") if skip_ragged else None),
            stream,
        )


def shape(data: bytes, separator: str) -> tuple[int, int, int]:
    """Of UTF-8 text: the number of fields of the first record, of records, and of those with another number."""
    ragged: list[int] = []

    def note(row: Any) -> str:
        ragged.append(row.actual_columns)
        return "skip"

    try:
        reader = _reader(io.BytesIO(data), separator, None, ("",), max(len(data), 1 << 10), note)
        rows = sum(batch.num_rows for batch in reader)
    except pa.ArrowInvalid:
        return 0, 0, 0
    return len(reader.schema), rows + len(ragged), len(ragged)


def header(path: Path, dialect: Dialect) -> list[str]:
    """The first record of a CSV file as distinct names: ``price``, ``price (2)``; ``column 3`` for an empty one."""
    with records(path, dialect, skip_ragged=True) as (reader, _):
        batch = next(iter(reader), None)
        first = [column[0].as_py() or "" for column in batch.columns] if batch is not None and batch.num_rows else []
    names: list[str] = []
    for position, cell in enumerate(first):
        wanted = name = cell.strip() or f"column {position + 1}"
        number = 2
        while name in names:
            name, number = f"{wanted} ({number})", number + 1
        names.append(name)
    return names


def require_closed(path: Path, stream: Utf8, last: pa.RecordBatch | None) -> None:
    """DataError if a quote that is never closed has swallowed the rows below it."""
    if last is None or not last.num_rows or stream.quotes % 2 == 0:
        return
    for name, column in zip(last.schema.names, last.columns, strict=True):
        text = column[last.num_rows - 1].as_py()
        if text and "\n" in text:
            raise DataError(
                f"{path} has a quote that is never closed, in the column {name!r}: the {text.count(chr(10)):,} lines "
                f"below it became one cell, which begins with {text[:40]!r}. Close the quote, or write it twice."
            )


def open_input(path: Path) -> pa.NativeFile:
    """The file's bytes, decompressed by the ending of its name."""
    if path.suffix == ".xz":  # Arrow does not know it
        import lzma

        return pa.PythonFile(lzma.open(path), mode="r")
    return pa.input_stream(str(path), compression=COMPRESSIONS.get(path.suffix))


def _reader(
    stream: Any, separator: str, names: Sequence[str] | None, nulls: Sequence[str], block: int, ragged: Any
) -> pcsv.CSVStreamingReader:
    return pcsv.open_csv(
        stream,
        read_options=pcsv.ReadOptions(
            column_names=names and list(names),
            autogenerate_column_names=names is None,
            skip_rows_after_names=0 if names is None else 1,
            block_size=block,
        ),
        parse_options=pcsv.ParseOptions(delimiter=separator, newlines_in_values=True, invalid_row_handler=ragged),
        convert_options=pcsv.ConvertOptions(
            column_types=dict.fromkeys(names or [f"f{n}" for n in range(10_000)], pa.string()),
            null_values=list(nulls),
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
        ),
    )


def _unescaped(found: re.Match[bytes]) -> bytes:
    """``\\"`` as ``""``. Two backslashes before a quote stand for one, and the quote keeps its meaning."""
    pairs, odd = divmod(len(found[1]), 2)
    return b"\\" * pairs + (b'""' if odd else b'"')
