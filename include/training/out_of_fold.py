"""Scores of days by fits that have not seen them: what scores of a model in service look like while nothing drifts.

Scores of rows that a model was fitted on are more extreme than those of new rows: compared with them every later day
would look like drift. So the days are scored in blocks of whole consecutive days, each by a fit of the released recipe
without the block (cross-validation by blocks: Roberts et al. 2017, Ecography 40, 913-929). The newest days need no
fit: the twin of the version has not seen them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from include.errors import DataError
from include.spec import Candidate, Model
from include.training import candidates, dataset, measures
from include.training.plan import Span

BLOCKS = 3
"""Extra fits. With the default windows each block has 22 or 23 of 67 days; the holdout is scored by the twin."""
MOST_ROWS = 30_000
"""Rows of one extra fit, a sample if there are more. Of a year of days (250,000 rows) the scores have the same mean
and spread as those of fits on all of them (.230 and .154 to .231 and .153), in a quarter of the time."""
UNUSABLE = (DataError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What an estimator or `features.build` raises on rows that they cannot take."""


@dataclass(frozen=True)
class Recipe:
    """How the version was fitted.

    Attributes
    ----------
    twin : its fitted pipeline, of which unfitted copies are made: same parameters, seed and iterations. ``holdout`` :
        the days that it has not seen.
    days : the number of days that it was fitted on. ``seed`` : of samples.
    build : its features code; None: that of the model's folder.
    """

    twin: Any
    holdout: Span
    days: int
    seed: int
    build: dataset.Build | None = None


def score(model: Model, recipe: Recipe, rows: pd.DataFrame, days: Sequence[str]) -> np.ndarray:
    """The scores of all rows of these days, with and without a label, each by a fit that has not seen its day.

    Parameters
    ----------
    rows : of these days and of all others that may be fitted on, sorted by `dataset.sort`.
    days : ascending partition keys.

    Returns
    -------
    As `measures.score`, for the rows of ``days`` in their order; nan if the score of a row is not finite.

    Raises
    ------
    DataError : a block cannot be fitted or scored; names its days.
    """
    label = model.data.label.column
    if label not in rows.columns:
        raise DataError(f"the rows have no label {label!r} to fit on")
    labelled = dataset.labelled(model, rows)
    every = sorted(set(labelled["partition"]))
    found = []
    for block in _blocks(days, recipe.holdout):
        here = dataset.between(rows, (block[0], block[-1]))
        try:
            pipeline = recipe.twin
            if block[0] < recipe.holdout[0]:
                chosen = nearest(every, block, recipe.days)
                learned = labelled.loc[labelled["partition"].isin(chosen)]
                pipeline = _fit(model, recipe, learned)
            scores = measures.unchecked(model, pipeline, dataset.features_frame(model, here, recipe.build))
        except UNUSABLE as problem:
            said = problem if isinstance(problem, DataError) else f"{type(problem).__name__}: {problem}"
            raise DataError(
                f"the days {block[0]} to {block[-1]} could not be scored by a fit that has not seen them: {said}"
            ) from problem
        found.append(np.where(np.isfinite(scores), scores, np.nan))
    return np.concatenate(found)


def nearest(days: Sequence[str], block: Sequence[str], most: int) -> set[str]:
    """At most so many of the days that are not within the block: those nearest to it, so that a fit learns from the
    same season and from as many days as the version."""
    first, last = date.fromisoformat(block[0]), date.fromisoformat(block[-1])

    def apart(key: str) -> int:
        day = date.fromisoformat(key)
        return max((first - day).days, (day - last).days)

    outside = [key for key in days if not block[0] <= key <= block[-1]]
    return set(sorted(outside, key=lambda key: (apart(key), key))[:most])


def _blocks(days: Sequence[str], holdout: Span) -> Iterator[list[str]]:
    """The days in blocks, in order: those before the holdout, and the holdout."""
    older = [key for key in days if key < holdout[0]]
    for part in np.array_split(np.array(older, dtype=object), BLOCKS):
        if len(part):
            yield part.tolist()
    newest = [key for key in days if key >= holdout[0]]
    if newest:
        yield newest


def _fit(model: Model, recipe: Recipe, learned: pd.DataFrame) -> Any:
    most = max(MOST_ROWS, model.training.min_rows)
    if len(learned) > most:
        chosen = np.random.default_rng(recipe.seed).choice(len(learned), size=most, replace=False)
        learned = learned.iloc[np.sort(chosen)]
    return candidates.fit(model, Candidate(clone(recipe.twin)), learned, recipe.seed, build=recipe.build).pipeline
