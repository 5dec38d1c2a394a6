"""Putting a version into service: the ledger's compare-and-set, its projections, and its verification on the server.

The order is always the same: the ledger changes first, in one transaction; then `project` writes the ledger's state
into the release record and the MLflow alias. A process that is killed in between leaves a ledger that is ahead of its
projections, and the next call, a retry or another run's, writes them again from the ledger.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from datetime import timedelta

from include.errors import ConflictError, IntegrityError, PerennialError, ReleaseError, TransientError
from include.registry import mlflow_versions, tracking
from include.registry.bundles import Bundle, BundleStore, ReleaseRecord
from include.registry.ledger import AUTOMATIC, AuditRow, Ledger, Standing
from include.release.live import LiveServer
from include.release.smoke import packaged, settings_of
from include.retraining import mlflow_model
from include.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Promoted:
    """A version that was put into service; ``previous``: the version that served before, if one did."""

    version: int
    digest: str
    epoch: int
    previous: int | None

    def as_dict(self) -> dict[str, object]:
        """For XCom."""
        return asdict(self)


@dataclass(frozen=True)
class Verified:
    """A version that the running server answers with.

    Attributes
    ----------
    seconds : how long the swap took.
    max_difference : the largest difference of the answers to the probe rows from their packaged scores.
    """

    version: int
    epoch: int
    seconds: float
    max_difference: float

    def as_dict(self) -> dict[str, object]:
        """For XCom."""
        return asdict(self)


def promote(
    model_name: str, version: int, run_id: str, actor: str, reason: str, expected_epoch: int | None = None
) -> Promoted:
    """Make a packaged version the champion, in the ledger and for servers and MLflow; called again, the same result.

    Parameters
    ----------
    actor : ``"perennial"`` for an automatic promotion (which a freeze stops), else the person who requested it.
    expected_epoch : the epoch of the champion that the version was judged against; ``None``: the present one.

    Raises
    ------
    ReleaseError : frozen, no such version, no bundle; `ConflictError` if the champion changed meanwhile.
    IntegrityError : a file of the bundle is changed, missing or extra.
    """
    ledger = Ledger.default()
    row, bundle = packaged(model_name, version)
    seen = ledger.standing(model_name).epoch if expected_epoch is None else expected_epoch
    try:
        epoch = ledger.promote(model_name, version, bundle.digest, seen, actor, run_id, reason)
    except ConflictError:
        project(model_name, alias_required=False)  # whoever changed it may have been killed before projecting
        raise
    project(model_name)
    mlflow_model.ensure(model_name, version, bundle.digest)
    began = ledger.transition(model_name, epoch)
    previous = began.from_version if began else None
    log.info(
        "Version %d of %s (%s) is in service as epoch %d, instead of %s.",
        version, model_name, row.candidate, epoch, f"version {previous}" if previous else "nothing",
    )  # fmt: skip
    return Promoted(version, bundle.digest, epoch, previous)


def project(model_name: str, *, alias_required: bool = True) -> Standing:
    """Write the release record and the MLflow alias from the ledger; does nothing if they agree with it already.

    One process at a time, each with the ledger as it is then: the last one writes the newest state. The record has a
    lock of its own: the servers follow it, and an MLflow that hangs must not keep another process from writing it.

    Parameters
    ----------
    alias_required : whether an MLflow server that does not answer is an error (the servers follow the record, not the
        alias) or only a warning, as on the return to an older version, which must not wait for it.
    """
    ledger, store = Ledger.default(), BundleStore.default()
    with ledger.locked(model_name):
        now = ledger.standing(model_name)
        write_record(store, now)
    try:
        with ledger.locked_in_mlflow(model_name):
            write_alias(ledger.standing(model_name))
    except PerennialError as error:
        if alias_required:
            raise
        log.warning("The MLflow alias of %s is behind the ledger until the next projection: %s", model_name, error)
    return now


def record_of(now: Standing) -> ReleaseRecord | None:
    """The release record that agrees with the ledger; ``None`` if nothing serves."""
    if now.version is None or now.digest is None or now.since is None:
        return None
    return ReleaseRecord(now.model, now.version, now.digest, now.epoch, now.since.isoformat(), now.run_id or "")


def write_record(store: BundleStore, now: Standing) -> None:
    """Put the release record of a model in place, or remove it. The caller holds `Ledger.locked`.

    Raises
    ------
    IntegrityError : the record in place is newer than the ledger.
    TransientError : the bundle store cannot be written.
    """
    record = record_of(now)
    try:
        if record is None:
            store.remove_release(now.model, now.epoch)
        else:
            store.write_release(record)
    except OSError as error:
        raise TransientError(
            f"the release record of {now.model} cannot be written: {error}. According to the ledger, "
            f"{'nothing serves' if now.version is None else f'version {now.version} serves'} (epoch {now.epoch}); the "
            f"servers keep what they have until the record is written. perennial_reconcile does that once the bundle "
            f"store {store.root} can be written."
        ) from error


def write_alias(now: Standing) -> None:
    """Point MLflow's alias at the champion, or remove it. The caller holds `Ledger.locked_in_mlflow`."""
    if now.version is None:
        tracking.remove_champion_alias(now.model)
    else:
        mlflow_versions.set_champion(now.model, now.version)


def verify(
    model_name: str, version: int, epoch: int, *, timeout: timedelta | None = None, go_back: bool = True
) -> Verified:
    """Check that the running server answers as this version; if it does not, go back to the champion before.

    Waits until the server names version and digest, then scores the probe rows over HTTP and compares. Call it again
    after a kill at any point: it continues where it was and ends the same way.

    Parameters
    ----------
    timeout : how long the server may fail to serve it (`live.PATIENCE`); default: the model's
        ``release.verify_timeout``.
    go_back : ``False`` only reports, as a rollback needs it, because a person chose the version.

    Raises
    ------
    ReleaseError : verification failed; the message says why and what serves now.
    ConflictError : another change of the champion came between; nothing was verified or changed.
    ConfigurationError : no model server is configured; nothing was verified or changed.
    """
    Settings.from_environment().require("serving_url")  # without an address, verification has no result: change nothing
    seconds = (timeout or settings_of(model_name).verify_timeout).total_seconds()
    ledger = Ledger.default()
    now = project(model_name, alias_required=False)
    if (now.version, now.epoch) != (version, epoch):
        after = ledger.transition(model_name, epoch + 1)
        if after is not None and after.action in ("restore", "withdraw") and after.from_version == version:
            raise _gone_back(model_name, version, after, seconds)
        raise ConflictError(
            f"version {version} of {model_name} at epoch {epoch} was superseded before it was verified: "
            + (f"{after.action} by {after.actor}, {after.reason!r}. " if after else "")
            + f"Now {'nothing serves' if now.version is None else f'version {now.version} serves'} (epoch {now.epoch})."
        )
    try:
        _, bundle = packaged(model_name, version)
        waited, difference = _look(bundle, version, seconds)
    except TransientError:
        raise  # the ledger did not answer: nothing is known about the version until a retry
    except PerennialError as error:
        if not go_back:
            raise ReleaseError(
                f"version {version} of {model_name} (epoch {epoch}) failed verification: {error}"
            ) from error
        log.error("Version %d of %s failed verification and goes out of service: %s", version, model_name, error)
        after = restore(model_name, epoch, str(error))
        raise _gone_back(model_name, version, after, seconds) from error
    ledger.note_once(now, "verify", f"The server answers as version {version}, probe rows within {difference:.2g}.")
    log.info(
        "The server answers as version %d of %s: swapped within %.2f s, probe rows within %.2g.",
        version, model_name, waited, difference,
    )  # fmt: skip
    return Verified(version, epoch, round(waited, 3), difference)


def restore(model_name: str, epoch: int, reason: str) -> AuditRow:
    """Take the champion of ``epoch`` out of service as failed: back to the newest past champion whose bundle is intact.

    If there is none, nothing serves: the release record is removed, and the epoch grows further at the next promotion.

    Raises
    ------
    ConflictError : the champion changed since; nothing was done.
    """
    ledger, store = Ledger.default(), BundleStore.default()
    run_id = ledger.standing(model_name).run_id or ""
    for past in ledger.past_champions(model_name):
        try:
            whole = store.open(model_name, past.bundle) if past.bundle else None
        except IntegrityError as error:
            log.error("Version %d of %s cannot serve again: %s", past.version, model_name, error)
            continue
        if whole is not None:
            new = ledger.promote(
                model_name, past.version, whole.digest, epoch, AUTOMATIC, run_id, reason, "restore", old_state="failed"
            )
            break
    else:
        new = ledger.withdraw(model_name, epoch, AUTOMATIC, run_id, reason)
    project(model_name, alias_required=False)
    after = ledger.transition(model_name, new)
    if after is None:
        raise IntegrityError(f"the ledger has no audit row for epoch {new} of {model_name}.")
    return after


def _look(bundle: Bundle, version: int, seconds: float) -> tuple[float, float]:
    """Seconds until the server reported that it serves the bundle, and the largest difference of its answers."""
    with LiveServer() as server:
        waited = server.wait_for(bundle.model, version, bundle.digest, seconds)
        return waited, server.compare(bundle, version, seconds)


def _gone_back(model_name: str, version: int, after: AuditRow, seconds: float) -> ReleaseError:
    """The error that ends a failed verification: why, what serves instead, and whether the server confirms it."""
    now = Ledger.default().standing(model_name)
    serves = "nothing serves now" if now.version is None else f"version {now.version} serves again"
    try:
        with LiveServer() as server:
            server.wait_for(model_name, now.version, now.digest, seconds)
        confirmed = "the server confirms it"
    except PerennialError as error:
        confirmed = f"but {error}"
    return ReleaseError(
        f"version {version} of {model_name} failed verification: {after.reason} It is marked failed and {serves} "
        f"(epoch {now.epoch}); {confirmed}."
    )
