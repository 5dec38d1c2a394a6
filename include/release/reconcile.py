"""Compares the ledger with its projections, for all models, and repairs what a broken promotion left behind.

The ledger changes first; the release record and the MLflow alias follow. If the bundle store cannot be written or
MLflow does not answer at that moment, they stay behind. `reconcile` brings them up to date. It never overwrites a
record that is newer than the ledger: the ledger may be the one that is wrong, and a person decides.

A version that goes into service in this way has not been verified, because the release that promoted it ended before.
`verify_repaired` does that, and returns to the previous champion, as a release does. Each has a row in the audit,
``repair`` and ``verify``: if a process is killed between them, the next call does the rest.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from include.errors import IntegrityError, PerennialError
from include.registry import tracking
from include.registry.bundles import RELEASE, BundleStore, ReleaseRecord
from include.registry.ledger import Ledger, Standing
from include.release.promotion import record_of, verify, write_alias, write_record

log = logging.getLogger(__name__)

NOT_VERIFIED = "version {} was not verified by its release; now the server answers with it."


@dataclass(frozen=True)
class Reconciled:
    """The differences of one model: what was repaired and what could not be repaired, in sentences."""

    model: str
    repaired: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def reconcile(*, alias: bool = True) -> list[Reconciled]:
    """Bring release records and MLflow aliases of all models up to the ledger; those that differed, by name.

    Cheap if nothing differs: two queries, one read of each record, one request to MLflow. A model that cannot be
    repaired does not stop the others.

    Parameters
    ----------
    alias : whether to look at MLflow as well.

    Raises
    ------
    TransientError : the ledger did not answer.
    """
    ledger, store = Ledger.default(), BundleStore.default()
    standings = {now.model: now for now in ledger.standings()}
    found: list[Reconciled] = []
    aliases: Mapping[str, int] | None = None
    if alias:
        try:
            aliases = tracking.champion_aliases()
        except PerennialError as error:
            found.append(Reconciled("MLflow", problems=(f"The aliases were not compared: {error}",)))
    wanted = ledger.champions_in_mlflow() if aliases is not None else {}
    for model in sorted({*standings, *store.released()}):
        now = standings.get(model) or Standing(model, None, None, 0, False, None, None, None)
        record_differs = _kept(store, model) != record_of(now)
        alias_differs = aliases is not None and model in standings and aliases.get(model) != wanted.get(model)
        alias_differs |= aliases is not None and now.version is not None and model not in aliases
        if record_differs or alias_differs:
            found.append(_repair(ledger, store, model, record_differs, alias_differs))
    for one in found:
        for sentence in one.repaired:
            log.warning("%s: %s", one.model, sentence)
        for sentence in one.problems:
            log.error("%s: %s", one.model, sentence)
    return [one for one in found if one.repaired or one.problems]


def verify_repaired(*, timeout: timedelta | None = None) -> list[Reconciled]:
    """Verify what serves by a repaired release record (see `include.release.promotion.verify`), model by model.

    A failed promotion returns to the previous champion, as in a release. A rollback or a return is only reported.

    Parameters
    ----------
    timeout : as of `include.release.promotion.verify`.

    Raises
    ------
    TransientError : the ledger did not answer.
    """
    ledger = Ledger.default()
    return [_verified(ledger, now, timeout) for now in ledger.repaired_unverified()]


def _verified(ledger: Ledger, now: Standing, timeout: timedelta | None) -> Reconciled:
    began = ledger.transition(now.model, now.epoch)
    go_back = began is not None and began.action == "promote"
    try:
        verify(now.model, now.version or 0, now.epoch, timeout=timeout, go_back=go_back)
    except PerennialError as error:
        log.error("%s: %s", now.model, error)
        return Reconciled(now.model, problems=(str(error),))
    sentence = NOT_VERIFIED.format(now.version)
    log.warning("%s: %s", now.model, sentence)
    return Reconciled(now.model, repaired=(sentence,))


def _repair(ledger: Ledger, store: BundleStore, model: str, record: bool, alias: bool) -> Reconciled:
    """Repair one model under the locks of its projections, with the ledger as it is by then."""
    repaired: list[str] = []
    problems: list[str] = []
    if record:
        with ledger.locked(model):
            now, before = ledger.standing(model), _kept(store, model)
            if before != record_of(now):
                try:
                    _refuse_unknown(store, now, before)
                    if not (isinstance(before, ReleaseRecord) and before.epoch > now.epoch):  # it will be refused
                        ledger.note_once(now, "repair", f"The release record said {_said(before)}.")
                    write_record(store, now)
                    repaired.append(
                        f"the release record said {_said(before)}; now it agrees with the ledger: {_serves(now)}."
                    )
                except (PerennialError, OSError) as error:
                    problems.append(
                        f"the release record says {_said(before)}; the ledger says that {_serves(now)}. {error}"
                    )
    if alias:
        now = ledger.standing(model)
        try:
            with ledger.locked_in_mlflow(model):
                now = ledger.standing(model)
                write_alias(now)
            repaired.append(f"the MLflow alias differed from the ledger; now it agrees: {_serves(now)}.")
        except PerennialError as error:
            problems.append(f"the MLflow alias differs from the ledger, in which {_serves(now)}. {error}")
    return Reconciled(model, tuple(repaired), tuple(problems))


def _serves(now: Standing) -> str:
    return f"{'nothing serves' if now.version is None else f'version {now.version} serves'} (epoch {now.epoch})"


def _kept(store: BundleStore, model: str) -> ReleaseRecord | str | None:
    """The release record in place; the sentence about it if it is damaged."""
    try:
        return store.read_release(model)
    except (IntegrityError, OSError) as error:
        return str(error)


def _refuse_unknown(store: BundleStore, now: Standing, before: ReleaseRecord | str | None) -> None:
    """Raise `IntegrityError` for a record of a model that the ledger never released: it may be another ledger's."""
    if now.epoch == 0 and before is not None:
        raise IntegrityError(
            f"The ledger has never released {now.model}: was its database lost, or does the bundle store belong to "
            f"another deployment? Nothing was overwritten. If the ledger is right, remove "
            f"{store.root / now.model / RELEASE}."
        )


def _said(record: ReleaseRecord | str | None) -> str:
    if record is None:
        return "that nothing serves"
    if isinstance(record, str):
        return f"nothing readable ({record})"
    return f"that version {record.version} serves (epoch {record.epoch})"
