"""The past of one model: versions, decisions, the audit, lineage and comparison, as its page shows them.

A value that is not known is ``None`` or has the member ``UNKNOWN``; nothing that is missing is ever shown as good.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from include.overview.current import Day, Gain, Outcome


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
    rollback_to : versions that a rollback can choose. ``previous`` : the one that it chooses by itself, if there is
        one.
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
    previous: int | None = None


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
