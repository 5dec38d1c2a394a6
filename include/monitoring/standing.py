"""Where a model stands for the policy: what its champion has learned from, and what became of the newest version."""

from __future__ import annotations

from include.monitoring.measuring import MeasuredDay, Measuring
from include.monitoring.policy import Labels, Newest, Promotion
from include.registry.ledger import Ledger

OF_STATE = {"held": Promotion.HELD, "rejected": Promotion.REFUSED, "failed": Promotion.REFUSED}


def labels(measuring: Measuring, day: MeasuredDay, key: str) -> Labels:
    """The last day that the champion was fitted on, and the newest day with final labels."""
    champion, window = day.champion, measuring.days.window(key)
    release = None if champion is None else measuring.releases.known(champion.version, champion.digest)
    return Labels(learned_until=None if release is None else release.last, matured_until=window[-1] if window else None)


def newest(ledger: Ledger, model: str) -> Newest:
    """What keeps the newest version from being the champion, as far as the ledger has it.

    Raises
    ------
    TransientError : the ledger did not answer.
    """
    now, frozen = ledger.standing(model), ledger.frozen(model)
    row = next(iter(ledger.versions(model)), None)
    version = None if row is None or row.version == now.version else row.version
    if frozen is not None:
        return Newest(promotion=Promotion.FROZEN, version=version, why=str(frozen))
    if row is None or version is None:
        return Newest()
    decision = ledger.decision(model, row.run_id)
    why = "" if decision is None else decision.reason
    return Newest(promotion=OF_STATE.get(row.state, Promotion.NORMAL), version=version, why=why)
