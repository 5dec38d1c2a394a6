"""The smoke test: a packaged version is opened and loaded, and must reproduce known scores before it serves."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, dataclass

from include import catalog
from include.errors import PerennialError, ReleaseError
from include.registry.bundles import Bundle, BundleStore
from include.registry.ledger import Ledger, VersionRow
from include.scoring import latency
from include.scoring.documents import Probe
from include.scoring.predictor import Predictor
from include.spec import Release

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SmokeTested:
    """A version that passed.

    Attributes
    ----------
    rows : how many probe rows it scored.
    max_difference : the largest difference from their packaged scores.
    load_ms : milliseconds to load the bundle, on the clock. Reported only.
    latency_ms : processor time of one row, which has a limit (``release.max_row_milliseconds``).
    """

    version: int
    digest: str
    rows: int
    max_difference: float
    load_ms: float
    latency_ms: float

    def as_dict(self) -> dict[str, object]:
        """For XCom."""
        return asdict(self)


def smoke_test(model_name: str, version: int) -> SmokeTested:
    """Open a version's bundle (every byte verified), load it as the server would, and score its probe rows.

    Raises
    ------
    ReleaseError : no such version, no bundle, a bundle of another version, scores that differ from the packaged ones,
        or a row that takes too long.
    IntegrityError : a file of the bundle is changed, missing or extra.
    """
    known, bundle = packaged(model_name, version)
    began = time.perf_counter()
    predictor = Predictor.load(bundle)
    loaded = time.perf_counter()
    probe = Probe.of(bundle)
    difference = predictor.warm_up(probe)
    row = latency.guard(predictor, probe.rows, settings_of(model_name).max_row_milliseconds, model_name)
    result = SmokeTested(
        version, bundle.digest, len(probe.rows), difference, round((loaded - began) * 1000, 3), round(row, 4)
    )
    log.info(
        "Version %d of %s (%s) answers: %d probe rows within %.2g of their packaged scores; loaded in %.0f ms, one row "
        "takes %.2f ms of processor time.",
        version, model_name, known.candidate, result.rows, difference, result.load_ms, result.latency_ms,
    )  # fmt: skip
    return result


def settings_of(model_name: str) -> Release:
    """The model's settings of a release; the defaults if its folder is broken, which must not stop a release."""
    try:
        return catalog.load(model_name).release
    except PerennialError as error:
        log.warning("The default settings of a release are used for %s: %s", model_name, error)
        return Release()


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
    return f"Versions to choose from: {', '.join(usable[:most])}{more}."
