"""The separator of a CSV file and how quotes are escaped: the reading in which most records have as many fields."""

from __future__ import annotations

import re
from pathlib import Path

from include.errors import ConfigurationError
from include.sources.csv_text import HEAD, Dialect, Utf8, open_input, shape

SEPARATORS = (",", ";", "\t", "|")
AGREE = 0.9  # of the records have as many fields as the header


def dialect_of(path: Path, encoding: str) -> Dialect:
    """The dialect of a file, from its first records, read as they are read later.

    Raises
    ------
    ConfigurationError : the file has no rows below a header, or no separator fits.
    """
    usual, marked = _head(path, Dialect(encoding=encoding))
    # A backslash in front of a quote that ends no cell.
    escaped = re.search(rb'[^\\](?:\\\\)*\\"(?!\s*(?:[,;|"]|$))', usual) is not None
    found = []
    for escape in ("", "\\"):
        if escape and b'\\"' not in usual:
            continue
        data = _head(path, Dialect(encoding=encoding, escape=escape))[0] if escape else usual
        for position, separator in enumerate([marked] if marked else SEPARATORS):
            fields, records, ragged = shape(data, separator)
            if fields > 1 and ragged <= (1 - AGREE) * records:
                evidence = bool(escape) == escaped
                found.append(((fields, -ragged, evidence, -position), records, Dialect(separator, encoding, escape)))
    if not found:
        if len([line for line in usual.splitlines() if line.strip()]) < 2:
            raise ConfigurationError(f"{path} has no rows below a header")
        raise ConfigurationError(
            f"{path} cannot be read as a table: its records do not have the same number of fields for any of the "
            f"separators {', '.join(map(repr, [marked] if marked else SEPARATORS))}. A CSV file needs a header, and "
            "then one record for each row."
        )
    _, records, dialect = max(found, key=lambda entry: entry[0])
    if records < 2:
        raise ConfigurationError(f"{path} has no rows below a header")
    return dialect


def _head(path: Path, dialect: Dialect) -> tuple[bytes, str | None]:
    """The first whole lines as UTF-8, and the separator that the file itself names."""
    with open_input(path) as file:
        stream = Utf8(file, dialect)
        data = stream.read(HEAD)
        if len(data) == HEAD:
            data = data[: max(data.rfind(b"\n"), data.rfind(b"\r")) + 1] or data
        return data, stream.marked
