"""The rows of the ledger: frozen, and convertible to small JSON-able dicts."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, Self

from sqlalchemy import Row


class _AsDict:
    """Rows that become small JSON-able dicts; times in ISO 8601, UTC."""

    def as_dict(self) -> dict[str, Any]:
        pairs = ((f.name, getattr(self, f.name)) for f in fields(self))  # type: ignore[arg-type]
        return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in pairs}

    @classmethod
    def of(cls, row: Row[Any]) -> Self:
        names = {f.name for f in fields(cls)}  # type: ignore[arg-type]
        values = {name: value for name, value in row._mapping.items() if name in names}
        return cls(**{k: v.astimezone(UTC) if isinstance(v, datetime) else v for k, v in values.items()})


@dataclass(frozen=True)
class VersionRow(_AsDict):
    """A version: its recipe, its twin, and (once packaged) the digest of its bundle.

    ``state``: challenger (chosen by select, no bundle yet), packaged, champion, retired (was champion), rejected and
    held (by the gate), failed (its verification in service failed).
    """

    model: str
    version: int
    run_id: str
    candidate: str
    recipe: dict[str, Any]
    twin: str
    twin_first: str
    twin_last: str
    metrics: dict[str, Any]
    bundle: str | None
    state: str
    created_at: datetime


@dataclass(frozen=True)
class NumberRow(_AsDict):
    """The number of a version, the run that it was allocated for, and the version of MLflow that stands for it.

    ``mlflow_version`` is ``None`` while MLflow has no version of it. Both numbers are equal unless something was
    deleted in MLflow.
    """

    model: str
    version: int
    run_id: str
    mlflow_run_id: str | None
    mlflow_version: int | None
    allocated_at: datetime


@dataclass(frozen=True)
class Standing(_AsDict):
    """The ledger's record of a model's service; ``version`` is ``None`` if nothing serves."""

    model: str
    version: int | None
    digest: str | None
    epoch: int
    frozen: bool
    frozen_reason: str | None
    run_id: str | None
    since: datetime | None


@dataclass(frozen=True)
class FreezeRow(_AsDict):
    """A freeze of a model's automatic promotion: who, since when, why."""

    model: str
    actor: str
    since: datetime
    reason: str

    def __str__(self) -> str:
        return (
            f"frozen by {self.actor} since {self.since:%Y-%m-%d %H:%M} UTC, because {self.reason.rstrip(' .')}; "
            f"lift it with `make unfreeze MODEL={self.model} REASON=...`"
        )


@dataclass(frozen=True)
class ChampionRow(_AsDict):
    """The version that serves."""

    model: str
    version: int
    digest: str
    epoch: int
    frozen: bool
    frozen_reason: str | None
    run_id: str
    since: datetime


@dataclass(frozen=True)
class DecisionRow(_AsDict):
    """The gate's decision in one run; ``figures`` and ``evidence`` are those of `include.registry.evidence`."""

    model: str
    run_id: str
    as_of: str
    verdict: str
    reason: str
    version: int | None
    parameters: dict[str, Any]
    code_digest: str
    snapshot_digest: str
    checks: list[Any]
    decided_at: datetime
    figures: dict[str, Any] | None = None
    evidence: dict[str, Any] | None = None


@dataclass(frozen=True)
class AuditRow(_AsDict):
    """One transition; rows are only ever added."""

    id: int
    at: datetime
    actor: str
    action: str
    model: str
    version: int | None
    from_version: int | None
    epoch: int | None
    reason: str
    run_id: str | None


@dataclass(frozen=True)
class DayRow(_AsDict):
    """What became of a day.

    ``state``: published, empty (published without rows), rejected (its newest batch failed validation), failed (its
    source did not return a batch in a load). ``rows`` are those in the lake, also if a newer batch was rejected.
    ``batch`` is the digest of the newest validated batch. ``at`` is set by the ledger.
    """

    model: str
    key: str
    state: str
    rows: int | None
    quarantined: int | None
    reason: str = ""
    batch: str | None = None
    run_id: str | None = None
    at: datetime | None = None
