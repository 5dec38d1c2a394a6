"""What a bundle's manifest says about a version, as far as pages show it.

The manifest's own record (`include.cards.facts.Manifest`) takes pandas and deltalake with it, which a web server should
not import for a page, and refuses fields that it does not know. This reads what is there.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from include.errors import PerennialError
from include.overview.records import Figure

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Packaged:
    """Facts of a manifest; ``None`` or empty if there is no bundle, or it does not say.

    Attributes
    ----------
    snapshot : digest of the frozen data; ``snapshot_rows``, ``first`` and ``last`` of it.
    learned_from, learned_to, rows : of the release model.
    metrics : of the twin on the holdout, without intervals. ``holdout`` : its first and last day.
    """

    snapshot: str | None = None
    snapshot_rows: int | None = None
    first: str | None = None
    last: str | None = None
    as_of: str | None = None
    code: str | None = None
    commit: str | None = None
    learned_from: str | None = None
    learned_to: str | None = None
    rows: int | None = None
    holdout: tuple[str, str] | None = None
    python: str | None = None
    packages: Mapping[str, str] = field(default_factory=dict)
    metrics: tuple[Figure, ...] = ()


def packaged(model: str, digest: str | None) -> Packaged:
    """The facts of a bundle; nothing if there is none, or it cannot be read (which is logged)."""
    if digest is None:
        return Packaged()
    from include.registry.bundles import BundleStore

    try:
        document = BundleStore.default().open(model, digest).json("manifest.json")
    except (PerennialError, OSError, ValueError) as error:
        log.warning("The bundle %s of %s cannot be read: %s", digest[:12], model, error)
        return Packaged()
    return of_manifest(document)


def of_manifest(document: object) -> Packaged:
    """The facts of a manifest."""
    made = _Document(document)
    snapshot, release, holdout, twin = (made.part(name) for name in ("snapshot", "release", "holdout", "twin"))
    span = holdout.text("first"), holdout.text("last")
    return Packaged(
        snapshot=snapshot.text("digest"),
        snapshot_rows=snapshot.whole("rows"),
        first=snapshot.text("first"),
        last=snapshot.text("last"),
        as_of=made.text("as_of"),
        code=made.text("code_digest"),
        commit=made.text("commit"),
        learned_from=release.text("first"),
        learned_to=release.text("last"),
        rows=release.whole("rows"),
        holdout=(span[0], span[1]) if span[0] is not None and span[1] is not None else None,
        python=made.text("python"),
        packages={name: str(version) for name, version in made.part("packages").values.items()},
        metrics=tuple(Figure(name, _number(value)) for name, value in twin.part("metrics").values.items()),
    )


class _Document:
    """A JSON object whose fields may be missing, or of another type."""

    def __init__(self, document: object) -> None:
        self.values: Mapping[str, Any] = document if isinstance(document, Mapping) else {}

    def part(self, name: str) -> _Document:
        return _Document(self.values.get(name))

    def text(self, name: str) -> str | None:
        value = self.values.get(name)
        return value if isinstance(value, str) else None

    def whole(self, name: str) -> int | None:
        value = self.values.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
