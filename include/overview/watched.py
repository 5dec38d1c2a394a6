"""How a model in service is: its health in one word, its incidents, and what its monitor has measured.

A value that is not known is ``None`` or has the member ``UNKNOWN``; nothing that is missing is ever shown as good.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

# -- health, from the ledger


class HealthState(StrEnum):
    """The health of a model, in a word. ``UNKNOWN``: not monitored yet, not for two days, or the ledger is silent."""

    HEALTHY = "healthy"
    DRIFTING = "drifting"
    STALE = "stale"
    DAMAGED = "damaged data"
    SERVICE = "service fault"
    INTERRUPTED = "interrupted"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Health:
    """The word with its reason.

    Attributes
    ----------
    sentence : why, whole; never empty.
    critical : whether one of the open incidents pages a person.
    incident : the number of the worst open incident, which the word is about; ``None`` without one.
    incidents : how many are open, acknowledged ones included.
    todo : what a person should do about the worst one, if nobody has acknowledged it and it is critical; else "".
    looked : when the newest look at the model began; ``None`` if there was none.
    """

    state: HealthState
    sentence: str
    critical: bool = False
    incident: int | None = None
    incidents: int = 0
    todo: str = ""
    looked: datetime | None = None


@dataclass(frozen=True)
class IncidentOf:
    """An incident of a model; the fields are those of the ledger's row.

    Attributes
    ----------
    state : ``open``, ``acknowledged`` or ``closed``. ``page`` : where to look, below the web server's address.
    """

    number: int
    kind: str
    severity: str
    state: str
    since: str
    what: str
    how_bad: str
    done: str
    todo: str
    page: str
    looks: int
    opened_at: datetime
    updated_at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    closed_at: datetime | None
    closed_by: str | None
    reason: str | None


# -- performance


@dataclass(frozen=True)
class Scored:
    """How good the scores of a day, or of the newest days up to it, were.

    Attributes
    ----------
    days : 1 for the day alone. ``version`` : ``None`` if the scores are of several versions.
    source : ``live`` or ``replayed``. ``rows`` : with a label.
    low, high : the interval of the value; ``None`` for a day alone.
    promise : the metric of the version's twin on its holdout. ``baseline`` : of the trivial candidate on these rows.
    state : ``healthy``, ``violated`` or ``unknown``; ``sentence`` : the result, or why it is unknown.
    """

    day: str
    days: int
    version: int | None
    source: str | None
    rows: int
    value: float | None
    low: float | None
    high: float | None
    promise: float | None
    baseline: float | None
    state: str
    sentence: str


@dataclass(frozen=True)
class SliceScored:
    """The newest figure of a declared slice: ``column=value``."""

    slice: str
    scored: Scored


@dataclass(frozen=True)
class Performance:
    """One metric over time.

    Attributes
    ----------
    larger : whether a larger value is better; ``None``: not known.
    singles : days alone, oldest first. ``windows`` : the newest days up to each day, oldest first.
    slices : the newest window of each slice, the worst first.
    """

    metric: str
    larger: bool | None
    singles: tuple[Scored, ...]
    windows: tuple[Scored, ...]
    slices: tuple[SliceScored, ...] = ()


# -- drift


@dataclass(frozen=True)
class DriftCell:
    """The distance of a day to the reference; ``state`` is ``unknown`` if there is no value or no limit."""

    day: str
    state: str
    value: float | None
    limit: float | None
    sentence: str


@dataclass(frozen=True)
class DriftRow:
    """A feature, a column of the score, or the model as a whole, over the days of the map.

    Attributes
    ----------
    subject : ``""`` for the weighted statistic of the whole model. ``feature`` : whether it is an input.
    importance : its share in the importance of all inputs; ``None``: not known, or it is no input.
    cells : one for each day of the map; ``None`` for a day on which it was not measured.
    """

    subject: str
    measure: str
    feature: bool
    importance: float | None
    cells: tuple[DriftCell | None, ...]

    @property
    def newest(self) -> DriftCell | None:
        """The newest measured cell."""
        return next((cell for cell in reversed(self.cells) if cell is not None), None)

    @property
    def beyond(self) -> int:
        """Days beyond the limit."""
        return sum(cell is not None and cell.state == "violated" for cell in self.cells)


@dataclass(frozen=True)
class DriftMap:
    """Drift over time. ``days`` : ascending and without a gap. ``rows`` : the whole model, the score, then features."""

    days: tuple[str, ...]
    rows: tuple[DriftRow, ...]


# -- a feature then and now


@dataclass(frozen=True)
class Bin:
    """A bin of a number, with the share of the rows in it.

    Attributes
    ----------
    low, high : on the axis. ``open_low``, ``open_high`` : whether the bin also has all values below, or above.
    """

    low: float
    high: float
    then: float
    now: float
    open_low: bool = False
    open_high: bool = False


@dataclass(frozen=True)
class Bar:
    """A category, with the share of the rows that have it. ``names`` : how many categories it stands for."""

    name: str
    then: float
    now: float
    names: int = 1


@dataclass(frozen=True)
class Distribution:
    """A feature in the reference and on a day.

    Attributes
    ----------
    lack : why nothing can be drawn; ``None`` if ``bins`` or ``bars`` are there.
    span : the days of the reference, in words.
    rows_then, rows_now, missing_then, missing_now : rows, and those without a value.
    version : whose reference it is.
    """

    feature: str
    day: str
    version: int | None
    lack: str | None = None
    span: str = ""
    bins: tuple[Bin, ...] = ()
    bars: tuple[Bar, ...] = ()
    rows_then: int = 0
    rows_now: int = 0
    missing_then: int = 0
    missing_now: int = 0
    sentence: str = ""


# -- counters and staleness


@dataclass(frozen=True)
class CounterOf:
    """A counter of the newest day on which it was counted.

    Attributes
    ----------
    subject : a feature, or ``""``. ``low``, ``high`` : the limits; ``None`` for a side without one.
    beyond : days beyond a limit among the days that were read.
    """

    measure: str
    subject: str
    day: str
    value: float | None
    low: float | None
    high: float | None
    state: str
    cause: str
    sentence: str
    beyond: int


@dataclass(frozen=True)
class Staleness:
    """How much better a newer fit is than the champion; a positive value means that the champion is stale."""

    day: str
    version: int | None
    days: int
    value: float | None
    low: float | None
    high: float | None
    limit: float | None
    state: str
    sentence: str


@dataclass(frozen=True)
class Monitored:
    """What the monitor has measured of a model.

    Attributes
    ----------
    lack : why there is nothing to show; ``None`` if there is something.
    first, last : the days that were read. ``measured`` : the newest day with a measurement.
    performance : the metric of training first.
    distribution : of the chosen feature; ``None`` if no feature was measured.
    """

    lack: str | None
    first: str | None = None
    last: str | None = None
    performance: tuple[Performance, ...] = ()
    drift: DriftMap | None = None
    distribution: Distribution | None = None
    counters: tuple[CounterOf, ...] = ()
    staleness: Staleness | None = None
