"""Where the model card of a version is in the bundle store; needs no running service."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from include import catalog
from include.errors import ConfigurationError, IntegrityError
from include.registry.bundles import BundleStore
from include.spelling import did_you_mean

CARD = "card.html"
MANIFESTS = "[0-9a-f]*/manifest.json"  # not those of bundles that are being written


def find(store: BundleStore, model: str | None = None, asked: str | int | None = None) -> Path:
    """The card of a version; of the champion if none is named. Every byte of its bundle is verified.

    Parameters
    ----------
    model : may be omitted if only one model has versions.
    asked : the number of the version.

    Raises
    ------
    ConfigurationError : there is no such model, or no such version of it, or nothing serves; names the nearest valid
    value. IntegrityError : the bundle is damaged, or its release record is.
    """
    name = _model(store, model)
    version, packaged = _number(asked), versions(store, name)
    record = store.read_release(name)
    if version is None:
        if record is None:
            raise ConfigurationError(f"no version of {name} serves{_these(name, packaged)}")
        digest = record.digest
    elif record is not None and record.version == version:
        digest = record.digest
    elif version in packaged:
        digest = packaged[version]
    else:
        near = min(packaged, key=lambda other: abs(other - version), default=None)
        hint = f"; the nearest is {near}" if near is not None else ""
        raise ConfigurationError(
            f"{name} has no packaged version {version}{hint}{_these(name, packaged)} What the gate rejected or held "
            "has no card: the reason is in the note of its run, and on its version in MLflow."
        )
    bundle = store.open(name, digest)
    if CARD not in bundle.sums:
        raise IntegrityError(f"the bundle {bundle.path} has no {CARD}: {sorted(bundle.sums)}")
    return bundle.path / CARD


def versions(store: BundleStore, model: str) -> dict[int, str]:
    """The digests of the packaged versions on disk; of two bundles of one version (packaged again by other code) that
    which was written last."""
    found: dict[int, tuple[float, str]] = {}
    for path in (store.root / model).glob(MANIFESTS):
        try:
            version = int(json.loads(path.read_bytes())["version"])
        except (OSError, ValueError, KeyError, TypeError):
            continue  # a damaged bundle is reported when it is requested
        found[version] = max(found.get(version, (0.0, "")), (path.parent.stat().st_mtime, path.parent.name))
    return {version: digest for version, (_, digest) in sorted(found.items())}


def _number(asked: str | int | None) -> int | None:
    if asked is None or str(asked).isdecimal():
        return None if asked is None else int(asked)
    raise ConfigurationError(
        f"version {asked!r} is not a number: give that of MLflow and the run's note, e.g. VERSION=3"
    )


def _model(store: BundleStore, asked: str | None) -> str:
    """The name of a model that has versions."""
    there = sorted({path.parent.parent.name for path in store.root.glob(f"*/{MANIFESTS}")})
    if asked in there:
        return str(asked)
    if not asked:
        if len(there) == 1:
            return there[0]
        names = f"Name one of: {', '.join(there)}; e.g. make card MODEL={there[0]}" if there else _none(store)
        raise ConfigurationError(f"which model? {names}")
    declared = catalog.folders()
    if asked in declared:
        other = f" ({', '.join(there)} {'have' if len(there) > 1 else 'has'} one)" if there else ""
        raise ConfigurationError(
            f"{asked} has no card yet{other}: a version has one when it has passed the gate. `make night "
            f"MODEL={asked}` may make one; looked in {store.root}."
        )
    raise ConfigurationError(f"no model {asked!r}{did_you_mean(asked, {*there, *declared})}")


def _none(store: BundleStore) -> str:
    return f"None has a version in {store.root}: `make run` makes the first."


def _these(model: str, packaged: Mapping[int, str]) -> str:
    """The packaged versions, for an error."""
    if not packaged:
        return ". None is packaged."
    newest = [str(version) for version in sorted(packaged, reverse=True)[:10]]
    more = f" and {len(packaged) - 10} older" if len(packaged) > 10 else ""
    return f". Packaged: {', '.join(newest)}{more}; e.g. make card MODEL={model} VERSION={newest[0]}."
