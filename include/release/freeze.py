"""A freeze holds automatic releases. It is a person's decision, not a failure: the run ends green and names it."""

from __future__ import annotations

import logging

from include.registry import tracking
from include.registry.ledger import Ledger
from include.registry.rows import FreezeRow

log = logging.getLogger(__name__)


def held_by_freeze(model_name: str, version: int) -> str | None:
    """Hold the release of a version that the gate has passed, if automatic promotion is frozen.

    Returns
    -------
    The sentence of `hold`, or ``None`` if nothing is frozen.
    """
    freeze = Ledger.default().frozen(model_name)
    return None if freeze is None else hold(version, freeze)


def hold(version: int, freeze: FreezeRow) -> str:
    """Record in the ledger and in MLflow that a freeze holds a version. The same call again changes nothing.

    Returns
    -------
    ``HELD v7: frozen by ada since ..., because ...; lift it with ...``, and what happens to the version.
    """
    Ledger.default().hold_promotion(freeze.model, version, str(freeze))
    tracking.tag_version(
        freeze.model, version, {"perennial.verdict": "hold", "perennial.reason": f"held: {freeze}"[:4000]}
    )
    sentence = (
        f"HELD v{version}: {freeze}. It passed the gate and stays packaged: after that, release it with "
        f"{freeze.model}_release."
    )
    log.warning("%s", sentence)
    return sentence
