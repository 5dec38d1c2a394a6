"""The versions of the ledger in MLflow, registered again if they were deleted there.

The ledger numbers versions. MLflow numbers its own and does not accept a given number, so the ledger records which
version of MLflow stands for which of its own. Both numbers are equal unless something was deleted in MLflow. If MLflow
has lost a registered model, its versions are registered again in their old order, which usually gives them their old
numbers.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from include.registry import tracking
from include.registry.ledger import Ledger
from include.registry.rows import NumberRow

log = logging.getLogger(__name__)


def allocate(model: str, run_id: str, mlflow_run_id: str) -> int:
    """The number of the version that a run makes; always the same for one run, even if MLflow changes.

    A new number is higher than all numbers of the ledger and of MLflow. Round trips: 1 for a new one.
    """
    ledger = Ledger.default()
    known = ledger.number_of_run(model, run_id)
    at_least = 1 if known else tracking.newest_version(model) + 1
    return ledger.allocate(model, run_id, mlflow_run_id, at_least).version


def register(model: str, version: int, tags: Mapping[str, object]) -> int:
    """Register a version in MLflow with these tags and return its number there; a no-op if it is registered.

    Round trips: 1 if it is registered, else 4 (5 for the first of a model).
    """
    ledger = Ledger.default()
    with ledger.locked_in_mlflow(model):
        return _place(ledger, model, version, tags)


def tag(model: str, version: int, tags: Mapping[str, object]) -> None:
    """Set tags of a version in MLflow. Round trips: 1, and those of `tracking.tag_version`."""
    tracking.tag_version(model, register(model, version, {}), tags)


def describe(model: str, version: int, tags: Mapping[str, object], text: str) -> None:
    """`tag`, and the description of a version in MLflow, in Markdown. Round trips: 1 more than `tag`."""
    number = register(model, version, {})
    tracking.tag_version(model, number, tags)
    tracking.describe_version(model, number, text)


def set_champion(model: str, version: int) -> None:
    """Point the alias ``champion`` at a version. The caller holds `Ledger.locked_in_mlflow`. Round trips: 3."""
    tracking.set_champion_alias(model, _place(Ledger.default(), model, version, {}))


def page(model: str, version: int) -> str:
    """The address of a version's page in MLflow, for a browser."""
    return tracking.version_url(model, Ledger.default().number(model, version).mlflow_version or version)


def _place(ledger: Ledger, model: str, version: int, tags: Mapping[str, object]) -> int:
    """The number of a version in MLflow. The version is registered (again) if MLflow does not have it."""
    row = ledger.number(model, version)
    known = row.mlflow_version
    if known is not None:
        found = tracking.version_tags(model, known)
        if found is not None and found.get(tracking.RUN_TAG) == row.run_id:
            return known
    if not tracking.is_registered(model) and (lost := ledger.forget_mlflow(model)):
        log.warning("MLflow has lost the %d versions of %s: they are registered again, from the ledger.", lost, model)
    for earlier in ledger.unregistered(model, before=version):
        _create(ledger, earlier, {})
    number = _create(ledger, row, tags)
    if known is not None:
        log.warning(
            "Version %d of %s is no longer in MLflow (it was version %d there). It is registered again as version "
            "%d of MLflow.",
            version, model, known, number,
        )  # fmt: skip
    elif number != version:
        log.info("Version %d of %s is version %d in MLflow: something was deleted there.", version, model, number)
    return number


def _create(ledger: Ledger, row: NumberRow, tags: Mapping[str, object]) -> int:
    """Register a version in MLflow (found by its run if it is there) and map it."""
    known = ledger.version(row.model, row.version)
    labels: dict[str, object] = {}
    if known is not None:
        labels = {"perennial.candidate": known.candidate}
        labels |= {"perennial.bundle": known.bundle} if known.bundle else {}
    labels |= {**tags, tracking.VERSION_TAG: row.version}
    number = tracking.create_version(row.model, row.run_id, row.mlflow_run_id, labels)
    ledger.set_mlflow_version(row.model, row.version, number)
    return number
