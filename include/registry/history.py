"""The ledger's rows about one model, or about one version, for its page: as of one moment, in a few queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from include.registry import schema
from include.registry.database import Database
from include.registry.ledger import TRANSITIONS, Ledger
from include.registry.overview import DayLine, DayLines
from include.registry.rows import AuditRow, DecisionRow, NumberRow, VersionRow
from include.settings import Settings

AUDIT = 400
"""The newest rows of the audit that are read."""


@dataclass(frozen=True)
class ModelLines:
    """The rows about one model, newest first.

    Attributes
    ----------
    known : whether the ledger has anything about it. ``more`` : older versions that were not read.
    rollback_to : versions that a rollback can choose. ``previous`` : the one that it chooses by itself, if there is
        one.
    """

    known: bool
    versions: Sequence[VersionRow]
    more: int
    numbers: Mapping[int, NumberRow]
    decisions: Sequence[DecisionRow]
    audit: Sequence[AuditRow]
    days: DayLines
    rollback_to: Sequence[int]
    previous: int | None = None


@dataclass(frozen=True)
class VersionLines:
    """The rows about one version; ``service``: what put it into service or took it out, oldest first."""

    version: VersionRow
    decision: DecisionRow | None
    number: NumberRow | None
    service: Sequence[AuditRow]


def read(model: str, newest: int, days_since: str, url: str | None = None) -> ModelLines:
    """The newest rows about a model.

    Parameters
    ----------
    newest : versions and decisions. ``days_since`` : the first key of the days.
    url : of the ledger; ``None``: that of this deployment.

    Raises
    ------
    TransientError : the ledger did not answer.
    """
    url = url or Settings.from_environment().require("database_url")
    v, n, d, a = (table.c for table in (schema.version, schema.version_number, schema.decision, schema.audit))
    of_version = select(schema.version).where(v.model == model).order_by(v.version.desc()).limit(newest)
    of_number = select(schema.version_number).where(n.model == model).order_by(n.version.desc()).limit(newest)
    of_decision = select(schema.decision).where(d.model == model).order_by(d.decided_at.desc(), d.id.desc())
    of_audit = select(schema.audit).where(a.model == model).order_by(a.id.desc()).limit(AUDIT)
    with Database(url).read(f"read the history of {model}") as connection:
        versions = [VersionRow.of(row) for row in connection.execute(of_version)]
        count = connection.execute(select(func.count()).where(v.model == model)).scalar_one()
        numbers = [NumberRow.of(row) for row in connection.execute(of_number)]
        decisions = [DecisionRow.of(row) for row in connection.execute(of_decision.limit(newest))]
        audit = [AuditRow.of(row) for row in connection.execute(of_audit)]
        days = _days(connection, model, days_since)
    previous, rollback_to = _rollback_to(Ledger(url), model, versions)
    return ModelLines(
        known=bool(versions or decisions or audit or days.first),
        versions=versions,
        more=count - len(versions),
        numbers={row.version: row for row in numbers},
        decisions=decisions,
        audit=audit,
        days=days,
        rollback_to=rollback_to,
        previous=previous,
    )


def read_version(model: str, version: int, url: str | None = None) -> VersionLines | None:
    """The rows about a version; ``None`` if there is none. ``url`` as in `read`.

    Raises
    ------
    TransientError : the ledger did not answer.
    """
    url = url or Settings.from_environment().require("database_url")
    v, a, n, d = (table.c for table in (schema.version, schema.audit, schema.version_number, schema.decision))
    about = (a.version == version) | (a.from_version == version)
    of_service = select(schema.audit).where(a.model == model, a.action.in_(TRANSITIONS), about).order_by(a.id)
    with Database(url).read(f"read version {version} of {model}") as connection:
        found = connection.execute(select(schema.version).where(v.model == model, v.version == version)).one_or_none()
        if found is None:
            return None
        row = VersionRow.of(found)
        number = connection.execute(
            select(schema.version_number).where(n.model == model, n.version == version)
        ).one_or_none()
        decision = connection.execute(
            select(schema.decision).where(d.model == model, d.run_id == row.run_id)
        ).one_or_none()
        service = [AuditRow.of(entry) for entry in connection.execute(of_service)]
    return VersionLines(
        row,
        None if decision is None else DecisionRow.of(decision),
        None if number is None else NumberRow.of(number),
        service,
    )


def _days(connection: Connection, model: str, since: str) -> DayLines:
    d = schema.day.c
    query = select(*(d[name] for name in DayLine._fields)).where(d.model == model, d.key >= since).order_by(d.key)
    days = tuple(DayLine(*row) for row in connection.execute(query))
    ends = select(func.min(d.key), func.max(d.key).filter(d.rows.is_not(None))).where(d.model == model)
    first, newest = connection.execute(ends).one()
    return DayLines(days, first, newest)


def _rollback_to(ledger: Ledger, model: str, versions: Sequence[VersionRow]) -> tuple[int | None, list[int]]:
    """The version that a rollback chooses by itself, and all that it can choose.

    These are earlier champions, nearest first, then other packaged versions that did not fail and do not serve; those
    that have served come first.
    """
    past = [row.version for row in ledger.past_champions(model)]
    others = [row for row in versions if row.bundle is not None and row.state not in ("failed", "champion")]
    others = sorted(others, key=lambda row: row.state != "retired")
    return next(iter(past), None), [*past, *(row.version for row in others if row.version not in past)]
