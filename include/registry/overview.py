"""The newest facts about many models at once: one query for each table, whatever the number of models.

Lateral joins read the newest rows of each model from an index. So the time grows with the number of models and not with
the length of their history, and the large columns of decisions (checks and evidence) are not read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection, text

from include.errors import PerennialError
from include.registry.database import Database
from include.registry.evidence import Figures
from include.registry.rows import FreezeRow
from include.settings import Settings

T = TypeVar("T")

DECISIONS = 40
"""The newest decisions of a model that are read: 30 nights, and some that were run again by hand."""
LATER_DAYS = 3
"""Days of a model after that of now in UTC that can exist, because its clock is ahead, and one for safety."""
REASON_DAYS = 20
"""Age from which the reason of a decision is not read."""


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


class DecisionLine(NamedTuple):
    """A decision, and the state of the version that it is about. (There are many: a tuple is made in half the time.)

    Attributes
    ----------
    reason : "" for a decision that is older than `REASON_DAYS`.
    state : of the version now; ``None`` without a version. ``bundled`` : whether it was packaged.
    gain : over the trivial baseline; ``None`` if it was not recorded.
    """

    run_id: str
    as_of: str
    verdict: str
    reason: str
    version: int | None
    at: datetime
    gain: float | None
    state: str | None
    bundled: bool


class DayLine(NamedTuple):
    """A recorded day: the columns of `DayRow`."""

    key: str
    state: str
    rows: int | None
    quarantined: int | None
    reason: str
    batch: str | None
    run_id: str | None
    at: datetime | None


@dataclass(frozen=True)
class DayLines:
    """The recorded days of a model since a key, oldest first; ``first``: of all recorded days; ``newest``: of those
    that are published."""

    days: tuple[DayLine, ...]
    first: str | None
    newest: str | None


class IncidentLine(NamedTuple):
    """An incident that is not closed: columns of `IncidentRow`."""

    number: int
    kind: str
    severity: str
    state: str
    what: str
    todo: str
    acknowledged_by: str | None


@dataclass(frozen=True)
class LedgerView:
    """What the ledger shows, by model.

    Attributes
    ----------
    decisions : newest first.
    incidents : those that are not closed; of ``""`` those that belong to no model.
    looks : when the newest look of a monitor at the model began.
    """

    champions: Mapping[str, ChampionLine]
    decisions: Mapping[str, Sequence[DecisionLine]]
    days: Mapping[str, DayLines]
    incidents: Mapping[str, Sequence[IncidentLine]] = field(default_factory=dict)
    looks: Mapping[str, datetime] = field(default_factory=dict)


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

# The versions of a model are read as one range of the index: to look each of them up would take twice as long.
_DECISIONS = """
SELECT m.name, found.*
FROM unnest(CAST(:names AS text[])) AS m (name)
CROSS JOIN LATERAL (
    WITH d AS MATERIALIZED (
        SELECT run_id, as_of, verdict, CASE WHEN decided_at >= :reasons_since THEN reason ELSE '' END, version,
            decided_at, CAST(figures #>> '{over_baseline,value}' AS double precision)
        FROM perennial.decision WHERE model = m.name ORDER BY decided_at DESC, id DESC LIMIT :most
    ), v AS MATERIALIZED (
        SELECT version, state, bundle IS NOT NULL AS bundled FROM perennial.version
        WHERE model = m.name AND version >= (SELECT min(version) FROM d)
    )
    SELECT d.*, v.state, coalesce(v.bundled, false) FROM d LEFT JOIN v ON v.version = d.version
) AS found
"""

# Without a limit, PostgreSQL reads the whole table to join it: it expects a third of a model's days to be newer.
_DAYS = """
SELECT m.name, d.*
FROM unnest(CAST(:names AS text[]), CAST(:since AS text[])) AS m (name, since)
CROSS JOIN LATERAL (
    SELECT key, state, rows, quarantined, reason, batch, run_id, at
    FROM perennial.day WHERE model = m.name AND key >= m.since ORDER BY key DESC LIMIT :most
) AS d
"""

_ENDS = """
SELECT m.name,
    (SELECT min(key) FROM perennial.day WHERE model = m.name),
    (SELECT key FROM perennial.day WHERE model = m.name AND rows IS NOT NULL ORDER BY key DESC LIMIT 1)
FROM unnest(CAST(:names AS text[])) AS m (name)
"""

_INCIDENTS = """
SELECT model, number, kind, severity, state, what, todo, acknowledged_by
FROM perennial.incident
WHERE state <> 'closed' AND model = ANY (CAST(:names AS text[]))
"""

# The name of a scope begins with its model and the kinds of incidents that were looked for (`Scope.name`). Only a
# monitor looks for drift; the watchdog, which looks at all models, does not tell whether a model is healthy.
_LOOKS = """
SELECT split_part(scope, '/', 1), max(began) FROM perennial.look
WHERE 'drift' = ANY (string_to_array(split_part(scope, '/', 2), ','))
    AND split_part(scope, '/', 1) = ANY (CAST(:names AS text[]))
GROUP BY 1
"""


def read(names: Mapping[str, str], since: str, now: datetime, only: bool = False, url: str | None = None) -> LedgerView:
    """The newest facts about models, as of one moment.

    Parameters
    ----------
    names : models, each with the first key of its days; those that only the ledger knows are added, unless ``only``.
    since : the first key of the days of the latter.
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
        frozen = _rows(connection, _FREEZES, names=given)
        freezes = {model: FreezeRow(model, actor, at, reason) for model, actor, at, reason in frozen}
        lines = _rows(connection, _CHAMPIONS, names=given)
        champions = {row[0]: _champion(row, freezes.get(row[0])) for row in lines}
        every = sorted({*names} if only else {*names, *champions})
        firsts = [names.get(name, since) for name in every]
        reasons = now - timedelta(days=REASON_DAYS)
        decisions = _by_model(
            _rows(connection, _DECISIONS, names=every, most=DECISIONS, reasons_since=reasons), DecisionLine._make
        )
        days = _by_model(
            _rows(connection, _DAYS, names=every, since=firsts, most=_days_since(firsts, now)), DayLine._make
        )
        ends = _rows(connection, _ENDS, names=every)
        incidents = _by_model(_rows(connection, _INCIDENTS, names=["", *every]), IncidentLine._make)
        looks = dict(_rows(connection, _LOOKS, names=every))
    for found in decisions.values():
        found.sort(key=lambda decision: decision.at, reverse=True)
    for recorded in days.values():
        recorded.sort()
    of_days = {name: DayLines(tuple(days.get(name, ())), first, newest) for name, first, newest in ends}
    return LedgerView(champions, decisions, of_days, incidents, looks)


def _days_since(firsts: Sequence[str], now: datetime) -> int:
    """The largest number of days of a model since its first key; 0 without a model."""
    if not firsts:
        return 0
    return max((now.date() - date.fromisoformat(min(firsts))).days + LATER_DAYS, LATER_DAYS)


def _rows(connection: Connection, query: str, **values: object) -> Iterable[Any]:
    """The rows as plain tuples, which take half the time of SQLAlchemy's."""
    result = connection.execute(text(query), values)
    cursor = result.cursor
    assert cursor is not None
    return cursor.fetchall()


def _by_model(rows: Iterable[Any], made: Callable[[Iterable[Any]], T]) -> dict[str, list[T]]:
    """Lines by model, from rows that begin with its name."""
    found: dict[str, list[T]] = {}
    for row in rows:
        found.setdefault(row[0], []).append(made(row[1:]))
    return found


def _champion(row: Any, freeze: FreezeRow | None) -> ChampionLine:
    model, version, epoch, frozen, since, candidate, recipe, learned_to, figures = row
    return ChampionLine(
        model, version, epoch, frozen, since, candidate, recipe or {}, learned_to, _figures(figures), freeze
    )


def _figures(document: object) -> Figures | None:
    """The figures of a decision; None if there are none, or if another release wrote them in a way that is unknown."""
    try:
        return None if document is None else Figures.of(document)
    except PerennialError:
        return None
