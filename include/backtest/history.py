"""A stretch of a lake frozen once, from which every night of a back-test reads what it would have frozen itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from include.data import snapshots
from include.data.lake import Lake
from include.data.snapshots import Snapshot
from include.errors import DataError, IntegrityError
from include.spec import Model


class History:
    """`rows.Rows` over one snapshot; a night's snapshot gets the digest that the lake would have given it.

    Parameters
    ----------
    root : the model's lake.
    digest : of the snapshot that holds all days.
    """

    def __init__(self, model: Model, root: Path, digest: str) -> None:
        self.model, self.root, self.digest = model, root, digest
        self._manifest = snapshots.manifest(root, digest)

    @classmethod
    def freeze(cls, lake: Lake, first: str, last: str) -> History:
        """Freeze the days from ``first`` to ``last`` (partition keys, both included).

        Raises
        ------
        DataError : there is no row, or a day was collected before its labels were final.
        """
        found = lake.snapshot(first, last)
        if found.immature:
            raise DataError(f"the labels of {', '.join(found.immature)} were not final when they were collected.")
        return cls(lake.model, lake.root, found.digest)

    def published(self) -> Mapping[str, Any]:
        """The days that there are, by key."""
        return {key: rows for key, rows, _ in self._manifest.partitions}

    def snapshot(self, first_key: str, last_key: str) -> Snapshot:
        """What `Lake.snapshot` of these days would be; nothing is written."""
        days = tuple(day for day in self._manifest.partitions if first_key <= day[0] <= last_key)
        return Snapshot(
            table_version=0,
            first=first_key,
            last=last_key,
            rows=sum(rows for _, rows, _ in days),
            digest=snapshots.Manifest(columns=self._manifest.columns, partitions=days).digest,
            path=f"snapshots/{self.digest}.parquet",
            missing=(),
            immature=(),
        )

    def read_snapshot(
        self,
        snapshot: Snapshot | str,
        first: str | None = None,
        last: str | None = None,
        columns: Iterable[str] | None = None,
    ) -> pd.DataFrame:
        """Rows of a snapshot of `snapshot`, never beyond its days."""
        if isinstance(snapshot, str):
            raise IntegrityError("a history knows its snapshots by their days: pass the Snapshot, not its digest")
        first = max(first or snapshot.first, snapshot.first)
        last = min(last or snapshot.last, snapshot.last)
        return self._days(first, last, None if columns is None else list(columns))

    def _days(self, first: str, last: str, columns: list[str] | None) -> pd.DataFrame:
        if columns == ["partition", self.model.data.label.column]:
            return self._labels.loc[first:last].reset_index(drop=True)
        return snapshots.read(self.root, self.digest, first, last, columns)

    @cached_property
    def _labels(self) -> pd.DataFrame:
        """The two columns that every night counts, indexed by partition (they are read once, not once a night)."""
        frame = snapshots.read(self.root, self.digest, columns=["partition", self.model.data.label.column])
        return frame.set_index(frame["partition"].astype(object))
