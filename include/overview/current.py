"""How every model is now: what the Models page, `make status` and the JSON of both show.

A value that is not known is ``None`` or has the member ``UNKNOWN``; nothing that is missing is ever shown as good.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from include.overview.sources import Live
from include.overview.watched import Health

# -- one night


class Outcome(StrEnum):
    """What a night came to. ``NOT_DUE``: no night was planned; ``UNKNOWN``: the sources do not answer."""

    PROMOTED = "promoted"
    HELD = "held"
    REJECTED = "rejected"
    SKIPPED = "skipped"
    FAILED = "failed"
    FROZEN = "frozen"
    BROKEN = "broken"
    NO_CHAMPION = "no champion"
    NOT_RUN = "not run"
    RUNNING = "running"
    NOT_DUE = "not due"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Night:
    """One night of a model.

    Attributes
    ----------
    day : the local day, in the model's timezone, on which the night began: ``2026-05-03``.
    sentence : why, whole; never empty.
    dag_id, run_id : the Airflow run that the outcome is about (of ``<model>_retrain`` or ``<model>_release``).
    failed_task : the first task that failed in it.
    run_state : of that run: ``success``, ``failed``, ...; ``None`` if it is not known.
    version : the version that was decided about.
    at : when it was decided, or when the run ended, else when it was to begin.
    """

    outcome: Outcome
    day: str
    sentence: str
    dag_id: str | None = None
    run_id: str | None = None
    failed_task: str | None = None
    version: int | None = None
    at: datetime | None = None
    run_state: str | None = None


# -- the data


class DayState(StrEnum):
    """What became of a closed day. ``PENDING``: due, and being collected, retried, or not an hour late."""

    PUBLISHED = "published"
    EMPTY = "empty"
    REJECTED = "rejected"
    FAILED = "failed"
    MISSING = "missing"
    PENDING = "pending"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Day:
    """One partition.

    Attributes
    ----------
    rows : that are published in the lake, also by an earlier batch than the rejected one; ``None``: not known.
    quarantined : rows of its newest batch that are in quarantine.
    reason : why it is not published; "" for a published day.
    batch : the digest of its newest validated batch, which names its validation result.
    dag_id, run_id : the Airflow run that ended so, if it is known.
    at : when this was recorded.
    """

    key: str
    state: DayState
    rows: int | None = None
    quarantined: int | None = None
    reason: str = ""
    batch: str | None = None
    dag_id: str | None = None
    run_id: str | None = None
    at: datetime | None = None


@dataclass(frozen=True)
class Data:
    """The newest data of a model.

    Attributes
    ----------
    newest : the newest published day; ``None`` if none is known.
    expected : the day that should be the newest one by now.
    days : the last 14 closed days, oldest first; none before ``model.start``, or before the model's first day.
    quarantined : rows in quarantine of these days; ``None`` if it is not known of any of them.
    """

    newest: str | None
    expected: str
    days: tuple[Day, ...]
    quarantined: int | None

    @property
    def late(self) -> bool:
        """Whether the day that should be there is not. A day that was loaded before its time is no fault."""
        return self.newest is None or self.newest < self.expected


# -- what serves


class ServerState(StrEnum):
    """What the model server says about the champion. ``NOTHING``: no version should serve, and none does."""

    SERVES = "serves"
    BEHIND = "behind"
    SILENT = "does not answer"
    NOTHING = "nothing serves"


@dataclass(frozen=True)
class Serving:
    """The champion, and whether the server serves it.

    Attributes
    ----------
    state : what the server says; ``sentence`` says it in words.
    version : the champion in the ledger. ``served`` : the version that the server answers with.
    candidate, recipe : of the champion; ``recipe`` in words: ``boosting on 60 days``.
    learned_to : the last day that the release model has learned from.
    since : when it became the champion.
    age : local days since ``learned_to``. ``limit`` : days from which it is old; ``None`` for a model without schedule.
    old : whether ``age`` is above ``limit``; ``None`` if one of them is not known.
    """

    state: ServerState
    sentence: str
    version: int | None = None
    served: int | None = None
    candidate: str | None = None
    recipe: str | None = None
    learned_to: str | None = None
    since: datetime | None = None
    age: int | None = None
    limit: int | None = None
    old: bool | None = None


@dataclass(frozen=True)
class Gain:
    """How much better something is; positive is better, in units of the metric.

    Attributes
    ----------
    lower, upper : one-sided limits at the model's confidence; ``None`` if they were not recorded.
    """

    value: float | None
    lower: float | None = None
    upper: float | None = None


@dataclass(frozen=True)
class Point:
    """One night in the sparkline.

    Attributes
    ----------
    value : gain of the night's challenger over the trivial baseline; ``None`` if it is not known.
    promoted : whether its version went into service.
    """

    day: str
    value: float | None
    promoted: bool
    version: int | None


@dataclass(frozen=True)
class Quality:
    """How good the champion was on the holdout of its night, by its twin.

    Attributes
    ----------
    metric : ``training.metric`` of that night; ``value`` : of the champion's twin.
    over_baseline, over_before : gain over the trivial baseline and over the champion before; ``None``: not known.
    before : the version that served before; ``None`` if it was the first, or that is not known.
    baseline_metric : the metric in which the gate compares with the baseline, if it is another than ``metric``.
    points : the newest 30 nights with a decision, oldest first.
    """

    version: int | None
    metric: str | None
    value: float | None
    over_baseline: Gain | None
    over_before: Gain | None
    before: int | None
    points: tuple[Point, ...]
    baseline_metric: str | None = None


@dataclass(frozen=True)
class Freeze:
    """Automatic promotion is frozen."""

    actor: str
    since: datetime
    reason: str


# -- all models


@dataclass(frozen=True)
class ModelOverview:
    """One row of the Models page.

    Attributes
    ----------
    owner : ``None`` if the folder is broken, or there is none.
    timezone : of its days and nights.
    problem : what is wrong with the folder, with ``file:line``, one mistake a line; ``None`` if it loads.
    night : the newest night that is due. ``nights`` : the last 14 local days up to it, oldest first.
    serving : ``None`` if the ledger does not answer. ``data`` : also if the folder does not load, or was removed.
    quality : ``None`` if nothing was decided yet, or nothing is known.
    live : ``None`` if the model server does not answer, or does not know the model.
    needs : what somebody must do, as a sentence; ``None`` if no action is needed.
    health : the health of the version in service, as its monitor and the watchdog have seen it.
    gone : whether the folder was removed: the champion continues to serve, but the DAGs are gone with the folder.
    """

    name: str
    owner: str | None
    description: str
    tags: tuple[str, ...]
    timezone: str
    problem: str | None
    night: Night
    nights: tuple[Night, ...]
    serving: Serving | None
    quality: Quality | None
    data: Data | None
    live: Live | None
    freeze: Freeze | None
    health: Health
    needs: str | None
    gone: bool = False


@dataclass(frozen=True)
class Overview:
    """All models, those that need somebody first.

    Attributes
    ----------
    headline : ``Last night: 2 promoted, 1 held, 1 frozen, 1 broken. 2 need you.``
    problems : what is wrong with the parts that all models share: ``the model server does not answer``.
    incidents : open ones that belong to no model, such as a full disk, in words.
    """

    at: datetime
    headline: str
    models: tuple[ModelOverview, ...]
    problems: tuple[str, ...]
    incidents: tuple[str, ...] = ()


@dataclass(frozen=True)
class Filter:
    """Which models to show. Empty: all.

    Attributes
    ----------
    name : a part of the name, in any case. ``owner`` : a part of the owner. ``tag`` : one whole tag.
    """

    name: str = ""
    owner: str = ""
    tag: str = ""
