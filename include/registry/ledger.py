"""The ledger in PostgreSQL, the single source of truth: which version serves, since when and by whom.

Every transition is one transaction: the row of the model is locked, the epoch that the caller saw is compared, and
the new state is written with its audit row. The release record and the MLflow alias are projections of the ledger.
"""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, select, update

from include.errors import ConflictError, IntegrityError, ReleaseError
from include.registry import schema
from include.registry.database import MLFLOW, RECORD
from include.registry.rows import AuditRow, ChampionRow, FreezeRow, Standing, VersionRow
from include.registry.versions import AUTOMATIC, Versions
from include.settings import Settings

log = logging.getLogger(__name__)

TRANSITIONS = ("promote", "rollback", "restore", "withdraw")  # the actions that begin a new epoch


class PromotionFrozen(ReleaseError):
    """A freeze stops an automatic promotion; ``freeze`` records who froze, since when and why."""

    def __init__(self, version: int, freeze: FreezeRow) -> None:
        super().__init__(f"version {version} of {freeze.model} is not promoted automatically: {freeze}.")
        self.freeze = freeze


class Ledger(Versions):
    """The ledger of one deployment. It keeps no connection between calls, so it can be used after a fork."""

    @classmethod
    def default(cls) -> Ledger:
        """The ledger of this deployment (``PERENNIAL_DATABASE_URL``)."""
        return cls(Settings.from_environment().require("database_url"))

    def __repr__(self) -> str:
        return f"Ledger over {self._database!r}"

    def migrate(self) -> int:
        """Bring the schema to the newest version (see `include.registry.schema.migrate`) and return its number."""
        return self._database.migrate()

    # -- the champion

    def standing(self, model: str) -> Standing:
        """The ledger's record of a model's service; epoch 0 if the model was never released."""
        with self._database.read(f"read the standing of {model}") as connection:
            return self._standing(connection, model)

    def standings(self) -> list[Standing]:
        """The ledger's record of every model's service, by name."""
        query = select(schema.champion).order_by(schema.champion.c.model)
        with self._database.read("read the standing of all models") as connection:
            return [Standing.of(row) for row in connection.execute(query)]

    def champions_in_mlflow(self) -> dict[str, int | None]:
        """The version of MLflow that stands for each model's champion; ``None`` if MLflow does not have it."""
        c, n = schema.champion.c, schema.version_number.c
        both = schema.champion.outerjoin(schema.version_number, (c.model == n.model) & (c.version == n.version))
        query = select(c.model, n.mlflow_version).select_from(both).where(c.version.is_not(None))
        with self._database.read("read the champions' versions in MLflow") as connection:
            return {row.model: row.mlflow_version for row in connection.execute(query)}

    def champion(self, model: str) -> ChampionRow | None:
        """The version that serves; ``None`` if nothing does."""
        now = self.standing(model)
        if now.version is None or now.digest is None or now.since is None:
            return None
        return ChampionRow(
            model, now.version, now.digest, now.epoch, now.frozen, now.frozen_reason, now.run_id or "", now.since
        )

    def promote(
        self,
        model: str,
        version: int,
        digest: str,
        expected_epoch: int,
        actor: str,
        run_id: str,
        reason: str,
        action: str = "promote",
        *,
        freeze: bool = False,
        old_state: str = "retired",
    ) -> int:
        """Make a version the champion if the epoch is still ``expected_epoch``; return the new epoch.

        Idempotent by run: if ``run_id`` made this version champion by the same action and it still is, that epoch
        is returned. A run acts once: if its version has been replaced since, a retry does not bring it back.

        Parameters
        ----------
        action : ``promote``, ``rollback`` or ``restore``; a freeze and a newer champion stop only ``promote``.
        freeze : stop automatic promotions in the same transaction, with ``reason``.
        old_state : new state of the champion before: ``retired``, or ``failed``.

        Raises
        ------
        PromotionFrozen : an automatic promotion of a frozen model, also if the champion has changed since.
        ConflictError : the champion changed since the caller looked.
        ReleaseError : no such version, no bundle, or another bundle.
        """
        with self._database.change(model, f"{action} version {version} of {model}") as connection:
            now = self._standing(connection, model)
            done = self._done(connection, model, version, run_id, action)
            if done is not None:
                if done.epoch == now.epoch:
                    return now.epoch
                raise ConflictError(
                    f"run {run_id!r} has already made version {version} of {model} the champion (epoch {done.epoch}), "
                    f"and now {_serving(now)} (epoch {now.epoch}): it does not do so again. To repeat it, "
                    f"start a new release by hand."
                )
            if now.frozen and action == "promote" and actor == AUTOMATIC:
                freeze_now = self._frozen(connection, model)
                if freeze_now is None:
                    raise IntegrityError(f"promotion of {model} is frozen, but the audit does not name who froze it.")
                raise PromotionFrozen(version, freeze_now)
            if now.epoch != expected_epoch:
                raise ConflictError(
                    f"the champion of {model} has changed in the meantime: expected epoch {expected_epoch}, found "
                    f"{now.epoch} ({_serving(now)}, by run {now.run_id!r}). Nothing was changed."
                )
            row = self._known(connection, model, version)
            if action == "promote":
                _may_promote(now, row, actor)
            if row.bundle is None or row.bundle != digest:
                raise ReleaseError(
                    f"version {version} of {model} has "
                    + ("no bundle yet" if row.bundle is None else f"bundle {row.bundle[:12]}, not {digest[:12]}")
                    + ": only what was packaged can serve."
                )
            epoch = self._set(connection, now, version, digest, run_id, old_state, freeze=reason if freeze else None)
            entry = {"from_version": now.version, "epoch": epoch, "reason": reason, "run_id": run_id}
            self._audit(connection, actor, action, model, version, **entry)
        log.info(
            "Version %d of %s is champion at epoch %d (%s by %s): %s", version, model, epoch, action, actor, reason
        )
        return epoch

    def withdraw(self, model: str, expected_epoch: int, actor: str, run_id: str, reason: str) -> int:
        """Take the champion out of service with nothing in its place; return the new epoch. Idempotent by run.

        Raises
        ------
        ConflictError : the champion changed since the caller looked.
        """
        with self._database.change(model, f"take {model} out of service") as connection:
            now = self._standing(connection, model)
            if now.version is None:
                return now.epoch
            if now.epoch != expected_epoch:
                raise ConflictError(
                    f"the champion of {model} has changed in the meantime: expected epoch {expected_epoch}, found "
                    f"{now.epoch}. Nothing was changed."
                )
            epoch = self._set(connection, now, None, None, run_id, "failed", freeze=None)
            entry = {"from_version": now.version, "epoch": epoch, "reason": reason, "run_id": run_id}
            self._audit(connection, actor, "withdraw", model, None, **entry)
        log.warning("%s is out of service at epoch %d: %s", model, epoch, reason)
        return epoch

    def freeze(self, model: str, actor: str, reason: str) -> Standing:
        """Stop automatic promotions of a model until `unfreeze`; the first reason stays while it is frozen."""
        return self._set_frozen(model, True, actor, reason)

    def unfreeze(self, model: str, actor: str, reason: str) -> Standing:
        """Allow automatic promotions again; a no-op if nothing is frozen."""
        return self._set_frozen(model, False, actor, reason)

    def frozen(self, model: str) -> FreezeRow | None:
        """The freeze of a model's automatic promotion; ``None`` if it is not frozen."""
        with self._database.read(f"read the freeze of {model}") as connection:
            return self._frozen(connection, model)

    def locked(self, model: str) -> AbstractContextManager[None]:
        """Hold the lock under which a model's release record is written; released when the process dies.

        This is not the lock of the transitions: a slow projection never delays a rollback's compare-and-set.

        Raises
        ------
        TransientError : another process held it for a minute.
        """
        return self._database.locked(model, RECORD)

    def locked_in_mlflow(self, model: str) -> AbstractContextManager[None]:
        """Like `locked`, but for writes to MLflow, so that a hanging server never delays a release record."""
        return self._database.locked(model, MLFLOW)

    # -- history

    def history(self, model: str) -> list[AuditRow]:
        """Every transition of a model, oldest first."""
        query = select(schema.audit).where(schema.audit.c.model == model).order_by(schema.audit.c.id)
        with self._database.read(f"read the history of {model}") as connection:
            return [AuditRow.of(row) for row in connection.execute(query)]

    def transition(self, model: str, epoch: int) -> AuditRow | None:
        """The transition that began an epoch: who put which version into service, instead of which."""
        a = schema.audit.c
        where = (a.model == model, a.epoch == epoch, a.action.in_(TRANSITIONS))
        with self._database.read(f"read what began epoch {epoch} of {model}") as connection:
            row = connection.execute(select(schema.audit).where(*where)).one_or_none()
        return None if row is None else AuditRow.of(row)

    def note_once(self, now: Standing, action: str, reason: str, run_id: str = "") -> bool:
        """Add an audit row about what serves, e.g. that it was verified; returns whether the epoch had no such row yet.

        Parameters
        ----------
        action : not a transition: ``repair`` or ``verify``.
        """
        a = schema.audit.c
        same = (a.model == now.model, a.epoch == now.epoch, a.action == action)
        with self._database.change(now.model, f"note {action} of {now.model}") as connection:
            if connection.execute(select(a.id).where(*same).limit(1)).scalar() is not None:
                return False
            entry = {"epoch": now.epoch, "reason": reason, "run_id": run_id or now.run_id}
            self._audit(connection, AUTOMATIC, action, now.model, now.version, **entry)
        return True

    def repaired_unverified(self) -> list[Standing]:
        """The models whose release record was repaired and whose version has not been verified since."""
        a, c = schema.audit.c, schema.champion.c

        def noted(action: str) -> ColumnElement[bool]:
            return select(a.id).where(a.model == c.model, a.epoch == c.epoch, a.action == action).exists()

        query = select(schema.champion).where(c.version.is_not(None), noted("repair"), ~noted("verify"))
        with self._database.read("read what was repaired and not verified") as connection:
            return [Standing.of(row) for row in connection.execute(query.order_by(c.model))]

    def past_champions(self, model: str) -> list[VersionRow]:
        """The versions that a rollback would go back to, nearest first, without failed ones; it works like an undo.

        After a return to an older version, the versions that were skipped are no longer candidates.
        """
        stack: list[int] = []
        for row in self.history(model):
            if row.action == "withdraw":
                stack = stack[:-1]
            elif row.action in ("promote", "rollback", "restore") and row.version is not None:
                back = row.action != "promote" and row.version in stack
                stack = stack[: stack.index(row.version) + 1] if back else [*stack, row.version]
        now = self.standing(model).version
        rows = {row.version: row for row in self.versions(model)}
        seen = dict.fromkeys(number for number in reversed(stack) if number != now)
        return [rows[number] for number in seen if rows[number].state != "failed"]

    def previous_champion(self, model: str) -> VersionRow | None:
        """The version that served before the champion and did not fail, if there is one."""
        return next(iter(self.past_champions(model)), None)

    # -- inside a transaction

    def _standing(self, connection: Connection, model: str) -> Standing:
        row = connection.execute(select(schema.champion).where(schema.champion.c.model == model)).one_or_none()
        return Standing(model, None, None, 0, False, None, None, None) if row is None else Standing.of(row)

    def _frozen(self, connection: Connection, model: str) -> FreezeRow | None:
        """The freeze that the champion's row names, with actor and time from the audit row that began it.

        One statement, so that a freeze that is lifted at the same moment is read as a whole or not at all.
        """
        a, c = schema.audit.c, schema.champion.c
        lifted = select(func.coalesce(func.max(a.id), 0)).where(a.model == model, a.action == "unfreeze")
        began = (a.model == model, a.action.in_(("freeze", "rollback")), a.reason == c.frozen_reason)
        query = select(schema.audit).join(schema.champion, c.model == a.model).where(c.frozen, *began)
        row = connection.execute(query.where(a.id > lifted.scalar_subquery()).order_by(a.id).limit(1)).one_or_none()
        if row is None:
            return None
        audit = AuditRow.of(row)
        return FreezeRow(model, audit.actor, audit.at, audit.reason)

    def _done(self, connection: Connection, model: str, version: int, run_id: str, action: str) -> Row[Any] | None:
        a = schema.audit.c
        where = (a.model == model, a.version == version, a.run_id == run_id, a.action == action)
        query = select(schema.audit).where(*where).order_by(a.id.desc()).limit(1)
        return connection.execute(query).one_or_none()

    def _set(
        self,
        connection: Connection,
        now: Standing,
        version: int | None,
        digest: str | None,
        run_id: str,
        old_state: str,
        freeze: str | None,
    ) -> int:
        """Write the champion of the locked row, and the states of the new and of the previous version."""
        c, v = schema.champion.c, schema.version.c
        new: dict[str, str | int | bool | None] = {
            "version": version,
            "digest": digest,
            "epoch": now.epoch + 1,
            "run_id": run_id,
        }
        if freeze is not None:
            new |= {"frozen": True, "frozen_reason": freeze}
        written = connection.execute(
            update(schema.champion)
            .where(c.model == now.model, c.epoch == now.epoch)
            .values(**new, since=func.clock_timestamp())
        )
        if written.rowcount != 1:
            raise ConflictError(f"the champion of {now.model} has changed in the meantime. Nothing was changed.")
        for number, state in ((now.version, old_state), (version, "champion")):
            if number is not None:
                where = (v.model == now.model, v.version == number)
                connection.execute(update(schema.version).where(*where).values(state=state))
        return now.epoch + 1

    def _set_frozen(self, model: str, frozen: bool, actor: str, reason: str) -> Standing:
        action = "freeze" if frozen else "unfreeze"
        with self._database.change(model, f"{action} {model}") as connection:
            now = self._standing(connection, model)
            if now.frozen != frozen:
                values = {"frozen": frozen, "frozen_reason": reason if frozen else None}
                connection.execute(update(schema.champion).where(schema.champion.c.model == model).values(**values))
                self._audit(connection, actor, action, model, now.version, epoch=now.epoch, reason=reason)
            return self._standing(connection, model)


def _may_promote(now: Standing, row: VersionRow, actor: str) -> None:
    """Raise `ReleaseError` if an automatic promotion must stop; a person can still release the version."""
    if actor != AUTOMATIC:
        return
    if row.state in ("rejected", "held", "failed"):
        raise ReleaseError(
            f"version {row.version} of {row.model} is {row.state}: it is not promoted automatically. "
            f"A person can promote it by starting its release."
        )
    if now.version is not None and row.version < now.version:
        raise ConflictError(
            f"version {row.version} of {row.model} is superseded: the newer version {now.version} serves since epoch "
            f"{now.epoch}. Nothing was changed. To go back on purpose, use the rollback."
        )


def _serving(now: Standing) -> str:
    return "nothing serves" if now.version is None else f"version {now.version} serves"
