"""What every task of a run reads: the days of its plan, and the rows of its frozen snapshot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import pandas as pd

from include.data.lake import Lake, Snapshot
from include.errors import ConfigurationError
from include.spec import Model
from include.spelling import did_you_mean
from include.training import dataset


class Rows(Protocol):
    """What a run reads: the lake of the deployment, or whatever freezes days and gives their rows as a lake does."""

    def published(self) -> Mapping[str, Any]: ...
    def snapshot(self, first_key: str, last_key: str) -> Snapshot: ...
    def read_snapshot(
        self,
        snapshot: Snapshot | str,
        first: str | None = None,
        last: str | None = None,
        columns: Iterable[str] | None = None,
    ) -> pd.DataFrame: ...


def spans_of(plan: Mapping[str, Any], candidate: str) -> dataset.Windows:
    """The days of one candidate of the plan."""
    if candidate not in plan["windows"]:
        raise ConfigurationError(
            f"candidate {candidate!r} is no part of this run{did_you_mean(candidate, plan['windows'])}"
        )
    return dataset.Windows.from_dict(plan["windows"][candidate])


def read(model: Model, plan: Mapping[str, Any], span: dataset.Span, lake: Rows | None = None) -> pd.DataFrame:
    """The rows of the plan's snapshot of these days, never the live table."""
    return (lake or Lake.of(model)).read_snapshot(Snapshot.from_dict(plan["snapshot"]), first=span[0], last=span[1])
