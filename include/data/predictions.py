"""The table `predictions`: its layout, appending segments exactly once, and deleting days that are too old.

A row's partition is the day on which the server answered (``predicted_at``) in the model's timezone: at most a few
days for a segment, whatever event times a client sends. ``event_time`` has statistics in the log, so that files can
still be skipped by it. ``key`` is canonical (`include.scoring.keys`): rows of the lake have the same.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from include.data.keys import of_model
from include.data.schema import ARROW
from include.scoring import keys
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
LAYOUT = Transaction("perennial/predictions", 3)
"""Marks a table in the layout above. Below 3, keys are as clients spelled them; below 2, or without the mark,
partitions are days of events."""


class Tables(Protocol):
    """The required part of a `Lake`: its model, and commits that are retried if they conflict."""

    model: Model

    def committing(self, name: str, attempt: Callable[[DeltaTable], Any]) -> Any: ...


@dataclass(frozen=True)
class Part:
    """The rows of one spool segment, of the schema `COLUMNS`, and the Delta transaction to load them under."""

    app_id: str
    number: int
    rows: pa.Table

    @property
    def name(self) -> str:
        """The value of ``_segment`` of its rows."""
        return segment_id(self.app_id, self.number)


def segment_id(app_id: str, number: int) -> str:
    """The value of ``_segment`` of the rows of a segment."""
    return f"{app_id}/{number}"


def append(lake: Tables, parts: Sequence[Part]) -> int:
    """Append the rows of segments in one commit, each segment exactly once; returns how many rows were added.

    The commit also records the newest number of each ``app_id`` (Delta application transactions), so that neither a
    crash between the commit and the removal of a segment nor two loaders at once can double a row.
    """

    def attempt(table: DeltaTable) -> int:
        last = {part.app_id: _last(table, part.app_id) for part in parts}
        behind = [part for part in parts if part.number <= last[part.app_id]]
        there = _in_table(table, behind)
        fresh = [part for part in parts if part.name not in there]
        rows = pa.concat_tables([COLUMNS.empty_table(), *(part.rows for part in fresh)])
        if not rows.num_rows:
            return 0
        newest: dict[str, int] = {}
        for part in fresh:
            if part.number > last[part.app_id]:
                newest[part.app_id] = max(part.number, newest.get(part.app_id, -1))
            else:  # closed or readable only after a later one was loaded: the number of its server must not go back
                newest[part.name] = 1
        done = [Transaction(app_id, number) for app_id, number in newest.items()]
        write_deltalake(table, rows, mode="append", commit_properties=CommitProperties(app_transactions=done))
        return rows.num_rows

    return int(lake.committing("predictions", attempt))


def expire(lake: Tables, newest: str) -> int:
    """Delete the partitions up to ``newest`` (included) in one commit; returns how many there were."""

    def attempt(table: DeltaTable) -> int:
        old = {values["partition"] for values in table.partitions() if values["partition"] <= newest}
        if old:
            table.delete(f"partition <= '{newest}'")
        return len(old)

    return int(lake.committing("predictions", attempt))


def migrate(lake: Tables) -> None:
    """Rewrite a table of an earlier layout, once, in one commit; a no-op for any other table.

    The commit carries `LAYOUT`. A process that is killed before the commit leaves the table unchanged. If two processes
    migrate at once, the second one conflicts and finds the mark. Rows that are loaded meanwhile are kept.
    """
    model = lake.model

    def attempt(table: DeltaTable) -> int | None:
        if _last(table, LAYOUT.app_id) >= LAYOUT.version:
            return None
        batches = table.to_pyarrow_dataset().to_batches(columns=COLUMNS.names)
        moved = pa.RecordBatchReader.from_batches(COLUMNS, (_migrated(batch, model) for batch in batches))
        write_deltalake(table, moved, mode="overwrite", commit_properties=CommitProperties(app_transactions=[LAYOUT]))
        return int(table.version())

    version = lake.committing("predictions", attempt)
    if version is not None:
        log.info(
            "The table predictions of %s was rewritten: a partition is a day of predictions, and keys are spelled as "
            "in the table rows (version %d).",
            model.name,
            version,
        )


def _migrated(batch: pa.RecordBatch, model: Model) -> pa.RecordBatch:
    moments = batch.column("predicted_at").to_pandas()
    days = pa.array(moments.dt.tz_convert(model.timezone).dt.strftime("%Y-%m-%d"), TEXT)
    key = of_model(model)
    pairs = zip(batch.column("key").to_pylist(), batch.column("features").to_pylist(), strict=True)
    spelled = pa.array([_respelled(key, old, features) for old, features in pairs], TEXT)
    fresh = {"partition": days, "key": spelled}
    columns = [fresh.get(field.name, batch.column(field.name)).cast(field.type) for field in COLUMNS]
    return pa.RecordBatch.from_arrays(columns, schema=COLUMNS)


def _respelled(key: keys.Key, old: str, features: str) -> str:
    """The canonical key; a row that cannot have one keeps its key, which belongs to no row of the lake."""
    try:
        return keys.canonical(key, json.loads(features) | json.loads(old))
    except ValueError:
        return old


def _last(table: DeltaTable, app_id: str) -> int:
    """The number of the last segment of ``app_id`` in the table; -1 if there is none."""
    version = table.transaction_version(app_id)
    return -1 if version is None else int(version)


def _in_table(table: DeltaTable, parts: Sequence[Part]) -> set[str]:
    """The names of those segments that have rows in the table."""
    days = pa.chunked_array([part.rows.column("partition").combine_chunks() for part in parts], TEXT).unique()
    if not len(days):
        return set()
    dataset = table.to_pyarrow_dataset(file_pruning_predicate=[("partition", "in", days.to_pylist())])
    named = pc.field("_segment").isin([part.name for part in parts])
    return set(dataset.to_table(columns=["_segment"], filter=named).column("_segment").to_pylist())
