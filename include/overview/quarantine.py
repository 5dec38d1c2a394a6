"""Rows in quarantine, a page at a time: which rows, which expectations they failed, and with which values.

Read from the table itself and not through the model's folder, so that a broken folder does not hide its data.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from include.errors import TransientError
from include.settings import Settings

if TYPE_CHECKING:
    import pyarrow.dataset as ds
    from deltalake import DeltaTable

PAGE = 50
MOST_COUNTED = 100_000
"""Rows of a day in which the failed expectations are counted; more would keep the reader waiting."""
LONGEST_VALUE = 200


@dataclass(frozen=True)
class Value:
    """A column and its value, as a short text; ``missing`` tells a missing value from an empty text."""

    column: str
    text: str
    missing: bool = False


@dataclass(frozen=True)
class BadRow:
    """A row in quarantine.

    Attributes
    ----------
    expectations : every expectation that it failed.
    failed : the values of the columns that these expectations are about; empty if they are about the whole row.
    """

    key: tuple[Value, ...]
    expectations: tuple[str, ...]
    failed: tuple[Value, ...]
    row: tuple[Value, ...]


@dataclass(frozen=True)
class FailedExpectation:
    """An expectation, and how many rows of the day failed it."""

    sentence: str
    rows: int


@dataclass(frozen=True)
class BadDay:
    """A day with rows in quarantine."""

    key: str
    rows: int


@dataclass(frozen=True)
class Quarantine:
    """One page of the rows of a day.

    Attributes
    ----------
    days : all days with rows in quarantine, newest first. ``day`` : the one that is shown; ``None`` if there is none.
    batch : the digest of the day's batch, which names its validation result.
    expectations : the failed ones of the day, most rows first; ``counted`` : rows in which they were counted.
    chosen : the expectation that the rows are limited to; "" for all rows.
    total : rows that match. ``page`` : from 1 to ``pages``.
    """

    days: tuple[BadDay, ...]
    day: str | None
    batch: str | None = None
    expectations: tuple[FailedExpectation, ...] = ()
    counted: int = 0
    chosen: str = ""
    rows: tuple[BadRow, ...] = ()
    total: int = 0
    page: int = 1
    pages: int = 1


def browse(model: str, day: str | None = None, expectation: str = "", page: int = 1) -> Quarantine:
    """The rows of a day in quarantine, of the newest such day by default.

    Parameters
    ----------
    expectation : the sentence of one expectation; only rows that failed it are shown.
    page : a number that is too large means the last page.

    Raises
    ------
    TransientError : the table cannot be read.
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    path = str(Settings.from_environment().lake / model / "quarantine")
    try:
        if not DeltaTable.is_deltatable(path):
            return Quarantine((), day)
        return _browse(DeltaTable(path), day, expectation, max(page, 1))
    except (DeltaError, OSError) as error:
        raise TransientError(f"the quarantine of {model} cannot be read from {path}: {error}") from error


def _browse(table: DeltaTable, day: str | None, expectation: str, page: int) -> Quarantine:
    import pyarrow.dataset as ds

    days = _days(table)
    chosen_day = day or (days[0].key if days else None)
    held = next((one.rows for one in days if one.key == chosen_day), 0)
    if chosen_day is None or not held:
        return Quarantine(days, chosen_day)
    rows = table.to_pyarrow_dataset().filter(ds.field("partition") == chosen_day)
    expectations, counted = _expectations(rows)
    total = _matching(rows, expectation) if expectation else held
    pages = max(1, -(-total // PAGE))
    page = min(page, pages)
    found = list(_rows(rows, expectation, (page - 1) * PAGE))
    return Quarantine(
        days=days,
        day=chosen_day,
        batch=found[0]["_batch"] if found else None,
        expectations=expectations,
        counted=counted,
        chosen=expectation,
        rows=tuple(map(_bad_row, found)),
        total=total,
        page=page,
        pages=pages,
    )


def _days(table: DeltaTable) -> tuple[BadDay, ...]:
    """Counted from the table's log, without reading a row."""
    import pyarrow as pa

    found: Counter[str] = Counter()
    for action in pa.table(table.get_add_actions(flatten=True)).to_pylist():
        found[action["partition.partition"]] += action["num_records"]
    return tuple(BadDay(key, found[key]) for key in sorted(found, reverse=True) if found[key])


def _expectations(rows: ds.Dataset) -> tuple[tuple[FailedExpectation, ...], int]:
    found: Counter[str] = Counter()
    counted = 0
    for batch in rows.to_batches(columns=["_expectation"]):
        for sentences in batch.column(0).to_pylist():
            found.update(_split(sentences))
            counted += 1
            if counted == MOST_COUNTED:
                break
        if counted == MOST_COUNTED:
            break
    return tuple(FailedExpectation(sentence, number) for sentence, number in found.most_common()), counted


def _matching(rows: ds.Dataset, expectation: str) -> int:
    batches = rows.to_batches(columns=["_expectation"])
    return sum(expectation in _split(sentences) for batch in batches for sentences in batch.column(0).to_pylist())


def _rows(rows: ds.Dataset, expectation: str, skipped: int) -> Iterator[dict[str, Any]]:
    """The rows of a page, in the order of the table's files."""
    columns, left = ["_batch", "_expectation", "_column", "_key", "_row"], PAGE
    for batch in rows.to_batches(columns=columns):
        if expectation:
            kept = [n for n, texts in enumerate(batch.column(1).to_pylist()) if expectation in _split(texts)]
            batch = batch.take(kept)
        if skipped >= batch.num_rows:
            skipped -= batch.num_rows
            continue
        part = batch.slice(skipped, left)
        skipped, left = 0, left - part.num_rows
        yield from part.to_pylist()
        if not left:
            return


def _split(sentences: str) -> list[str]:
    """The sentences of `include.data.quality`, which joins them."""
    return sentences.split("; ")


def _bad_row(row: dict[str, Any]) -> BadRow:
    values = _values(row["_row"])
    about = {name for name in row["_column"].split(", ") if name}
    return BadRow(
        key=_values(row["_key"]),
        expectations=tuple(_split(row["_expectation"])),
        failed=tuple(value for value in values if value.column in about),
        row=values,
    )


def _values(document: str) -> tuple[Value, ...]:
    try:
        found = json.loads(document)
    except ValueError:
        found = None
    if not isinstance(found, dict):  # written by an older version or by other code: show it as it is
        return (Value("", _short(document)),)
    return tuple(Value(str(name), _short(_text(value)), value is None) for name, value in found.items())


def _text(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value, default=str)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"
