"""The last verified bundle of every model, kept with the server so that it can start without the store and the ledger.

It is itself a bundle store (the bundle is written first, then the record that names it), so every write is atomic and
every load is verified like any other.
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from include.errors import PerennialError
from include.registry.bundles import Bundle, BundleStore, ReleaseRecord

logger = logging.getLogger(__name__)


class LocalCopy:
    """Local copies below one folder, ``<home>/serving/last``."""

    def __init__(self, root: Path) -> None:
        self._store = BundleStore(root)

    def folder(self, model: str) -> Path:
        return self._store.root / model

    def models(self) -> set[str]:
        """Names of the models that have a copy."""
        return set(self._store.released())

    def epoch(self, model: str) -> int:
        """The epoch of the copy; 0 if there is none or it cannot be read."""
        try:
            record = self._store.read_release(model)
        except (PerennialError, OSError):
            return 0
        return record.epoch if record else 0

    def open(self, model: str) -> tuple[ReleaseRecord, Bundle] | None:
        """The copy, every byte verified; ``None`` if there is none; IntegrityError if it is damaged."""
        record = self._store.read_release(model)
        return (record, self._store.open(model, record.digest)) if record else None

    def keep(self, record: ReleaseRecord, bundle: Bundle) -> None:
        """Make this the copy of its model; copies of other versions are deleted once the record names this one."""
        model = record.model
        if self._store.has(model, record.digest) and self._damaged(model, record.digest):
            shutil.rmtree(self.folder(model) / record.digest)
        self._store.write(model, {name: bundle.read(name) for name in bundle.sums})
        self._store.write_release(record)
        for path in self.folder(model).iterdir():
            if path.is_dir() and path.name != record.digest and not path.name.startswith("."):
                shutil.rmtree(path, ignore_errors=True)

    def drop(self, model: str) -> None:
        """Delete the copy of a model that was taken out of service, its record first."""
        folder = self.folder(model)
        if folder.is_dir():
            (folder / "release.json").unlink(missing_ok=True)
            shutil.rmtree(folder, ignore_errors=True)

    def _damaged(self, model: str, digest: str) -> bool:
        try:
            self._store.open(model, digest)
        except PerennialError:
            return True
        return False
