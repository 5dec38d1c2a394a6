"""Going back by hand: to the previous or a named version, at once, with automatic promotion frozen until lifted."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass

from include.errors import ConfigurationError, ConflictError, IntegrityError, ReleaseError
from include.registry.bundles import BundleStore
from include.registry.ledger import Ledger, Standing
from include.release.promotion import project
from include.release.smoke import nameable, packaged
from include.retraining import mlflow_model

log = logging.getLogger(__name__)

_TRIES = 5


@dataclass(frozen=True)
class RolledBack:
    """An earlier version that serves again.

    Attributes
    ----------
    previous : what served before.
    frozen : whether automatic promotion is frozen now.
    note : a sentence about it.
    """

    version: int
    digest: str
    epoch: int
    previous: int | None
    frozen: bool
    note: str

    def as_dict(self) -> dict[str, object]:
        """For XCom."""
        return asdict(self)


@dataclass(frozen=True)
class Lifted:
    """The end of a freeze.

    Attributes
    ----------
    lifted : False if nothing was frozen.
    was : the reason of the freeze.
    version, epoch : what serves.
    note : a sentence about it; it names the version that the freeze held.
    """

    lifted: bool
    was: str | None
    version: int | None
    epoch: int
    note: str


def rollback(
    model_name: str, version: int | None, reason: str, actor: str, run_id: str, freeze: bool = True
) -> RolledBack:
    """Put an earlier version back into service. Preempts a release under way: its compare-and-set then fails.

    Parameters
    ----------
    version : a version with a bundle; ``None``: the one that served before the champion and did not fail.
    reason, actor : kept in the ledger; a frozen promotion quotes the reason.
    run_id : the run that does it. Called again with the same run, it does not go back any further.
    freeze : stop automatic promotions, in the same transaction, until `lift_freeze`.

    Raises
    ------
    ReleaseError : no such version, no (intact) bundle, or it serves already; lists the versions that can be chosen.
    ConfigurationError : the reason is empty.
    """
    if not reason.strip():
        raise ConfigurationError(f"a rollback of {model_name} needs a reason: the next person on call will need it.")
    ledger = Ledger.default()
    done = [row for row in ledger.history(model_name) if (row.run_id, row.action) == (run_id, "rollback")]
    for attempt in range(_TRIES):
        now = ledger.standing(model_name)
        chosen = done[-1].version if done else _target(ledger, now, version)
        if chosen is None:
            raise IntegrityError(f"the ledger's rollback by run {run_id!r} names no version.")
        target = chosen
        digest = _digest(ledger, model_name, target)
        try:
            epoch = ledger.promote(
                model_name, target, digest, now.epoch, actor, run_id, reason, "rollback", freeze=freeze
            )
            break
        except ConflictError:
            if done or attempt == _TRIES - 1:
                project(model_name, alias_required=False)
                raise
            log.info(
                "Another run changed the champion of %s at the same moment; trying again on top of it.", model_name
            )
    project(model_name, alias_required=False)
    mlflow_model.ensure(model_name, target, digest)
    began, standing = ledger.transition(model_name, epoch), ledger.standing(model_name)
    previous = began.from_version if began else None
    log.warning(
        "%s was rolled back by %s from version %s to version %d (epoch %d): %s%s",
        model_name, actor, previous, target, epoch, reason,
        " Automatic promotion is frozen until it is lifted." if standing.frozen else "",
    )  # fmt: skip
    then = f"automatic promotion is {ledger.frozen(model_name)}." if standing.frozen else "promotion continues."
    came = "" if previous is None else f" from v{previous}"
    note = f"ROLLED BACK {model_name}{came} to v{target} by {actor}: {reason}; {then}"
    return RolledBack(target, digest, epoch, previous, standing.frozen, note)


def check(model_name: str, version: int | None) -> int:
    """The version that `rollback` would go back to; nothing changes.

    Raises
    ------
    ReleaseError : as `rollback`.
    """
    ledger = Ledger.default()
    target = _target(ledger, ledger.standing(model_name), version)
    _digest(ledger, model_name, target)
    return target


def lift_freeze(model_name: str, actor: str, reason: str) -> Lifted:
    """Allow automatic promotions again."""
    ledger = Ledger.default()
    before = ledger.standing(model_name)
    after = ledger.unfreeze(model_name, actor, reason)
    note = f"NOTHING TO LIFT: automatic promotion of {model_name} is not frozen."
    if before.frozen:
        note = f"LIFTED the freeze of {model_name} by {actor}: {reason}. {_held(ledger, after)}"
        log.info("%s", note)
    return Lifted(before.frozen, before.frozen_reason, after.version, after.epoch, note)


def _held(ledger: Ledger, now: Standing) -> str:
    """What happens to the newest version that passed the gate and was held by the freeze only."""
    last = ledger.last_decision(now.model)
    row = ledger.version(now.model, last.version) if last is not None and last.version is not None else None
    if last is None or row is None or last.verdict != "hold" or row.state != "packaged":
        return "The next night may promote."
    return (
        f"Version {row.version} passed the gate meanwhile: release it with {now.model}_release, or let the next night "
        f"promote a newer one."
    )


def _target(ledger: Ledger, now: Standing, version: int | None) -> int:
    """The version to go back to."""
    others = nameable(ledger, BundleStore.default(), now.model)
    if version is None:
        previous = ledger.previous_champion(now.model)
        if previous is None:
            raise ReleaseError(f"{now.model} has no previous champion to go back to. {others}")
        return previous.version
    if version == now.version:
        raise ReleaseError(f"version {version} of {now.model} serves already (epoch {now.epoch}). {others}")
    return version


def _digest(ledger: Ledger, model_name: str, version: int) -> str:
    """The digest of the verified bundle of a version."""
    try:
        return packaged(model_name, version)[1].digest
    except IntegrityError as error:
        others = nameable(ledger, BundleStore.default(), model_name)
        raise ReleaseError(f"version {version} of {model_name} cannot serve again: {error} {others}") from error
