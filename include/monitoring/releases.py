"""Release models of versions: they score rows of the lake as the server scores requests, with the code of their bundle.

Nothing of today's model folder is run: the predictor is that of the server, and the features code is the bundle's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from include.errors import DataError, IntegrityError
from include.registry.bundles import Bundle, BundleStore
from include.retraining.served import as_declared_then
from include.scoring.columns import columns_for
from include.scoring.documents import Column
from include.scoring.predictor import Predictor
from include.spec import Model
from include.training import dataset

ROWS_AT_ONCE = 100_000
UNKNOWN = float("nan")


@dataclass(frozen=True)
class Release:
    """One version in its verified bundle."""

    model: Model
    version: int
    bundle: Bundle

    @property
    def digest(self) -> str:
        return self.bundle.digest

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The document; older ones have fewer fields."""
        found = self.bundle.json("manifest.json")
        return found if isinstance(found, dict) else {}

    @property
    def last(self) -> str | None:
        """The last day that it was fitted on; None if its manifest does not have it."""
        found = (self.manifest.get("release") or {}).get("last")
        return str(found) if found else None

    def promise(self, metric: str) -> float | None:
        """What the gate saw: a metric of its twin on its holdout; None if it is not known."""
        found = ((self.manifest.get("twin") or {}).get("metrics") or {}).get(metric)
        return float(found) if isinstance(found, int | float) else None

    def fitted_on(self, key: str, *, unknown: bool = True) -> bool:
        """Whether it was fitted on a day, or on later ones; ``unknown`` if its manifest does not have that."""
        return unknown if self.last is None else key <= self.last

    @cached_property
    def predictor(self) -> Predictor:
        """The predictor of the server.

        Raises
        ------
        DataError : it answers another question than the model of today, so its scores cannot be compared with labels.
        """
        found = Predictor.load(self.bundle)
        as_declared_then(self.model, found.schema)
        return found

    def scores(self, frame: pd.DataFrame) -> np.ndarray:
        """The score of each row; nan for a row that the server refuses, or has no finite score for.

        Parameters
        ----------
        frame : rows of the lake.

        Returns
        -------
        float64 array of shape (rows,); of several classes of shape (rows, classes), in the order of today's classes.

        Raises
        ------
        DataError : a column that it needs is not declared any more.
        ModelFailure : its own code failed.
        """
        parts = [self._scores(frame.iloc[at : at + ROWS_AT_ONCE]) for at in range(0, len(frame), ROWS_AT_ONCE)]
        return np.concatenate(parts) if parts else empty_scores(self.model, 0)

    def _scores(self, frame: pd.DataFrame) -> np.ndarray:
        predictor = self.predictor
        columns = predictor.schema.columns
        absent = [c.name for c in columns if c.name not in frame.columns]
        needed = [c.name for c in columns if c.name in absent and not c.nullable]
        if needed:
            raise DataError(
                f"version {self.version} of {self.model.name} needs the column {needed[0]!r}, which is no longer "
                f"declared: declare it in model.py, or retrain."
            )
        if absent:
            frame = frame.assign(**{name: pd.Series(None, index=frame.index, dtype=object) for name in absent})
        found = predictor.score_columns(columns_for([(c.name, c.type) for c in columns], frame), len(frame))
        scores = self._in_todays_classes(np.array(found, dtype=np.float64))
        refused = _refused(columns, frame) | ~known(scores)
        scores[refused] = UNKNOWN
        return scores

    def _in_todays_classes(self, scores: np.ndarray) -> np.ndarray:
        classes = self.predictor.classes
        if classes is None:
            return scores
        place = {str(name): at for at, name in enumerate(classes)}
        found = np.zeros((len(scores), len(dataset.class_names(self.model))))
        for at, name in enumerate(dataset.class_names(self.model)):
            if name in place:
                found[:, at] = scores[:, place[name]]
        return found


class Releases:
    """The release models of one model, each loaded once."""

    def __init__(self, model: Model, store: BundleStore) -> None:
        self.model, self._store = model, store
        self._loaded: dict[tuple[int, str], Release] = {}

    def of(self, version: int, digest: str) -> Release:
        """Open a version.

        Raises
        ------
        IntegrityError : its bundle is missing or damaged.
        """
        found = self._loaded.get((version, digest))
        if found is None:
            found = self._loaded[version, digest] = Release(
                self.model, version, self._store.open(self.model.name, digest)
            )
        return found

    def known(self, version: int, digest: str | None) -> Release | None:
        """The same; None if it cannot be opened."""
        try:
            return None if digest is None else self.of(version, digest)
        except IntegrityError:
            return None


def known(scores: np.ndarray) -> np.ndarray:
    """Which rows have a score: a boolean for each."""
    finite = np.isfinite(scores)
    return finite if finite.ndim == 1 else finite.all(axis=1)


def empty_scores(model: Model, rows: int) -> np.ndarray:
    """Scores of no row, in the shape that those of this model have."""
    classes = dataset.class_names(model)
    return np.full((rows, len(classes)) if classes else rows, UNKNOWN)


def _refused(columns: list[Column], frame: pd.DataFrame) -> np.ndarray:
    """Rows that lack a value that the version needs."""
    found = np.zeros(len(frame), dtype=bool)
    for column in columns:
        if not column.nullable:
            found |= frame[column.name].isna().to_numpy(dtype=bool)
    return found
