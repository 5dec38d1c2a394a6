"""The table `predictions`, and loading the model servers' spools into it, each segment exactly once.

A row's partition is the day on which the server answered (``predicted_at``) in the model's timezone: at most a few
days for a segment, whatever event times a client sends. ``event_time`` has statistics in the log, so that files can
still be skipped by it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from include import files
from include.data.schema import ARROW
from include.errors import IntegrityError
from include.scoring.record import Line, decode, segment_name
from include.spec import ColumnType, Model

log = logging.getLogger(__name__)

TEXT, INSTANT = ARROW[ColumnType.STRING], ARROW[ColumnType.TIMESTAMP]
COLUMNS = pa.schema(
    [
        ("partition", TEXT),
        ("request_id", TEXT),
        ("row", pa.int64()),
        ("key", TEXT),
        ("event_time", INSTANT),
        ("version", pa.int64()),
        ("digest", TEXT),
        ("features", TEXT),
        ("score", pa.float64()),
        ("scores", TEXT),
        ("predicted_at", INSTANT),
        ("_segment", TEXT),
    ]
)
LAYOUT = Transaction("perennial/predictions", 2)
"""Marks a table whose partitions are days of prediction. In older tables, without the mark, they are days of events."""


class Tables(Protocol):
    """The required part of a `Lake`: its model, and commits that are retried if they conflict."""

    model: Model

    def append(
        self, name: str, data: pa.Table, properties: CommitProperties, done: Callable[[DeltaTable], bool]
    ) -> bool: ...
    def committing(self, name: str, attempt: Callable[[DeltaTable], Any]) -> Any: ...


@dataclass(frozen=True)
class Loaded:
    """The result of one segment: rows that were added to the table, and lines that cannot be loaded."""

    rows: int
    rejected: int = 0
    kept: Path | None = None
    """The file with the rejected lines and the reason of each, next to the segment."""
    reason: str = ""
    """Why the first of them was rejected."""


@dataclass(frozen=True)
class _Rejected:
    line: int
    reason: str
    text: bytes


def load(lake: Tables, segment: Path, app_id: str, number: int) -> Loaded:
    """Append one closed segment; no rows are added if it was loaded before.

    The commit that adds the rows also records ``app_id`` and ``number`` (a Delta application transaction), so that a
    crash between the commit and the removal of the file, or two loaders at once, cannot double a row. Numbers of one
    ``app_id`` must come in ascending order. A line that cannot be loaded is kept with the reason in the folder
    ``rejected`` next to the segment, and does not block the others.
    """
    try:
        lines = segment.read_bytes().split(b"\n")  # only at "\n", because texts can contain every other line separator
    except FileNotFoundError:
        raise IntegrityError(f"the spool segment {segment} is gone: it was removed before it was loaded") from None
    data, rejected = _table(lines, ZoneInfo(lake.model.timezone), f"{app_id}/{number}")
    loaded = Loaded(0)
    if rejected:
        kept = segment.parent / "rejected" / segment_name(number)
        files.write(kept, b"".join(_as_line(one) for one in rejected))
        loaded = Loaded(0, len(rejected), kept, f"line {rejected[0].line}: {rejected[0].reason}")
        log.error(
            "%d of %d lines of the spool segment %s cannot be loaded (%s); they are kept in %s.",
            len(rejected),
            len(rejected) + data.num_rows,
            segment,
            loaded.reason,
            kept,
        )
    if not data.num_rows:
        return loaded
    appended = lake.append(
        "predictions",
        data,
        CommitProperties(app_transactions=[Transaction(app_id, number)]),
        done=lambda table: _loaded(table, app_id) >= number,
    )
    return replace(loaded, rows=data.num_rows) if appended else loaded


def migrate(lake: Tables) -> None:
    """Rewrite a table whose partitions are days of events, once, in one commit; a no-op for any other table.

    The commit carries `LAYOUT`. A process that is killed before the commit leaves the table unchanged. If two processes
    migrate at once, the second one conflicts and finds the mark. Rows that are loaded meanwhile are kept.
    """
    zone = lake.model.timezone

    def attempt(table: DeltaTable) -> int | None:
        if _loaded(table, LAYOUT.app_id) >= LAYOUT.version:
            return None
        batches = table.to_pyarrow_dataset().to_batches(columns=COLUMNS.names)
        moved = pa.RecordBatchReader.from_batches(COLUMNS, (_by_day_of_prediction(batch, zone) for batch in batches))
        write_deltalake(table, moved, mode="overwrite", commit_properties=CommitProperties(app_transactions=[LAYOUT]))
        return int(table.version())

    version = lake.committing("predictions", attempt)
    if version is not None:
        log.info(
            "The table predictions of %s was rewritten: a partition is now a day of predictions (version %d).",
            lake.model.name,
            version,
        )


def _by_day_of_prediction(batch: pa.RecordBatch, timezone: str) -> pa.RecordBatch:
    moments = batch.column("predicted_at").to_pandas()
    days = pa.array(moments.dt.tz_convert(timezone).dt.strftime("%Y-%m-%d"), TEXT)
    columns = [
        days if name == "partition" else batch.column(name).cast(COLUMNS.field(name).type) for name in COLUMNS.names
    ]
    return pa.RecordBatch.from_arrays(columns, schema=COLUMNS)


def _table(lines: list[bytes], zone: ZoneInfo, segment: str) -> tuple[pa.Table, list[_Rejected]]:
    """The lines as rows of the table, and the lines that cannot be converted."""
    rows: list[dict[str, object]] = []
    numbers: list[int] = []
    rejected: list[_Rejected] = []
    for at, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            rows.append(_row(decode(line), zone, segment))
            numbers.append(at)
        except (ValueError, OverflowError, RecursionError) as error:
            rejected.append(_Rejected(at, f"{type(error).__name__}: {error}", line))
    try:
        return pa.Table.from_pylist(rows, schema=COLUMNS), rejected
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        pass  # a value does not fit into its column, such as a version of 30 digits: find it below
    good: list[pa.Table] = []
    for at, row in zip(numbers, rows, strict=True):
        try:
            good.append(pa.Table.from_pylist([row], schema=COLUMNS))
        except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
            rejected.append(_Rejected(at, f"{type(error).__name__}: {error}", lines[at - 1]))
    rejected.sort(key=lambda one: one.line)
    return pa.concat_tables([COLUMNS.empty_table(), *good]), rejected


def _as_line(rejected: _Rejected) -> bytes:
    """One JSON line. Bytes that are not UTF-8 become lone surrogates, from which they can be restored."""
    text = rejected.text.decode(errors="surrogateescape")
    return json.dumps({"line": rejected.line, "reason": rejected.reason, "text": text}).encode() + b"\n"


def _loaded(table: DeltaTable, app_id: str) -> int:
    """The number of the last segment of ``app_id`` in the table; -1 if there is none."""
    version = table.transaction_version(app_id)
    return -1 if version is None else int(version)


def _row(line: Line, zone: ZoneInfo, segment: str) -> dict[str, object]:
    """A row of the table; ValueError or OverflowError if a time of the line is invalid."""
    predicted_at = _instant(line.predicted_at)
    return {
        "partition": predicted_at.astimezone(zone).date().isoformat(),
        "request_id": line.request_id,
        "row": line.row,
        "key": json.dumps(line.key, sort_keys=True),
        "event_time": _instant(line.event_time),
        "version": line.version,
        "digest": line.digest,
        "features": json.dumps(line.features, sort_keys=True),
        "score": line.score,
        "scores": None if line.scores is None else json.dumps(line.scores, sort_keys=True),
        "predicted_at": predicted_at,
        "_segment": segment,
    }


def _instant(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no timezone")
    return moment.astimezone(UTC)
