"""The smoke test: a packaged version is opened, loaded and asked for known answers before anybody is served by it."""

from __future__ import annotations

import logging
import time
from typing import Any

from include.errors import ReleaseError
from include.registry.bundles import Bundle, BundleStore
from include.registry.ledger import Ledger, VersionRow
from include.scoring import processor_time
from include.scoring.predictor import Predictor

log = logging.getLogger(__name__)


def smoke_test(model_name: str, version: int) -> dict[str, Any]:
    """Open a version's bundle (every byte verified), load it as the server would, and score its probe rows.

    Returns
    -------
    dict : ``version``, ``digest``, ``rows`` of the probe, ``max_difference`` from the packaged scores, ``load_ms``,
        ``latency_ms`` (processor time of one row). The times are reported; none of them decides anything.

    Raises
    ------
    ReleaseError : no such version, no bundle, a bundle of another version, or other scores than when it was packaged.
    IntegrityError : a file of the bundle is changed, missing or extra.
    """
    row, bundle = packaged(model_name, version)
    began = time.perf_counter()
    predictor = Predictor.load(bundle)
    loaded = time.perf_counter()
    difference = predictor.warm_up()
    rows = bundle.json("probe.json")["rows"]
    latency = processor_time.milliseconds(lambda at: predictor.predict([rows[at % len(rows)]]))
    result = {
        "version": version,
        "digest": bundle.digest,
        "rows": len(rows),
        "max_difference": difference,
        "load_ms": round((loaded - began) * 1000, 3),
        "latency_ms": round(latency, 4),
    }
    log.info(
        "Version %d of %s (%s) answers: %d probe rows within %.2g of their packaged scores; loaded in %.0f ms, one row "
        "takes %.2f ms of processor time.",
        version, model_name, row.candidate, len(rows), difference, result["load_ms"], result["latency_ms"],
    )  # fmt: skip
    return result


def packaged(model_name: str, version: int) -> tuple[VersionRow, Bundle]:
    """A version that can be put into service: its row in the ledger and its verified bundle.

    Raises
    ------
    ReleaseError : the ledger does not know it, it has no bundle, or the bundle was made for another version.
    IntegrityError : a file of the bundle is changed, missing or extra.
    """
    ledger, store = Ledger.default(), BundleStore.default()
    row = ledger.version(model_name, version)
    if row is None or row.bundle is None:
        what = "is not in the ledger" if row is None else f"is {row.state} and has no bundle"
        raise ReleaseError(f"version {version} of {model_name} {what}. {nameable(ledger, store, model_name)}")
    bundle = store.open(model_name, row.bundle)
    manifest = bundle.json("manifest.json")
    if (manifest.get("model"), manifest.get("version")) != (model_name, version):
        raise ReleaseError(
            f"bundle {row.bundle[:12]} was made for version {manifest.get('version')} of {manifest.get('model')}, and "
            f"the ledger names it for version {version} of {model_name}: package the version again."
        )
    return row, bundle


def nameable(ledger: Ledger, store: BundleStore, model_name: str, most: int = 10) -> str:
    """The sentence that names the versions that could be put into service instead."""
    now = ledger.standing(model_name).version
    rows = [row for row in ledger.versions(model_name) if row.bundle and row.version != now]
    usable = [f"{row.version} ({row.state})" for row in rows if row.bundle and store.has(model_name, row.bundle)]
    if not usable:
        return "No other version has a bundle in the store."
    more = f" and {len(usable) - most} older" if len(usable) > most else ""
    return f"Versions that can be named: {', '.join(usable[:most])}{more}."
