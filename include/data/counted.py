"""The predictions that count: one for each event of a range of days.

An event is a key on a local day of ``event_time``, as in the table ``rows``, in which a key occurs once a day. All of
its predictions are kept in the table `predictions`; the one that counts is the last one that was made before the event
or at its time. If all were made after it, the first of them counts: it knew least of what came later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.data.lake import Lake
from include.data.schema import ARROW
from include.partitions import Partition, partition, partitions_between
from include.spec import ColumnType

TEXT, INSTANT = ARROW[ColumnType.STRING], ARROW[ColumnType.TIMESTAMP]
READ = ("key", "event_time", "version", "score", "scores", "predicted_at", "request_id", "row")
COLUMNS = pa.schema(
    [
        ("partition", TEXT),
        ("key", TEXT),
        ("event_time", INSTANT),
        ("version", pa.int64()),
        ("score", pa.float64()),
        ("scores", TEXT),
        ("predicted_at", INSTANT),
        ("request_id", TEXT),
        ("row", pa.int64()),
        ("late", pa.bool_()),
        ("predictions", pa.int64()),
    ]
)
"""``partition`` is the local day of the event, as in ``rows``; ``late`` whether the prediction was made after the
event; ``predictions`` how many were made of this event. With ``features=True`` also ``features``, a JSON text."""
FEATURES = pa.field("features", TEXT)
BATCH_ROWS = 32_768
FOLD_ROWS = 200_000
"""Rows that are read before those that do not count are dropped: the memory for a day is bounded by its events."""


@dataclass(frozen=True)
class Counted:
    """The predictions that count, in a table of the schema `COLUMNS`, by partition and key."""

    rows: pa.Table

    @cached_property
    def predictions(self) -> int:
        """All predictions of these events."""
        return int(pc.sum(self.rows.column("predictions")).as_py() or 0)

    @property
    def duplicates(self) -> int:
        """Predictions that do not count, because another one of the same event does."""
        return self.predictions - self.rows.num_rows

    @cached_property
    def late(self) -> int:
        """Events of which every prediction was made after the event."""
        return int(pc.sum(self.rows.column("late")).as_py() or 0)


def read(lake: Lake, first: str, last: str, *, features: bool = False) -> Counted:
    """The predictions that count for the events of the days between two partition keys, both included."""
    found = [of_day.rows for _, of_day in days(lake, first, last, features=features)]
    return Counted(pa.concat_tables([_columns(features).empty_table(), *found]))


def numbers(lake: Lake, first: str, last: str) -> dict[str, int]:
    """How many predictions there are of the events of each day between two partition keys, both included; days without
    any are left out.

    A file whose events are all of one day is not opened: the table's log has their number. Of the others only the times
    of events are read.
    """
    zone, found = lake.model.timezone, Counter[str]()
    table, mixed = lake.table("predictions"), set[str]()
    begin, end = _utc(partition(first, zone).start), _utc(partition(last, zone).end)
    wanted = [("event_time", ">=", begin), ("event_time", "<", end)]
    for action in pa.table(table.get_add_actions(flatten=True)).to_pylist():
        low, high = (_day(action[f"{which}.event_time"], zone) for which in ("min", "max"))
        if low == high:
            found[low] += action["num_records"]
        elif low <= last and first <= high:
            mixed.add(action["path"])
    if mixed:
        dataset = table.to_pyarrow_dataset(as_large_types=True, file_pruning_predicate=wanted)
        for fragment in dataset.get_fragments():
            if fragment.path in mixed:
                times = fragment.to_table(columns=["event_time"]).column("event_time")
                local = pc.strftime(times.cast(pa.timestamp("us", zone)), "%Y-%m-%d")
                found.update({one["values"]: one["counts"] for one in pc.value_counts(local).to_pylist()})
    return {key: rows for key, rows in sorted(found.items()) if first <= key <= last}


def _day(moment: datetime, zone: str) -> str:
    """The local day of a moment."""
    return moment.astimezone(ZoneInfo(zone)).date().isoformat()


def days(lake: Lake, first: str, last: str, *, features: bool = False) -> Iterator[tuple[Partition, Counted]]:
    """The same, one day after the other, so that memory does not grow with the number of days.

    Only files that can have events of the days are opened: the table's log has the first and the last ``event_time`` of
    each. Their partitions are no guide, because an event can be predicted on any day. The table must be of the newest
    layout (`Lake.create`).

    Parameters
    ----------
    features : whether the raw inputs are read as well, which takes most of the memory.
    """
    zone = lake.model.timezone
    begin, end = partition(first, zone), partition(last, zone)
    dataset = lake.table("predictions").to_pyarrow_dataset(
        as_large_types=True,
        file_pruning_predicate=[("event_time", ">=", _utc(begin.start)), ("event_time", "<", _utc(end.end))],
    )
    for day in partitions_between(begin, end, zone):
        yield day, Counted(_of_day(dataset, day, features))


def _of_day(dataset: Any, day: Partition, features: bool) -> pa.Table:
    """The predictions that count for the events of one day."""
    time = pc.field("event_time")
    inside = (time >= pa.scalar(day.start, INSTANT)) & (time < pa.scalar(day.end, INSTANT))
    batches = dataset.to_batches(
        columns=[*READ, *([FEATURES.name] if features else ())],
        filter=inside,
        batch_size=BATCH_ROWS,
        batch_readahead=1,
        fragment_readahead=1,
    )
    wanted = _columns(features)
    best, waiting = wanted.empty_table(), []
    rows = 0
    for batch in batches:
        if batch.num_rows:
            waiting.append(_with_marks(batch, day.key).select(wanted.names).cast(wanted))
            rows += batch.num_rows
        if rows >= FOLD_ROWS:
            best, waiting, rows = _one_of_each([best, *waiting]), [], 0
    return _one_of_each([best, *waiting])


def _with_marks(batch: pa.RecordBatch, key: str) -> pa.Table:
    """The predictions with the partition of their events, whether each is late, and that it is one prediction."""
    found = pa.Table.from_batches([batch])
    late = pc.greater(found.column("predicted_at"), found.column("event_time"))
    found = found.append_column("partition", pa.repeat(pa.scalar(key, TEXT), found.num_rows))
    return found.append_column("late", late).append_column("predictions", pa.repeat(1, found.num_rows))


def _one_of_each(parts: Sequence[pa.Table]) -> pa.Table:
    """Of each key the prediction that counts; ``predictions`` are summed."""
    found = pa.concat_tables(parts)
    if not found.num_rows:
        return found
    moment = found.column("predicted_at").cast(pa.int64())
    # of those in time the last comes first, of the late ones the first; ties are broken by the request and its row
    distance = pc.if_else(found.column("late"), moment, pc.negate(moment))
    ranked = found.select(["key", "late", "request_id", "row"]).append_column("distance", distance)
    order = pc.sort_indices(
        ranked, sort_keys=[(name, "ascending") for name in ("key", "late", "distance", "request_id", "row")]
    )
    found = found.take(order)
    keys = found.column("key").combine_chunks()
    differs = pc.not_equal(keys[1:], keys[:-1]).to_numpy(zero_copy_only=False)
    first = np.flatnonzero(np.concatenate([[True], differs]))
    made = np.add.reduceat(found.column("predictions").to_numpy(), first)
    at = found.schema.get_field_index("predictions")
    return found.take(pa.array(first)).set_column(at, COLUMNS.field("predictions"), pa.array(made, pa.int64()))


def _columns(features: bool) -> pa.Schema:
    return COLUMNS.append(FEATURES) if features else COLUMNS


def _utc(moment: datetime) -> str:
    """As Delta writes a timestamp."""
    return f"{moment:%Y-%m-%d %H:%M:%S.%f}"
