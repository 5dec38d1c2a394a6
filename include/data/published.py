"""The published days: the number of rows, and whether their labels were final when they were fetched."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
from deltalake import DeltaTable

from include.partitions import partition
from include.spec import Model


@dataclass(frozen=True)
class Published:
    """A published partition: the number of its rows, when they were fetched, and the digest of their raw batch."""

    rows: int
    collected_at: datetime
    batch: str

    def final(self, model: Model, key: str) -> bool:
        """Whether the labels of this day were final when its rows were fetched."""
        return self.collected_at >= partition(key, model.timezone).end + model.data.label.delay


def published(table: DeltaTable) -> dict[str, Published]:
    """The content of a version of ``rows`` by partition key, from the add actions of its log."""
    actions = pa.table(table.get_add_actions(flatten=True)).to_pylist()
    found: dict[str, Published] = {}
    for action in actions:
        key, rows = action["partition.partition"], action["num_records"]
        before = found.get(key)
        if before:  # a partition that is too large for one file
            rows += before.rows
        found[key] = Published(rows, action["min._collected_at"], action["max._batch"])
    return dict(sorted(found.items()))
