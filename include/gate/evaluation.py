"""What is known about a challenger when the gate decides: figures on the holdout, each with its uncertainty.

A figure that could not be computed is None, and the gate never reads None as good (`include.gate.completeness`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Self

from include.records import PartitionKey, Record, Text
from include.statistics import uncertainty

Kind = Literal["first", "refresh", "change"]
"""What a challenger is: the first model, the champion's recipe refreshed, or another recipe."""
Role = Literal["rival", "incumbent"]
"""What is scored next to a challenger: the recipe that won the selection, or the champion's whose place it would
take."""
CHALLENGER, BASELINE, CHAMPION = SIDES = ("challenger", "baseline", "champion")


def finite(value: float | None) -> float | None:
    """A figure, or None if it is not a finite number."""
    return None if value is None or not math.isfinite(value) else float(value)


@dataclass(frozen=True)
class Gain:
    """A difference whose limits are known; positive is better."""

    value: float
    error: float
    lower: float
    upper: float

    @classmethod
    def of(cls, estimate: Estimate | None) -> Self | None:
        """None if a part of it is not known, or the parts contradict each other."""
        if estimate is None:
            return None
        value, error, lower, upper = estimate.value, estimate.error, estimate.lower, estimate.upper
        if value is None or error is None or lower is None or upper is None:
            return None
        return cls(value, error, lower, upper) if lower <= value <= upper and error >= 0 else None

    def words(self, confidence: str) -> str:
        """``0.0012 better (95 % confidence: at most 0.0043 worse)``."""
        least = f"at least {self.lower:.4g} better" if self.lower > 0 else f"at most {-self.lower:.4g} worse"
        return f"{signed(self.value)} ({confidence} confidence: {least})"


def signed(value: float) -> str:
    """``0.0012 better``."""
    return f"{abs(value):.4g} {'better' if value >= 0 else 'worse'}"


class Estimate(Record):
    """`uncertainty.Estimate` as it is recorded."""

    value: float | None
    error: float | None
    lower: float | None
    upper: float | None
    blocks: int | None = None
    rows: int | None = None

    @classmethod
    def record(cls, found: uncertainty.Estimate) -> Self:
        return cls(
            value=finite(found.value), error=finite(found.error), lower=finite(found.lower), upper=finite(found.upper),
            blocks=found.blocks, rows=found.rows,
        )  # fmt: skip


class Holdout(Record):
    """The days and rows with labels that all are judged on.

    Attributes
    ----------
    label_mean : None for several classes, whose shares are in ``label_shares``.
    """

    first: PartitionKey
    last: PartitionKey
    days: int
    rows: int
    label_mean: float | None = None
    label_shares: dict[str, float] | None = None


class Side(Record):
    """A twin on the holdout.

    Attributes
    ----------
    last : the last day that it was fitted on.
    rows : that it was scored on.
    error : why its scores cannot be used, or None.
    metrics : None if a metric is not defined.
    """

    name: Text
    last: PartitionKey
    rows: int
    error: Text | None
    metrics: dict[str, float | None]


class Champion(Side):
    """The twin of the version that serves."""

    version: int | None = None
    digest: str | None = None
    candidate: str | None = None


class UnscoredChampion(Record):
    """A version that serves and whose twin could not be scored."""

    name: Text
    version: int | None = None
    digest: str | None = None


class FloorResult(Record):
    """By how much the challenger satisfies a declared floor (``gain``)."""

    metric: str
    limit: float
    value: float | None
    gain: Estimate


class Slice(Record):
    """Challenger and champion on the rows with one value of a column.

    Attributes
    ----------
    class_rows : of the scarcest class; None for a regression.
    challenger, other : ``training.metric``.
    gain, p_worse : None if there is too little data to judge; ``p_worse`` is small if the challenger is worse by
        more than the margin of a slice.
    """

    column: str
    value: str
    rows: int
    days: int
    class_rows: int | None
    challenger: float | None
    other: float | None
    gain: Estimate | None
    p_worse: float | None


class Group(Record):
    """One group of a fairness rule; ``judged``: whether it is large enough for its figures to count."""

    value: str
    rows: int
    judged: bool
    figures: tuple[float | None, ...]


class FairnessResult(Record):
    """The largest difference between the groups of a declared rule."""

    column: str
    measure: str
    limit: float | None
    difference: Estimate
    groups: tuple[Group, ...]


class Strongest(Record):
    """The feature that explains most on its own."""

    feature: Text
    power: float


class Anchor(Record):
    """A champion of an earlier night on the same holdout.

    Attributes
    ----------
    version : None if nothing else served by then.
    error : why it was not scored, or None.
    value : ``training.metric``; None if there is an error.
    """

    nights_ago: int
    version: int | None
    name: str | None = None
    last: PartitionKey | None = None
    rows: int | None = None
    value: float | None = None
    error: str | None


class Change(Record):
    """How much better a rival's recipe is than that of the champion, on all days that both were scored on.

    Attributes
    ----------
    days, wanted : with scores of both, and how many are needed (``gate.change_days``).
    gain : None without a day.
    needed : days that are needed if the gain stays as it is; None: more than are kept.
    earliest : the as-of of the first night in which the rival can pass; None if that is not known.
    """

    incumbent: str
    rival: str
    days: int
    wanted: int
    gain: Estimate | None
    needed: int | None = None
    earliest: PartitionKey | None = None


class ByDay(Record):
    """Where scores and metrics by day are kept: artifacts of an MLflow run."""

    mlflow_run_id: str
    scores: str
    metrics: str


Intervals = dict[str, tuple[float, float] | None]
"""The metrics of one side, by name."""


class Evaluation(Record):
    """Everything that the gate decides by; of a challenger that could not be scored most of it is missing.

    Attributes
    ----------
    champion : None if nothing serves (``champion_exists`` is False).
    champion_epoch : of the ledger, 0 if there never was a champion.
    champion_unusable : why the champion could not be compared, or None.
    blocks : of days, which are one observation each.
    class_rows : by class; None for a regression.
    paired : by the other side and metric, how much better the challenger is on the same rows.
    slices : against the champion; empty without one.
    spread, psi, largest_difference : see `include.statistics.distances`; the last two are to the champion.
    intervals : for the card and the pictures, by side.
    plots : SHA-256 of each picture by artifact path.
    """

    holdout: Holdout
    challenger: Side
    baseline: Side
    champion: Champion | UnscoredChampion | None
    champion_exists: bool
    champion_unusable: Text | None
    champion_epoch: int | None = None
    kind: Kind | None = None
    change: Change | None = None
    blocks: int | None = None
    class_rows: dict[str, int] | None = None
    paired: dict[str, dict[str, Estimate]] = {}
    floors: tuple[FloorResult, ...] | None = None
    slices: tuple[Slice, ...] | None = None
    fairness: tuple[FairnessResult, ...] | None = None
    spread: float | None = None
    psi: float | None = None
    largest_difference: float | None = None
    strongest: Strongest | None = None
    anchors: tuple[Anchor, ...] | None = None
    by_day: ByDay | None = None
    intervals: dict[str, Intervals] | None = None
    plots: dict[str, str] | None = None

    def side(self, name: str) -> Side | None:
        """A side that was scored, or was to be; None for a champion that is missing or could not be scored."""
        found = {CHALLENGER: self.challenger, BASELINE: self.baseline, CHAMPION: self.champion}[name]
        return found if isinstance(found, Side) else None

    def metric(self, side: str, name: str) -> float | None:
        """A metric of a side; None if it is not known."""
        found = self.side(side)
        return found.metrics.get(name) if found else None

    def estimate(self, other: str, metric: str) -> Estimate | None:
        """How much better the challenger is than another side in a metric."""
        return self.paired.get(other, {}).get(metric)

    def fairness_of(self, column: str, measure: str) -> FairnessResult | None:
        """The result of a declared rule."""
        wanted = (one for one in self.fairness or () if (one.column, one.measure) == (column, measure))
        return next(wanted, None)

    def floor_of(self, metric: str) -> FloorResult | None:
        """The result of a declared floor."""
        return next((one for one in self.floors or () if one.metric == metric), None)
