"""What the Models page, `make status` and the JSON of both show: frozen records without logic of their own.

A value that is not known is ``None`` or has the member ``UNKNOWN``; nothing that is missing is ever shown as good.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

# -- what others report


@dataclass(frozen=True)
class RunRow:
    """A run of an Airflow DAG.

    Attributes
    ----------
    state : ``queued``, ``running``, ``success`` or ``failed``.
    run_type : ``scheduled``, ``manual``, ``backfill`` or ``asset_triggered``.
    note : of the run, as Airflow shows it.
    failed_tasks : ids of the tasks that failed (not ``upstream_failed``), in the order of their end.
    day : the partition that a collect run is about; ``None`` if it is not known, or the run is about many.
    """

    dag_id: str
    run_id: str
    state: str
    run_type: str
    run_after: datetime
    start: datetime | None = None
    end: datetime | None = None
    note: str | None = None
    failed_tasks: tuple[str, ...] = ()
    day: str | None = None


@dataclass(frozen=True)
class Runs:
    """What Airflow knows about the runs of all models.

    Attributes
    ----------
    rows : since ``since``, in any order: every run of ``<model>_retrain`` and ``<model>_release``, and the runs of
        ``<model>_collect`` that are queued, running or failed, back-fills included.
    since : the moment from which the rows are complete; at least 15 days ago. Earlier nights stay unknown.
    paused : ids of the DAGs that are paused.
    """

    rows: tuple[RunRow, ...]
    since: datetime
    paused: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Live:
    """Requests of clients to one model, summed over all processes of the model server.

    Attributes
    ----------
    requests : answered, refused as invalid, or failed; probes of releases are not counted.
    errors : requests that the server could not answer although they were valid.
    invalid : requests that were refused because of their content.
    p95 : 95th percentile of the time inside the server, in milliseconds (upper limit of its bucket); ``None`` if no
        request was answered.
    hours : covered by these figures, at most 24; fewer after a restart of the server.
    """

    requests: int
    errors: int
    invalid: int
    p95: float | None
    hours: float


@dataclass(frozen=True)
class ServedModel:
    """What the model server says about one model.

    Attributes
    ----------
    problem : why a newer version, or nothing at all, is in service; ``None`` if all is well.
    live : ``None`` if the server does not report it.
    """

    name: str
    version: int | None
    problem: str | None
    live: Live | None


@dataclass(frozen=True)
class Server:
    """The answer of the model server about all models, by name."""

    by_name: Mapping[str, ServedModel]


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
    points : the newest 30 nights with a decision, oldest first.
    """

    version: int | None
    metric: str | None
    value: float | None
    over_baseline: Gain | None
    over_before: Gain | None
    before: int | None
    points: tuple[Point, ...]


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
    serving, data : ``None`` if the ledger does not answer, so that nothing is known.
    quality : ``None`` if nothing was decided yet, or nothing is known.
    live : ``None`` if the model server does not answer, or does not know the model.
    needs : what somebody must do, as a sentence; ``None`` if nobody needs to do anything.
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
    needs: str | None


@dataclass(frozen=True)
class Overview:
    """All models, those that need somebody first.

    Attributes
    ----------
    headline : ``Last night: 2 promoted, 1 held, 1 frozen, 1 broken. 2 need you.``
    problems : what is wrong with the parts that all models share: ``the model server does not answer``.
    """

    at: datetime
    headline: str
    models: tuple[ModelOverview, ...]
    problems: tuple[str, ...]


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


# -- one model


@dataclass(frozen=True)
class Check:
    """A row of the gate's table; ``passed`` is ``None`` if it could not be answered."""

    name: str
    value: int | float | str | None
    limit: int | float | str | None
    passed: bool | None
    sentence: str


@dataclass(frozen=True)
class Figure:
    """A metric with its interval; ``None`` where something is not known."""

    name: str
    value: float | None
    lower: float | None = None
    upper: float | None = None


@dataclass(frozen=True)
class SliceFigure:
    """Challenger and champion on the rows with one value of a column, in the training metric."""

    column: str
    value: str
    rows: int
    challenger: float | None
    champion: float | None
    gain: Gain | None


@dataclass(frozen=True)
class CandidateFigure:
    """A candidate of a night on the selection days.

    Attributes
    ----------
    chosen : whether it became the challenger. ``metrics`` : in the order of the task's metrics.
    """

    name: str
    chosen: bool
    metrics: tuple[Figure, ...]
    seconds: float | None
    rows: int | None
    first: str | None
    last: str | None


@dataclass(frozen=True)
class DecisionOf:
    """A decision of the gate.

    Attributes
    ----------
    outcome : as in a night: a version that a freeze held is ``FROZEN``, one that was not released ``FAILED``.
    """

    run_id: str
    as_of: str
    outcome: Outcome
    sentence: str
    version: int | None
    at: datetime
    checks: tuple[Check, ...]
    over_baseline: Gain | None
    over_champion: Gain | None


@dataclass(frozen=True)
class VersionOf:
    """A version, and the decision about it; ``state`` is that of the ledger."""

    version: int
    state: str
    run_id: str
    candidate: str
    recipe: str
    twin_first: str
    twin_last: str
    bundle: str | None
    created_at: datetime
    mlflow_run_id: str | None
    mlflow_version: int | None
    decision: DecisionOf | None


@dataclass(frozen=True)
class AuditOf:
    """A change of what serves, or of the freeze: ``promote``, ``rollback``, ``restore``, ``withdraw``, ``freeze``,
    ``unfreeze``, ``repair``, ``verify``."""

    at: datetime
    actor: str
    action: str
    version: int | None
    from_version: int | None
    reason: str
    run_id: str | None


@dataclass(frozen=True)
class ModelHistory:
    """The past of one model.

    Attributes
    ----------
    versions : newest first, at most as many as were asked for; ``more`` is how many older ones there are.
    decisions : newest first; also those without a version.
    audit : newest first, without what versions and decisions show (``register``, ``package``, ``decide``).
    candidates : of the newest decision, in the order of the ranking; empty if they were not recorded.
    slices : of the newest decision.
    days : every day of the calendar, oldest first.
    rollback_to : versions that a rollback can choose; the one that it chooses without a version comes first, if
        there is one.
    """

    name: str
    versions: tuple[VersionOf, ...]
    more: int
    decisions: tuple[DecisionOf, ...]
    audit: tuple[AuditOf, ...]
    metric: str | None
    candidates: tuple[CandidateFigure, ...]
    slices: tuple[SliceFigure, ...]
    days: tuple[Day, ...]
    rollback_to: tuple[int, ...]


@dataclass(frozen=True)
class Lineage:
    """Where a version comes from: snapshot -> run -> version -> bundle.

    Attributes
    ----------
    snapshot : digest of the training data; ``snapshot_rows``, ``first`` and ``last`` are known once it is packaged.
    learned_to : the last day of the release model. ``code``, ``commit`` : digest of the code, commit of the project.
    in_service : the changes that put it into service or took it out, oldest first.
    """

    model: str
    version: int
    snapshot: str | None
    snapshot_rows: int | None
    first: str | None
    last: str | None
    run_id: str
    as_of: str | None
    code: str | None
    commit: str | None
    mlflow_run_id: str | None
    mlflow_version: int | None
    twin: str
    bundle: str | None
    learned_to: str | None
    in_service: tuple[AuditOf, ...]


@dataclass(frozen=True)
class ComparedFigure:
    """A metric of two versions, each on the holdout of its own night."""

    name: str
    left: Figure | None
    right: Figure | None


@dataclass(frozen=True)
class ComparedSlice:
    """A slice of two versions, each on the holdout of its own night."""

    column: str
    value: str
    left: SliceFigure | None
    right: SliceFigure | None


@dataclass(frozen=True)
class ComparedText:
    """A setting, a fact or a package of two versions; ``None``: it is not known, or there is none."""

    name: str
    left: str | None
    right: str | None


@dataclass(frozen=True)
class Comparison:
    """Two versions of one model side by side.

    Attributes
    ----------
    same_holdout : whether both were judged on the same days, so that their metrics compare; ``None``: not known.
    note : what to know before reading the metrics.
    facts : state, candidate, decision and the like. ``data`` : window, rows and digests.
    """

    model: str
    left: int
    right: int
    same_holdout: bool | None
    note: str
    facts: tuple[ComparedText, ...]
    metrics: tuple[ComparedFigure, ...]
    slices: tuple[ComparedSlice, ...]
    parameters: tuple[ComparedText, ...]
    data: tuple[ComparedText, ...]
    packages: tuple[ComparedText, ...]
