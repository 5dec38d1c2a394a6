"""The past of one model and the lineage of a version: from the ledger and, for what it does not keep, from bundles."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from include import catalog
from include.errors import ConfigurationError
from include.overview import days
from include.overview.comparing import compare as compare  # one place for all that is about one model
from include.overview.evidence import evidence_of, figure_of, figures_of, slices_of
from include.overview.outcomes import SERVED
from include.overview.packaged import packaged
from include.overview.records import (
    AuditOf,
    CandidateFigure,
    Check,
    Day,
    DecisionOf,
    Lineage,
    ModelHistory,
    Outcome,
    Runs,
    VersionOf,
)
from include.overview.rows import by_model
from include.overview.service import gain_of
from include.overview.wording import recipe_of
from include.registry.evidence import Evidence

if TYPE_CHECKING:
    from include.registry.history import ModelLines
    from include.registry.rows import AuditRow, DecisionRow, NumberRow, VersionRow

T = TypeVar("T")

NEWEST = 60
"""Versions and decisions of a history, unless another number is asked for."""
CALENDAR_DAYS = 91
SHOWN_ELSEWHERE = ("register", "package", "decide")


def history(
    name: str, runs: Runs | None, now: datetime, newest: int = NEWEST, shown: int = CALENDAR_DAYS
) -> ModelHistory | None:
    """The past of a model; ``None`` if neither a folder nor the ledger knows the name.

    Parameters
    ----------
    newest : versions and decisions. ``shown`` : days of the calendar.

    Raises
    ------
    TransientError : the ledger does not answer.
    """
    from include.registry import history as ledger

    entry = _entry(name)
    lines = ledger.read(name, newest, days.since(entry.model if entry else None, now, shown))
    if entry is None and not lines.known:
        return None
    states = {row.version: row for row in lines.versions}
    decided = tuple(_decision(row, states.get(row.version or 0)) for row in lines.decisions)
    by_run = {row.run_id: one for row, one in zip(lines.decisions, decided, strict=True)}
    last = lines.decisions[0] if lines.decisions else None
    evidence, figures = evidence_of(last), figures_of(last)
    chosen = states.get(last.version or 0) if last else None
    return ModelHistory(
        name=name,
        versions=tuple(_version(row, by_run.get(row.run_id), lines.numbers.get(row.version)) for row in lines.versions),
        more=lines.more,
        decisions=decided,
        audit=tuple(audit_of(row) for row in lines.audit if row.action not in SHOWN_ELSEWHERE),
        metric=figures.metric if figures else None,
        candidates=_candidates(evidence, chosen.candidate if chosen else None),
        slices=slices_of(evidence),
        days=_calendar(name, lines, runs, now, shown),
        rollback_to=tuple(lines.rollback_to),
        previous=lines.previous,
    )


def lineage(name: str, version: int) -> Lineage | None:
    """Where a version comes from; ``None`` if the ledger has no such version.

    Raises
    ------
    TransientError : the ledger does not answer.
    """
    from include.registry import history as ledger

    found = ledger.read_version(name, version)
    if found is None:
        return None
    row, decision, number = found.version, found.decision, found.number
    evidence, made = evidence_of(decision), packaged(name, row.bundle)
    return Lineage(
        model=name,
        version=version,
        snapshot=decision.snapshot_digest if decision else made.snapshot,
        snapshot_rows=_first(evidence.snapshot_rows if evidence else None, made.snapshot_rows),
        first=_first(evidence.first if evidence else None, made.first),
        last=_first(evidence.last if evidence else None, made.last),
        run_id=row.run_id,
        as_of=decision.as_of if decision else made.as_of,
        code=decision.code_digest if decision else made.code,
        commit=made.commit,
        mlflow_run_id=number.mlflow_run_id if number else None,
        mlflow_version=number.mlflow_version if number else None,
        twin=row.twin,
        bundle=row.bundle,
        learned_to=made.learned_to,
        in_service=tuple(audit_of(entry) for entry in found.service),
    )


# -- parts


def audit_of(row: AuditRow) -> AuditOf:
    """A row of the audit, for a page."""
    return AuditOf(row.at, row.actor, row.action, row.version, row.from_version, row.reason, row.run_id)


def _decision(row: DecisionRow, version: VersionRow | None) -> DecisionOf:
    figures = figures_of(row)
    return DecisionOf(
        run_id=row.run_id,
        as_of=row.as_of,
        outcome=_outcome(row, version),
        sentence=row.reason,
        version=row.version,
        at=row.decided_at,
        checks=tuple(check for one in row.checks if (check := _check(one)) is not None),
        over_baseline=gain_of(figures.over_baseline) if figures else None,
        over_champion=gain_of(figures.over_champion) if figures else None,
    )


def _outcome(row: DecisionRow, version: VersionRow | None) -> Outcome:
    """The outcome of a decision. A promotion that was not carried out is unknown here: its release may be under way."""
    if row.verdict == "reject":
        return Outcome.REJECTED
    if row.verdict == "hold":
        frozen = version is not None and version.bundle is not None and version.state != "held"
        return Outcome.FROZEN if frozen else Outcome.HELD
    if version is not None and version.state in SERVED:
        return Outcome.PROMOTED
    return Outcome.FAILED if version is not None and version.state == "failed" else Outcome.UNKNOWN


def _check(document: object) -> Check | None:
    """A row of the gate's table, as the ledger keeps it; None for something else."""
    if not isinstance(document, Mapping) or "name" not in document:
        return None
    passed = document.get("passed")
    return Check(
        name=str(document["name"]),
        value=_plain(document.get("value")),
        limit=_plain(document.get("limit")),
        passed=passed if isinstance(passed, bool) else None,
        sentence=str(document.get("sentence", "")),
    )


def _plain(value: object) -> int | float | str | None:
    return value if isinstance(value, int | float | str) and not isinstance(value, bool) else None


def _version(row: VersionRow, decision: DecisionOf | None, number: NumberRow | None) -> VersionOf:
    return VersionOf(
        version=row.version,
        state=row.state,
        run_id=row.run_id,
        candidate=row.candidate,
        recipe=recipe_of(row.recipe) or row.candidate,
        twin_first=row.twin_first,
        twin_last=row.twin_last,
        bundle=row.bundle,
        created_at=row.created_at,
        mlflow_run_id=number.mlflow_run_id if number else None,
        mlflow_version=number.mlflow_version if number else None,
        decision=decision,
    )


def _candidates(evidence: Evidence | None, chosen: str | None) -> tuple[CandidateFigure, ...]:
    return tuple(
        CandidateFigure(
            name=trial.name,
            chosen=trial.name == chosen,
            metrics=tuple(figure_of(found) for found in trial.metrics),
            seconds=trial.seconds,
            rows=trial.rows,
            first=trial.first,
            last=trial.last,
        )
        for trial in (evidence.trials if evidence else ())
    )


def _calendar(name: str, lines: ModelLines, runs: Runs | None, now: datetime, shown: int) -> tuple[Day, ...]:
    """The days of the calendar; of a broken folder those that are recorded, because its start is not known."""
    entry = _entry(name)
    if entry is not None and entry.model is not None:
        mine = by_model(runs).get(name)
        return days.data_of(entry.model, lines.days, mine.collects if mine else (), now, shown).days
    first = (now.date() - timedelta(days=shown)).isoformat()
    return tuple(days.recorded_day(day) for day in lines.days.days if day.key >= first)


def _entry(name: str) -> catalog.Entry | None:
    try:
        return catalog.entry(name)
    except ConfigurationError:
        return None


def _first(*values: T | None) -> T | None:
    return next((value for value in values if value is not None), None)
