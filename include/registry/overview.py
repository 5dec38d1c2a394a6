"""The newest facts about many models at once: one query for each table, whatever the number of models.

Lateral joins read the newest rows of each model from an index. So the time grows with the number of models and not with
the length of their history, and the large columns of decisions (checks and evidence) are not read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, text

from include.errors import PerennialError
from include.registry.database import Database
from include.registry.evidence import Figures
from include.registry.rows import DayRow, FreezeRow
from include.settings import Settings

DECISIONS = 40
"""The newest decisions of a model that are read: 30 nights, and some that were run again by hand."""
REASONS = 20
"""Of these, the newest whose reasons are read."""


@dataclass(frozen=True)
class ChampionLine:
    """The standing of a model, and what is known about the version that serves.

    Attributes
    ----------
    version : ``None`` if nothing serves. ``epoch`` : 0 if nothing was ever released.
    learned_to : the last day that the release model has learned from: the as-of of its run.
    figures : of the decision about the version.
    """

    model: str
    version: int | None
    epoch: int
    frozen: bool
    since: datetime | None
    candidate: str | None
    recipe: Mapping[str, Any]
    learned_to: str | None
    figures: Figures | None
    freeze: FreezeRow | None


@dataclass(frozen=True)
class DecisionLine:
    """A decision, and the state of the version that it is about.

    Attributes
    ----------
    reason : "" for decisions that are not among the newest `REASONS`.
    state : of the version now; ``None`` without a version. ``bundled`` : whether it was packaged.
    gain : over the trivial baseline; ``None`` if it was not recorded.
    """

    run_id: str
    as_of: str
    verdict: str
    reason: str
    version: int | None
    state: str | None
    bundled: bool
    at: datetime
    gain: float | None


@dataclass(frozen=True)
class DayLines:
    """The recorded days of a model since a key, oldest first; ``first``: of all recorded days; ``newest``: of those
    that are published."""

    days: tuple[DayRow, ...]
    first: str | None
    newest: str | None


@dataclass(frozen=True)
class LedgerView:
    """What the ledger shows, by model. ``decisions`` are newest first."""

    champions: Mapping[str, ChampionLine]
    decisions: Mapping[str, Sequence[DecisionLine]]
    days: Mapping[str, DayLines]


_CHAMPIONS = """
SELECT c.model, c.version, c.epoch, c.frozen, c.since, v.candidate, v.recipe, d.as_of, d.figures
FROM perennial.champion AS c
LEFT JOIN perennial.version AS v ON v.model = c.model AND v.version = c.version
LEFT JOIN perennial.decision AS d ON d.model = v.model AND d.run_id = v.run_id
WHERE CAST(:names AS text[]) IS NULL OR c.model = ANY (CAST(:names AS text[]))
"""

# As `Ledger._frozen`, for all models: the row that began the freeze which the champion's row names.
_FREEZES = """
SELECT c.model, a.actor, a.at, a.reason
FROM perennial.champion AS c
CROSS JOIN LATERAL (
    SELECT actor, at, reason FROM perennial.audit
    WHERE model = c.model AND action IN ('freeze', 'rollback') AND reason = c.frozen_reason AND id > (
        SELECT coalesce(max(id), 0) FROM perennial.audit WHERE model = c.model AND action = 'unfreeze'
    )
    ORDER BY id LIMIT 1
) AS a
WHERE c.frozen AND (CAST(:names AS text[]) IS NULL OR c.model = ANY (CAST(:names AS text[])))
"""

# OFFSET 0 keeps the planner from joining whole tables.
_DECISIONS = """
SELECT m.name, d.run_id, d.as_of, d.verdict, CASE WHEN d.n <= :reasons THEN d.reason ELSE '' END, d.version,
    v.state, coalesce(v.bundled, false), d.decided_at, d.gain
FROM unnest(CAST(:names AS text[])) AS m (name)
CROSS JOIN LATERAL (
    SELECT run_id, as_of, verdict, reason, version, decided_at,
        CAST(figures #>> '{over_baseline,value}' AS double precision) AS gain,
        row_number() OVER (ORDER BY decided_at DESC, id DESC) AS n
    FROM perennial.decision WHERE model = m.name ORDER BY decided_at DESC, id DESC LIMIT :most
) AS d
LEFT JOIN LATERAL (
    SELECT state, bundle IS NOT NULL AS bundled FROM perennial.version
    WHERE model = m.name AND version = d.version OFFSET 0
) AS v ON true
ORDER BY m.name, d.n
"""

_DAYS = """
SELECT m.name, d.key, d.state, d.rows, d.quarantined, d.reason, d.batch, d.run_id, d.at
FROM unnest(CAST(:names AS text[])) AS m (name)
CROSS JOIN LATERAL (
    SELECT key, state, rows, quarantined, reason, batch, run_id, at
    FROM perennial.day WHERE model = m.name AND key >= :since ORDER BY key
) AS d
ORDER BY m.name, d.key
"""

_ENDS = """
SELECT m.name,
    (SELECT min(key) FROM perennial.day WHERE model = m.name),
    (SELECT key FROM perennial.day WHERE model = m.name AND rows IS NOT NULL ORDER BY key DESC LIMIT 1)
FROM unnest(CAST(:names AS text[])) AS m (name)
"""


def read(names: Collection[str], days_since: str, only: bool = False, url: str | None = None) -> LedgerView:
    """The newest facts about models, as of one moment.

    Parameters
    ----------
    names : models; those that only the ledger knows are added, unless ``only``.
    days_since : the first key of the days.
    url : of the ledger; ``None``: that of this deployment.

    Raises
    ------
    TransientError : the ledger did not answer.
    """
    database = Database(url or Settings.from_environment().require("database_url"))
    with database.read("read the overview of all models") as connection:
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
        connection.execute(text("SET LOCAL jit = off"))  # to compile the queries would take longer than to run them
        given = sorted(names) if only else None
        freezes = {
            row[0]: FreezeRow(row[0], row[1], _utc(row[2]), row[3]) for row in _rows(connection, _FREEZES, given)
        }
        champions = {row[0]: _champion(row, freezes.get(row[0])) for row in _rows(connection, _CHAMPIONS, given)}
        every = sorted({*names} if only else {*names, *champions})
        found = _rows(connection, _DECISIONS, every, most=DECISIONS, reasons=REASONS)
        decisions: dict[str, list[DecisionLine]] = {}
        for row in found:
            decisions.setdefault(row[0], []).append(_decision(row))
        days: dict[str, list[DayRow]] = {}
        for row in _rows(connection, _DAYS, every, since=days_since):
            days.setdefault(row[0], []).append(_day(row))
        ends = {
            row[0]: DayLines(tuple(days.get(row[0], ())), row[1], row[2]) for row in _rows(connection, _ENDS, every)
        }
    return LedgerView(champions, decisions, ends)


def _rows(connection: Connection, query: str, names: list[str] | None, **values: object) -> Iterable[Any]:
    return connection.execute(text(query), {"names": names, **values}).all()


def _champion(row: Any, freeze: FreezeRow | None) -> ChampionLine:
    model, version, epoch, frozen, since, candidate, recipe, learned_to, figures = row
    return ChampionLine(
        model, version, epoch, frozen, _utc(since), candidate, recipe or {}, learned_to, _figures(figures), freeze
    )


def _decision(row: Any) -> DecisionLine:
    _, run_id, as_of, verdict, reason, version, state, bundled, at, gain = row
    return DecisionLine(run_id, as_of, verdict, reason, version, state, bundled, _utc(at), gain)


def _day(row: Any) -> DayRow:
    model, key, state, rows, quarantined, reason, batch, run_id, at = row
    return DayRow(model, key, state, rows, quarantined, reason, batch, run_id, _utc(at))


def _figures(document: object) -> Figures | None:
    """The figures of a decision; None if there are none, or if another release wrote them in a way that is unknown."""
    try:
        return None if document is None else Figures.of(document)
    except PerennialError:
        return None


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo is UTC else moment.astimezone(UTC)
