"""Days of a toy as a run reads them: rows and their snapshot in memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from include.data.snapshots import Snapshot
from include.partitions import earlier, keys_between
from include.training import dataset
from include.training.plan import Windows


@dataclass(frozen=True)
class Frozen:
    """`rows.Rows` over a frame; only what the training of a reference calls."""

    frame: pd.DataFrame

    @property
    def days(self) -> list[str]:
        return sorted(set(self.frame["partition"]))

    @property
    def taken(self) -> Snapshot:
        days = self.days
        return Snapshot(
            table_version=0,
            first=days[0],
            last=days[-1],
            rows=len(self.frame),
            digest="0" * 64,
            path="",
            missing=tuple(sorted(set(keys_between(days[0], days[-1])) - set(days))),
            immature=(),
        )

    def windows(self, length: int, holdout: int) -> Windows:
        """Those of a run about the newest day."""
        last = self.days[-1]
        before = earlier(last, holdout)
        return Windows(
            train=(self.days[0], before),
            selection=(before, before),
            holdout=(earlier(last, holdout - 1), last),
            twin=(earlier(before, length - 1), before),
            release=(earlier(last, length - 1), last),
        )

    def published(self) -> dict[str, object]:
        return dict.fromkeys(self.days)

    def snapshot(self, first_key: str, last_key: str) -> Snapshot:
        return Frozen(dataset.between(self.frame, (first_key, last_key))).taken

    def read_snapshot(
        self,
        snapshot: Snapshot | str,
        first: str | None = None,
        last: str | None = None,
        columns: Iterable[str] | None = None,
    ) -> pd.DataFrame:
        found = dataset.between(self.frame, (first or self.days[0], last or self.days[-1])).reset_index(drop=True)
        return found if columns is None else found[list(columns)]
