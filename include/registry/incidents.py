"""Incidents in the ledger: what looks find wrong, opened, updated and closed in one transaction with its alerts."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, case, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from include.errors import ConfigurationError
from include.registry import schema
from include.registry.database import Database
from include.registry.incident_rows import IncidentKind, IncidentRow, IncidentState, Seen, Severity
from include.registry.versions import AUTOMATIC
from include.settings import Settings

log = logging.getLogger(__name__)

ORDER = 0x696E6364  # "incd": the advisory lock under which incidents change, one transaction after the other
RANK: dict[str, int] = {Severity.WARNING: 0, Severity.CRITICAL: 1}

Key = tuple[str, str, str]
"""Model, kind and cause."""


@dataclass(frozen=True)
class Scope:
    """What a look looks at: an incident in here that the look does not find is over.

    Attributes
    ----------
    model : ``None`` for all models, and what belongs to none; ``""`` only for what belongs to none.
    causes : only causes that begin with this; ``None`` for all. Two looks of different kinds need scopes that do not
        overlap: each would close what the other has opened.
    """

    model: str | None
    kinds: frozenset[IncidentKind]
    causes: str | None = None

    def covers(self, model: str, kind: str, cause: str) -> bool:
        about = self.model in (None, model) and kind in self.kinds
        return about and cause.startswith(self.causes or "")

    def name(self) -> str:
        """A text that is the same for two looks at the same things."""
        return f"{'*' if self.model is None else self.model}/{','.join(sorted(self.kinds))}/{self.causes or '*'}"


@dataclass(frozen=True)
class Observed:
    """What a look has changed. ``updated``: incidents that were open before and were found again."""

    opened: tuple[IncidentRow, ...] = ()
    updated: tuple[IncidentRow, ...] = ()
    closed: tuple[IncidentRow, ...] = ()


@dataclass(frozen=True)
class _Known:
    """A row with what only this module reads."""

    row: IncidentRow
    began: datetime
    run_id: str | None
    muted: bool

    @property
    def key(self) -> Key:
        return self.row.model, self.row.kind, self.row.cause


class Incidents:
    """The incidents of one deployment. No connection is kept between calls.

    Changes happen one transaction after the other, under one lock of the database, so two looks at once open one
    incident. A look that began before the newest look of its scope changes nothing, however late it ends.
    """

    def __init__(self, url: str) -> None:
        self._database = Database(url)

    @classmethod
    def default(cls) -> Incidents:
        """The incidents of this deployment (``PERENNIAL_DATABASE_URL``)."""
        return cls(Settings.from_environment().require("database_url"))

    # -- what looks find

    def observe(
        self,
        scope: Scope,
        seen: Sequence[Seen],
        began: datetime,
        run_id: str | None,
        unknown: Collection[tuple[str, IncidentKind, str]] = (),
    ) -> Observed:
        """Record one look: open what is new, update what is still there, close what is over. All or nothing.

        While an incident is not closed its severity only grows, ``since`` stays that of its opening, and its other
        sentences are those of the newest look. If an acknowledged one becomes critical it is open again. One that was
        closed by hand is muted: it is not opened again before a look has found it over, or found it critical when it
        was a warning.

        The same look again (same ``run_id`` and ``began``), or a repeated task of the same run, ends in the same state.

        Parameters
        ----------
        began : when the look began. A look that is older than the newest one of the same scope changes nothing.
        unknown : model, kind and cause of what could not be looked at; cause ``""``: every cause of that model and
            kind. It opens and closes nothing. What was seen counts as seen, even if it is listed here.

        Raises
        ------
        ValueError : something seen is outside of the scope, so no later look would close it.
        """
        worst: dict[Key, Seen] = {}
        for one in seen:
            if not scope.covers(*_key(one)):
                raise ValueError(f"{'/'.join(_key(one))} is outside of the scope {scope.name()} of this look")
            before = worst.get(_key(one))
            if before is None or RANK[one.severity] > RANK[before.severity]:
                worst[_key(one)] = one
        with self._changing(f"record what a look at {scope.name()} found") as connection:
            if not _newest_look(connection, scope, began, run_id):
                log.info("The look at %s of %s changed nothing: a newer one has ended.", scope.name(), began)
                return Observed()
            known = _known_in(connection, scope)
            live = {one.key: one for one in known if not one.muted}
            muted = {one.key: one for one in known if one.muted}
            opened, updated = [], []
            for key, one in sorted(worst.items()):
                if key in live:
                    updated += _found_again(connection, live[key], one, began, run_id)
                elif key in muted and RANK[one.severity] <= RANK[muted[key].row.severity]:
                    _set(connection, muted[key].row.number, began=began)
                else:
                    if key in muted:
                        _set(connection, muted[key].row.number, muted=False)
                    opened.append(_open(connection, one, began, run_id))
            closed = []
            for old in known:
                if old.key in worst or _listed(old.key, unknown) or old.began > began:
                    continue
                if old.muted:
                    _set(connection, old.row.number, muted=False, began=began)
                else:
                    end = {"began": began, "run_id": run_id}
                    closed.append(_close(connection, old.row.number, AUTOMATIC, "no longer found", **end))
        for row in opened:
            log.warning("Incident %d opened (%s): %s", row.number, row.severity, row.what)
        for row in closed:
            log.info("Incident %d is over: %s", row.number, row.what)
        return Observed(tuple(opened), tuple(updated), tuple(closed))

    # -- what people read

    def open(self, model: str | None = None) -> list[IncidentRow]:
        """Incidents that are not closed, of one model or of all: critical first, then unacknowledged, then oldest."""
        i = schema.incident.c
        query = select(schema.incident).where(i.state != IncidentState.CLOSED)
        if model is not None:
            query = query.where(i.model == model)
        query = query.order_by(case((i.severity == Severity.CRITICAL, 0), else_=1), i.state.desc(), i.number)
        with self._database.read("read the open incidents") as connection:
            return [IncidentRow.of(row) for row in connection.execute(query)]

    def of(self, model: str, limit: int = 50) -> list[IncidentRow]:
        """The newest incidents of a model, closed ones too, newest first."""
        i = schema.incident.c
        query = select(schema.incident).where(i.model == model).order_by(i.number.desc()).limit(limit)
        with self._database.read(f"read the incidents of {model}") as connection:
            return [IncidentRow.of(row) for row in connection.execute(query)]

    # -- what people do

    def acknowledge(self, number: int, actor: str, reason: str) -> IncidentRow:
        """Record that a person takes care of an incident; one that is acknowledged or closed stays as it is.

        Raises
        ------
        ConfigurationError : no such incident.
        """
        with self._changing(f"acknowledge incident {number}") as connection:
            row = _incident(connection, number)
            if row.state == IncidentState.OPEN:
                values = {"acknowledged_at": func.clock_timestamp(), "acknowledged_by": actor, "reason": reason}
                row = _set(connection, number, state=IncidentState.ACKNOWLEDGED, **values)
                _audit(connection, row, "acknowledge", actor, reason)
        return row

    def close(self, number: int, actor: str, reason: str) -> IncidentRow:
        """Close an incident by hand and mute it (see `observe`); a closed one stays as it is.

        Raises
        ------
        ConfigurationError : no such incident.
        """
        with self._changing(f"close incident {number}") as connection:
            row = _incident(connection, number)
            if row.state != IncidentState.CLOSED:
                row = _close(connection, number, actor, reason, muted=True)
                _audit(connection, row, "close", actor, reason)
        return row

    @contextmanager
    def _changing(self, what: str) -> Iterator[Connection]:
        with self._database.write(what) as connection:
            connection.execute(select(func.pg_advisory_xact_lock(ORDER)))
            yield connection


# -- inside a transaction, under the lock


def _key(one: Seen) -> Key:
    return one.model, str(one.kind), one.cause


def _listed(key: Key, unknown: Collection[tuple[str, IncidentKind, str]]) -> bool:
    model, kind, _ = key
    return key in unknown or (model, kind, "") in unknown


def _newest_look(connection: Connection, scope: Scope, began: datetime, run_id: str | None) -> bool:
    """Note the look, unless a newer one of the same scope is noted; return whether it is the newest."""
    new = upsert(schema.look).values(scope=scope.name(), began=began, run_id=run_id)
    written = connection.execute(
        new.on_conflict_do_update(
            index_elements=[schema.look.c.scope],
            set_={"began": new.excluded.began, "run_id": new.excluded.run_id},
            where=schema.look.c.began <= new.excluded.began,
        )
    )
    return written.rowcount == 1


def _known_in(connection: Connection, scope: Scope) -> list[_Known]:
    """The incidents in a scope that are not closed, or muted, by number."""
    i = schema.incident.c
    where: list[ColumnElement[bool]] = [(i.state != IncidentState.CLOSED) | i.muted, i.kind.in_(sorted(scope.kinds))]
    if scope.model is not None:
        where.append(i.model == scope.model)
    if scope.causes is not None:
        where.append(func.starts_with(i.cause, scope.causes))
    rows = connection.execute(select(schema.incident).where(*where).order_by(i.number))
    return [_Known(IncidentRow.of(row), row.began, row.run_id, row.muted) for row in rows]


def _open(connection: Connection, one: Seen, began: datetime, run_id: str | None) -> IncidentRow:
    values = {**one.model_dump(), "state": IncidentState.OPEN, "looks": 1, "began": began, "run_id": run_id}
    row = connection.execute(insert(schema.incident).values(**values).returning(schema.incident)).one()
    _alert(connection, row.number, "opened")
    return IncidentRow.of(row)


def _found_again(
    connection: Connection, known: _Known, one: Seen, began: datetime, run_id: str | None
) -> list[IncidentRow]:
    """The row after a look found it again; empty if a newer look of another scope has spoken about it."""
    if known.began > began:
        return []
    repeated = known.began == began if run_id is None else known.run_id == run_id
    values: dict[str, object] = {name: getattr(one, name) for name in ("what", "how_bad", "done", "todo", "page")}
    worse = RANK[one.severity] > RANK[known.row.severity]
    if worse:
        values |= {"severity": one.severity, "state": IncidentState.OPEN, "reason": None}
        values |= {"acknowledged_at": None, "acknowledged_by": None}
    looks = known.row.looks + (0 if repeated else 1)
    row = _set(connection, known.row.number, **values, looks=looks, began=began, run_id=run_id)
    if worse:
        _alert(connection, row.number, "worse")
    return [row]


def _close(connection: Connection, number: int, by: str, reason: str, **values: object) -> IncidentRow:
    closed = {"closed_at": func.clock_timestamp(), "closed_by": by, "reason": reason}
    row = _set(connection, number, state=IncidentState.CLOSED, **closed, **values)
    _alert(connection, number, "closed")
    return row


def _set(connection: Connection, number: int, **values: object) -> IncidentRow:
    i = schema.incident
    change = update(i).where(i.c.number == number).values(**values, updated_at=func.clock_timestamp()).returning(i)
    return IncidentRow.of(connection.execute(change).one())


def _incident(connection: Connection, number: int) -> IncidentRow:
    i = schema.incident
    row = connection.execute(select(i).where(i.c.number == number)).one_or_none()
    if row is None:
        newest = connection.execute(select(func.max(i.c.number))).scalar_one()
        known = "there are no incidents yet" if newest is None else f"the newest has number {newest}"
        raise ConfigurationError(f"there is no incident {number}: {known}.")
    return IncidentRow.of(row)


def _alert(connection: Connection, number: int, event: str) -> None:
    connection.execute(upsert(schema.alert).values(incident=number, event=event).on_conflict_do_nothing())


def _audit(connection: Connection, row: IncidentRow, action: str, actor: str, reason: str) -> None:
    said = f"incident {row.number} ({row.what.rstrip(' .')}): {reason}"
    connection.execute(insert(schema.audit).values(actor=actor, action=action, model=row.model, reason=said))
