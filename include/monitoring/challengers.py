"""The newer fits that a champion is compared with: neither has seen the days of the comparison."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd

from include import catalog
from include.errors import PerennialError, TransientError
from include.registry.bundles import BundleStore
from include.registry.ledger import Ledger
from include.registry.rows import VersionRow
from include.retraining.ports import HoldoutRows
from include.retraining.served import Served
from include.spec import Model
from include.training import dataset, export, measures

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rows:
    """Labelled rows of the days of a comparison, oldest first; ``first`` and ``last`` are the first and last day.

    ``champion`` : the version that is compared; None: not known.
    """

    first: str
    last: str
    frame: pd.DataFrame
    labels: np.ndarray
    champion: int | None = None


@dataclass(frozen=True)
class Challenger:
    """A newer fit, and its scores of the rows of a comparison.

    Attributes
    ----------
    name : for people: ``version 12``, or ``the probe of 2026-05-03``.
    last : the last day that it was fitted on.
    scores : as `measures.score` gives them, in today's classes.
    """

    name: str
    last: str
    scores: np.ndarray


class Challengers(Protocol):
    """Where newer fits come from: the twins of the nights, or the probes of a model that is not retrained nightly."""

    def newest(self, rows: Rows, after: str | None) -> Challenger | None:
        """The newest fit that has not seen a day of the rows, and its scores.

        Parameters
        ----------
        after : the last day that the champion was fitted on. A fit that is not newer is of no use; None: not known.

        Returns
        -------
        None if there is no such fit.
        """


class TwinsOfTheLedger:
    """The twin of the newest version that has not seen the days, whatever became of the version.

    It is scored with the features code of the version's own bundle. A version without one, because the gate rejected or
    held it, is scored with the code of the model's folder, as long as this is the code that its run was made with.
    """

    def __init__(self, model: Model, store: BundleStore, ledger: Ledger) -> None:
        self.model, self.store, self.ledger = model, store, ledger

    def newest(self, rows: Rows, after: str | None) -> Challenger | None:
        for row in self.ledger.versions(self.model.name):
            if row.twin_last >= rows.first:
                continue
            if after is not None and row.twin_last <= after:
                return None  # older versions have older twins
            try:
                scores = self._scores(row, rows)
            except TransientError:
                raise
            except Exception as problem:  # code of the model's folder, or of a bundle
                if not isinstance(problem, PerennialError):
                    problem = PerennialError(f"{type(problem).__name__}: {problem}")
                log.warning("The twin of version %d of %s cannot be scored: %s", row.version, self.model.name, problem)
                continue
            if scores is not None:
                return Challenger(f"the twin of version {row.version}", row.twin_last, scores)
        return None

    def _scores(self, row: VersionRow, rows: Rows) -> np.ndarray | None:
        """The scores of a version's twin; None if the code of its features is not known."""
        if row.bundle is not None and self.store.has(self.model.name, row.bundle):
            holdout = HoldoutRows(rows.first, rows.last, rows.frame, rows.labels, pd.DataFrame())
            return Served(self.model, self.store).score(row, holdout)
        decision = self.ledger.decision(self.model.name, row.run_id)
        if decision is None or decision.code_digest != catalog.digest(self.model.name):
            log.info("Version %d of %s was made with other code, and has no bundle.", row.version, self.model.name)
            return None
        pipeline: Any = export.from_skops(
            self.store.get_twin(self.model.name, row.twin), self.model.training.trusted_types
        )
        return measures.score_features(self.model, pipeline, dataset.features_frame(self.model, rows.frame))


def first_known(several: Sequence[Challengers], rows: Rows, after: str | None) -> Challenger | None:
    """The newest fit of several sources."""
    found = [one for source in several if (one := source.newest(rows, after)) is not None]
    return max(found, key=lambda one: one.last, default=None)
