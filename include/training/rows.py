"""Where a run reads its rows: the frozen snapshot of its plan, never the live table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

import pandas as pd

from include.data.snapshots import Snapshot
from include.training.plan import Plan, Span


class Rows(Protocol):
    """What a run reads: the lake of the deployment, or whatever freezes days and returns their rows as a lake does."""

    def published(self) -> Mapping[str, object]: ...
    def snapshot(self, first_key: str, last_key: str) -> Snapshot: ...
    def read_snapshot(
        self,
        snapshot: Snapshot | str,
        first: str | None = None,
        last: str | None = None,
        columns: Iterable[str] | None = None,
    ) -> pd.DataFrame: ...


def read(plan: Plan, span: Span, lake: Rows) -> pd.DataFrame:
    """The rows of the plan's snapshot of these days."""
    return lake.read_snapshot(plan.snapshot, first=span[0], last=span[1])
