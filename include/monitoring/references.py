"""The reference of a version in service: from its bundle; of an older bundle without one, made once and kept."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from include import files
from include.cards.facts import Manifest
from include.data.lake import Lake
from include.errors import DataError, IntegrityError, ReleaseError
from include.registry.bundles import Bundle, BundleStore
from include.registry.ledger import Ledger
from include.retraining.served import as_declared_then
from include.scoring.documents import InputSchema
from include.spec import Model
from include.statistics.reference import FILE, LAYOUT, DayProfile, Reference
from include.training import dataset, export, profiling, reference
from include.training.reference import Origin

log = logging.getLogger(__name__)

FOLDER = "references"
"""Below a model's lake: the references of bundles that have none of the present layout, by the digest of the bundle."""


def of_version(model: Model, version: int) -> Reference:
    """The reference of a version.

    That of a bundle from before references, or of another layout, is made of the version's snapshot and twin and kept
    below the model's lake; it is the same whoever makes it, so several processes may.

    Raises
    ------
    DataError : the ledger has no such version, it has no bundle, or its training data are no longer there.
    IntegrityError : the bundle or its snapshot is damaged.
    """
    row = Ledger.default().version(model.name, version)
    if row is None or row.bundle is None:
        what = "the ledger does not know it" if row is None else f"it has no bundle, because it is {row.state}"
        raise DataError(f"version {version} of {model.name} has no reference: {what}.")
    bundle = BundleStore.default().open(model.name, row.bundle)
    found = _read(bundle.read(FILE), f"{bundle.path / FILE}") if FILE in bundle.sums else None
    lake = Lake.of(model)
    kept = lake.root / FOLDER / f"{bundle.digest}.json"
    found = found or _kept(kept)
    if found is None:
        found = _made(model, version, bundle, lake)
        files.write(kept, reference.encoded(found))
        log.info("Version %d of %s has no reference in its bundle; it was made and is kept.", version, model.name)
    return found


def profile_day(
    model: Model, known: Reference, rows: pd.DataFrame, scores: np.ndarray | None = None, key: str | None = None
) -> DayProfile:
    """Profile one day as the reference was made: `profiling.profile`.

    Parameters
    ----------
    rows : all published rows of the day, with the column ``partition``. scores : as `measures.score` gives them.
    key : the partition key; it is needed if the day has no row.

    Raises
    ------
    DataError : the rows are not of one day, or a value does not have its declared type.
    """
    return profiling.profile(model, known, rows, scores, key)


def _read(data: bytes, where: str) -> Reference | None:
    """The reference in a file; None if it has another layout."""
    try:
        document = json.loads(data)
    except ValueError as problem:
        raise IntegrityError(f"{where} is not JSON: {problem}") from None
    if not isinstance(document, dict) or document.get("layout") != LAYOUT:
        return None
    return Reference.of(document)


def _kept(path: Path) -> Reference | None:
    """A reference that was made before; None if it cannot be read, so that it is made again."""
    try:
        return _read(path.read_bytes(), str(path))
    except FileNotFoundError:
        return None
    except IntegrityError as problem:
        log.warning("%s: it is made again.", problem)
        return None


def _made(model: Model, version: int, bundle: Bundle, lake: Lake) -> Reference:
    made = Manifest.of(bundle.json("manifest.json"))
    if not (lake.root / made.snapshot.path).is_file():
        raise DataError(
            f"version {version} of {model.name} has no reference in its bundle, and none can be made: its training "
            f"data, snapshot {made.snapshot.digest[:12]} of {made.snapshot.first} to {made.snapshot.last}, are no "
            "longer there. The next version that is packaged has one."
        )
    source = f"{bundle.path}/source/features.py"
    origin = Origin(made.snapshot, made.windows, made.recipe.seed, twin=None)
    try:
        then = as_declared_then(model, InputSchema.of(bundle))
        kept = BundleStore.default().get_twin(model.name, made.twin.digest)
        twin = export.from_skops(kept, model.training.trusted_types)
        build = dataset.builder_from_source(bundle.read("source/features.py"), source)
    except (DataError, IntegrityError, ReleaseError) as problem:
        log.warning("Version %d of %s can be monitored by its inputs only: %s", version, model.name, problem)
        return reference.make(model, replace(origin, lack=str(problem)), lake)
    return reference.make(then, replace(origin, twin=twin, build=build), lake)
