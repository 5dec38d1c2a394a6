"""The versions of every model and the gate's decisions, each change with its audit row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from include.errors import IntegrityError, ReleaseError
from include.registry import schema
from include.registry.numbers import Numbers
from include.registry.rows import DecisionRow, VersionRow

if TYPE_CHECKING:
    from include.registry.evidence import Evidence, Figures

AUTOMATIC = "perennial"  # the actor of everything that was not started by hand


class Versions(Numbers):
    """Versions and decisions; the lower half of `include.registry.ledger.Ledger`."""

    def add_version(
        self,
        model: str,
        version: int,
        *,
        run_id: str,
        candidate: str,
        recipe: Mapping[str, object],
        twin: str,
        twin_first: str,
        twin_last: str,
        metrics: Mapping[str, object],
    ) -> VersionRow:
        """Record the version that a run's `select` has chosen; the same run again updates it until it has a bundle.

        ``version`` is the number that `allocate` gave to the run.

        Raises
        ------
        IntegrityError : the ledger has this version for another run, or another version for this run.
        """
        values = {
            "candidate": candidate,
            "recipe": dict(recipe),
            "twin": twin,
            "twin_first": twin_first,
            "twin_last": twin_last,
            "metrics": dict(metrics),
        }
        t, n = schema.version.c, schema.version_number.c
        with self._database.change(model, f"record version {version} of {model}") as connection:
            numbered = {"model": model, "version": version, "run_id": run_id}
            connection.execute(upsert(schema.version_number).values(**numbered).on_conflict_do_nothing())
            known = self._number(connection, n.model == model, n.run_id == run_id)
            number = self._number(connection, n.model == model, n.version == version)
            if known is None or known.version != version:
                first = f"that version from run {number.run_id!r}" if number else "another version"
                other = f"that run as version {known.version}" if known else first
                raise IntegrityError(
                    f"version {version} of {model} cannot be recorded for run {run_id!r}: the ledger has {other}."
                )
            new = {**numbered, "state": "challenger", **values}
            added = connection.execute(
                upsert(schema.version).values(**new).on_conflict_do_nothing().returning(t.version)
            ).scalar()
            row = self._known(connection, model, version)
            if added:
                self._audit(connection, AUTOMATIC, "register", model, version, run_id=run_id, reason=candidate)
            elif row.bundle is None:
                connection.execute(
                    update(schema.version).where(t.model == model, t.version == version).values(**values)
                )
            return self._known(connection, model, version)

    def set_bundle(self, model: str, version: int, digest: str) -> VersionRow:
        """Name the bundle of a version; the same digest again is a no-op.

        Raises
        ------
        ReleaseError : no such version, or it has served and would change its bundle.
        """
        t = schema.version.c
        with self._database.change(model, f"name the bundle of version {version} of {model}") as connection:
            row = self._known(connection, model, version)
            if row.bundle == digest:
                return row
            if row.state in ("champion", "retired", "failed"):
                raise ReleaseError(
                    f"version {version} of {model} has been in service ({row.state}) with bundle {str(row.bundle)[:12]}"
                    f": such a version never changes its bundle. Retrain for a new version."
                )
            state = "packaged" if row.state == "challenger" else row.state
            connection.execute(
                update(schema.version).where(t.model == model, t.version == version).values(bundle=digest, state=state)
            )
            self._audit(connection, AUTOMATIC, "package", model, version, run_id=row.run_id, reason=digest)
            return self._known(connection, model, version)

    def version(self, model: str, version: int) -> VersionRow | None:
        """One version of a model."""
        with self._database.read(f"read version {version} of {model}") as connection:
            return self._version(connection, model, version)

    def versions(self, model: str) -> list[VersionRow]:
        """All versions of a model, newest first."""
        query = select(schema.version).where(schema.version.c.model == model).order_by(schema.version.c.version.desc())
        with self._database.read(f"read the versions of {model}") as connection:
            return [VersionRow.of(row) for row in connection.execute(query)]

    # -- decisions

    def record_decision(
        self,
        model: str,
        run_id: str,
        *,
        as_of: str,
        verdict: str,
        reason: str,
        version: int | None,
        parameters: Mapping[str, object],
        code_digest: str,
        snapshot_digest: str,
        checks: Sequence[Any],
        figures: Figures | None = None,
        evidence: Evidence | None = None,
    ) -> DecisionRow:
        """Record the gate's decision in a run; the same run again replaces its decision.

        A version that was rejected or held takes that state, unless it has been in service.

        Parameters
        ----------
        figures, evidence : what it was made from; ``None``: not known.
        """
        values = {
            "as_of": as_of,
            "verdict": verdict,
            "reason": reason,
            "version": version,
            "parameters": dict(parameters),
            "code_digest": code_digest,
            "snapshot_digest": snapshot_digest,
            "checks": list(checks),
            "figures": None if figures is None else figures.as_dict(),
            "evidence": None if evidence is None else evidence.as_dict(),
        }
        d, v = schema.decision.c, schema.version.c
        with self._database.change(model, f"record the decision of run {run_id!r}") as connection:
            where = (d.model == model, d.run_id == run_id)
            before = connection.execute(select(schema.decision).where(*where)).one_or_none()
            if before is None:
                connection.execute(insert(schema.decision).values(model=model, run_id=run_id, **values))
            else:
                connection.execute(
                    update(schema.decision).where(*where).values(**values, decided_at=func.clock_timestamp())
                )
            if version is not None:
                row = self._known(connection, model, version)
                if row.state in ("challenger", "packaged", "rejected", "held"):
                    open_state = "packaged" if row.bundle else "challenger"
                    state = {"reject": "rejected", "hold": "held"}.get(verdict, open_state)
                    connection.execute(
                        update(schema.version).where(v.model == model, v.version == version).values(state=state)
                    )
            if before is None or (before.verdict, before.reason) != (verdict, reason):
                entry = f"{verdict}: {reason}"
                self._audit(connection, AUTOMATIC, "decide", model, version, run_id=run_id, reason=entry)
            return DecisionRow.of(connection.execute(select(schema.decision).where(*where)).one())

    def hold_promotion(self, model: str, version: int, why: str) -> DecisionRow | None:
        """Turn the decision to promote a version into a hold, because a freeze stops its release.

        The gate's findings are kept: its checks in the decision, its reason at the end of the new one, and the version
        as it is (packaged), so that it can be released once the freeze is lifted. A decision that is not to promote
        stays as it is.

        Returns
        -------
        DecisionRow, or ``None`` if no decision is about this version.
        """
        d = schema.decision.c
        where = (d.model == model, d.version == version)
        newest = select(schema.decision).where(*where).order_by(d.decided_at.desc(), d.id.desc()).limit(1)
        with self._database.change(model, f"hold version {version} of {model}") as connection:
            row = connection.execute(newest).one_or_none()
            if row is not None and row.verdict == "promote":
                reason = f"{why}. The gate would promote version {version}: {row.reason}"
                change = update(schema.decision).where(d.id == row.id).values(verdict="hold", reason=reason)
                connection.execute(change)
                self._audit(connection, AUTOMATIC, "decide", model, version, run_id=row.run_id, reason=f"hold: {why}")
                row = connection.execute(newest).one()
            return None if row is None else DecisionRow.of(row)

    def decision(self, model: str, run_id: str) -> DecisionRow | None:
        """The decision of one run."""
        d = schema.decision.c
        query = select(schema.decision).where(d.model == model, d.run_id == run_id)
        with self._database.read(f"read the decision of run {run_id!r}") as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else DecisionRow.of(row)

    def last_decision(self, model: str) -> DecisionRow | None:
        """The newest decision about a model."""
        d = schema.decision.c
        query = select(schema.decision).where(d.model == model).order_by(d.decided_at.desc(), d.id.desc()).limit(1)
        with self._database.read(f"read the last decision about {model}") as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else DecisionRow.of(row)

    def decisions(self, model: str, as_of: str) -> list[DecisionRow]:
        """Every decision about a model for this as-of, newest first."""
        d = schema.decision.c
        query = (
            select(schema.decision).where(d.model == model, d.as_of == as_of).order_by(d.decided_at.desc(), d.id.desc())
        )
        with self._database.read(f"read the decisions about {model} of {as_of}") as connection:
            return [DecisionRow.of(row) for row in connection.execute(query)]

    def all_decisions(self, model: str) -> list[DecisionRow]:
        """Every decision about a model, newest first."""
        d = schema.decision.c
        query = select(schema.decision).where(d.model == model).order_by(d.decided_at.desc(), d.id.desc())
        with self._database.read(f"read the decisions about {model}") as connection:
            return [DecisionRow.of(row) for row in connection.execute(query)]

    # -- inside a transaction

    def _version(self, connection: Connection, model: str, version: int) -> VersionRow | None:
        t = schema.version.c
        row = connection.execute(select(schema.version).where(t.model == model, t.version == version)).one_or_none()
        return None if row is None else VersionRow.of(row)

    def _known(self, connection: Connection, model: str, version: int) -> VersionRow:
        row = self._version(connection, model, version)
        if row is None:
            t = schema.version.c
            query = select(t.version).where(t.model == model).order_by(t.version.desc()).limit(10)
            known = [str(number) for number in connection.execute(query).scalars()]
            near = f"the newest are {', '.join(known)}" if known else "it has no version yet"
            raise ReleaseError(f"{model} has no version {version} in the ledger: {near}.")
        return row

    def _audit(
        self, connection: Connection, actor: str, action: str, model: str, version: int | None, **rest: Any
    ) -> None:
        row = {"actor": actor, "action": action, "model": model, "version": version, **rest}
        connection.execute(insert(schema.audit).values(**row))
