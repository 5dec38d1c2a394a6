"""What a decision was made from, as the ledger keeps it next to the checks, so that a page does not need MLflow.

`Figures` are few, and read for all models at once; `Evidence` is read for one decision. Fields are only ever added,
with a default. What was not recorded, or could not be computed, is None.
"""

from __future__ import annotations

from include.records import Record


class Interval(Record):
    """A value with its limits."""

    value: float | None = None
    lower: float | None = None
    upper: float | None = None


class Metric(Interval):
    """A metric with its limits. Metrics are lists, because a JSON object in PostgreSQL does not keep its order."""

    name: str


class Figures(Record):
    """The training metric of a challenger's twin on the holdout, and how much better it is, in this metric.

    Attributes
    ----------
    champion : the version that it was compared with; None if nothing served.
    """

    metric: str | None = None
    value: float | None = None
    over_baseline: Interval | None = None
    over_champion: Interval | None = None
    champion: int | None = None


class SliceEvidence(Record):
    """Challenger and champion on the rows with one value of a column."""

    column: str
    value: str
    rows: int
    challenger: float | None
    champion: float | None
    gain: Interval | None


class TrialEvidence(Record):
    """A candidate on the selection days."""

    name: str
    metrics: tuple[Metric, ...]
    seconds: float | None
    rows: int
    first: str
    last: str


class Evidence(Record):
    """Everything that is shown about one decision.

    Attributes
    ----------
    holdout : its first and last day. ``rows``, ``days`` : of it.
    metrics : of the challenger's twin on the holdout.
    slices : against the champion.
    trials : every candidate of the night, in the order of declaration.
    snapshot_rows, first, last : of the frozen data.
    note : why the run was started: what a person or a monitor wrote; "" for a scheduled one.
    """

    holdout: tuple[str, str] | None = None
    rows: int | None = None
    days: int | None = None
    metrics: tuple[Metric, ...] = ()
    slices: tuple[SliceEvidence, ...] = ()
    trials: tuple[TrialEvidence, ...] = ()
    snapshot_rows: int | None = None
    first: str | None = None
    last: str | None = None
    note: str = ""
