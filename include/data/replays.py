"""The table `replays` of a model: the scores of a closed day by the version that served when the day began.

A partition is a day of ``event_time``, as in ``rows``, and is replaced whole in one commit: a day that is replayed
again, because its rows were corrected, ends in the same table. With replays a model is monitored from its first day
and without traffic; predictions that a server made take precedence (`include.data.counted`).
"""

from __future__ import annotations

from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, write_deltalake

from include.data.schema import ARROW
from include.spec import ColumnType

NAME = "replays"
TEXT, INSTANT = ARROW[ColumnType.STRING], ARROW[ColumnType.TIMESTAMP]
COLUMNS = pa.schema(
    [
        ("partition", TEXT),
        ("key", TEXT),
        ("event_time", INSTANT),
        ("version", pa.int64()),
        ("digest", TEXT),
        ("score", pa.float64()),
        ("scores", TEXT),
        ("early", pa.bool_()),
        ("fitted", pa.bool_()),
        ("batch", TEXT),
    ]
)
"""``key``, ``version``, ``digest``, ``score`` and ``scores`` as in ``predictions``; both scores are null for a row that
the version cannot score. ``early``: nothing served when the day began, and this is the first champion. ``fitted``: the
version was fitted on the day, so its scores do not show how good it is. ``batch``: the digest of the rows."""
STATISTICS = "version"


class Tables(Protocol):
    """The required part of a `Lake`."""

    def table(self, name: str) -> DeltaTable: ...
    def committing(self, name: str, attempt: Any) -> Any: ...


def write(lake: Tables, key: str, rows: pa.Table) -> int:
    """Replace the replays of a day by these rows, of the schema `COLUMNS`; returns the version of the table.

    Raises
    ------
    TransientError : other processes kept committing to the same day.
    """

    def attempt(table: DeltaTable) -> int:
        write_deltalake(table, rows, mode="overwrite", predicate=f"partition = '{key}'")
        return int(table.version())

    return int(lake.committing(NAME, attempt))


def read(lake: Tables, first: str, last: str) -> pa.Table:
    """The replays of the days between two partition keys, both included; only the files of these days are opened."""
    dataset = lake.table(NAME).to_pyarrow_dataset(
        as_large_types=True, file_pruning_predicate=[("partition", ">=", first), ("partition", "<=", last)]
    )
    days = (pc.field("partition") >= first) & (pc.field("partition") <= last)
    return dataset.to_table(columns=COLUMNS.names, filter=days).cast(COLUMNS)
