"""The trivial candidate next to a version: fitted once on the days of the version's release fit, and kept.

The baseline twins of a night are kept without a name by which they could be found again. So the declared baseline of
the model's folder is fitted when a version is first monitored, on the days of the version's snapshot that its release
model was fitted on, so that both know the same. It lies in the folder ``baselines`` of the lake, named by the digest of
the version's bundle: later days read it, and a change of the folder does not change what an old version is compared
with. It cannot be made if the snapshot is gone, or if the baseline of today cannot be fitted on it; then it is not
known, never 0.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pandas as pd

from include import files
from include.data.lake import Lake
from include.errors import DataError, TransientError
from include.monitoring.releases import Release
from include.spec import Model
from include.training import candidates, export, measures

log = logging.getLogger(__name__)

FOLDER = "baselines"


class Baselines:
    """The baselines of one model's versions, each loaded once."""

    def __init__(self, model: Model, lake: Lake) -> None:
        self.model, self.lake = model, lake
        self._loaded: dict[str, Any] = {}

    def scores(self, release: Release, frame: pd.DataFrame) -> np.ndarray | None:
        """The scores of a version's baseline, as `measures.score` gives them; None if they are not known.

        Raises
        ------
        TransientError : a service did not answer.
        """
        try:
            if release.digest not in self._loaded:
                self._loaded[release.digest] = self._pipeline(release)
            return measures.score(self.model, self._loaded[release.digest], frame)
        except TransientError:
            raise
        except Exception as problem:  # code of the model's folder
            log.warning("The baseline of version %d of %s is not known: %s", release.version, self.model.name, problem)
            return None

    def _pipeline(self, release: Release) -> Any:
        place = self.lake.root / FOLDER / f"{release.digest}.skops"
        trusted = self.model.training.trusted_types
        try:
            return export.from_skops(place.read_bytes(), trusted)
        except FileNotFoundError:
            fitted = self._fitted(release)
        data = export.proven_skops(fitted, f"the baseline of {self.model.name}", trusted)
        files.write(place, data)
        return export.from_skops(data, trusted)

    def _fitted(self, release: Release) -> Any:
        manifest = release.manifest
        try:
            snapshot, (first, last) = manifest["snapshot"]["digest"], manifest["windows"]["release"]
            seed = manifest["recipe"]["seed"]
        except (KeyError, TypeError, ValueError):
            raise DataError("its manifest does not have the days of its fit") from None
        declared = candidates.load(self.model)
        rows = self.lake.read_snapshot(snapshot, first, last)
        return candidates.fit(self.model, declared[candidates.baseline_name(declared)], rows, int(seed)).pipeline
