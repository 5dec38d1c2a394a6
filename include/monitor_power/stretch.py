"""A stretch of days as monitoring sees them: columns of inputs and scores that no fit has seen; and references of some.

Which days are the reference and which ones follow is drawn at random, so that there is no drift between them, whatever
there was between the seasons. With blocks of several days, days that resemble each other stay together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pandas as pd

from include.backtest.history import History
from include.errors import DataError
from include.partitions import earlier, keys_between
from include.spec import Model
from include.statistics import reference
from include.statistics.reference import ENOUGH_DAYS, LAYOUT, DayProfile, Importance, Reference
from include.training import dataset, importance, out_of_fold, profiling
from include.training.candidates import Fitted

Columns = Mapping[str, np.ndarray]
BEGIN = date(2001, 1, 1)
"""The first key of drawn days: they follow each other in the calendar in the order in which they were drawn."""


@dataclass(frozen=True)
class Day:
    """One day: its inputs and scores as they are profiled."""

    rows: int
    duplicates: int
    inputs: Columns
    scores: Columns


@dataclass(frozen=True)
class Stretch:
    """Consecutive days, and what the inputs matter.

    Attributes
    ----------
    keys : of the days, ascending.
    """

    model: Model
    keys: tuple[str, ...]
    days: tuple[Day, ...]
    importance: Importance

    def reference(self, chosen: Sequence[int]) -> Reference:
        """The reference that a version would have whose newest days are these, by their places."""
        days = [self.days[at] for at in chosen]
        ends = np.cumsum([day.rows for day in days])
        places = [np.arange(end - day.rows, end) for day, end in zip(days, ends, strict=True)]

        def of(name: str, columns: Sequence[Columns]) -> reference.FeatureReference:
            return reference.of_feature(name, np.concatenate([one[name] for one in columns]), places)

        inputs, scores = [day.inputs for day in days], [day.scores for day in days]
        return Reference(
            layout=LAYOUT,
            snapshot="drawn",
            days=tuple(key_of(at) for at in range(len(days))),
            rows=tuple(day.rows for day in days),
            duplicates=tuple(day.duplicates for day in days),
            features=tuple(of(name, inputs) for name in inputs[0]),
            scores=tuple(of(name, scores) for name in scores[0]),
            importance=self.importance,
        )


def key_of(at: int) -> str:
    """The partition key of a drawn day."""
    return (BEGIN + timedelta(days=at)).isoformat()


def profile(made: Reference, key: str, day: Day) -> DayProfile:
    """A day on the schemes of a reference."""
    return made.profile(key, day.rows, day.duplicates, day.inputs, day.scores)


def take(model: Model, history: History, twin: Fitted, last: str, days: int) -> Stretch:
    """The days up to ``last``, scored by fits that have not seen them.

    Parameters
    ----------
    twin : a fit whose recipe is used, and which is old enough not to have seen the newest ``training.holdout_days``.

    Raises
    ------
    DataError : too few days.
    """
    first = earlier(last, days - 1)
    there = [key for key in keys_between(first, last) if key in history.published()]
    if len(there) < ENOUGH_DAYS + model.monitoring.of_days:
        raise DataError(f"{len(there)} days of {model.name} from {first} to {last} are published: too few to draw from")
    whole = dataset.sort(model, history.read_snapshot(history.snapshot(min(history.published()), last)))
    holdout = earlier(last, model.training.holdout_days - 1), last
    recipe = out_of_fold.Recipe(twin.pipeline, holdout, model.training.window_days, model.training.seed)
    scores = out_of_fold.score(model, recipe, whole, there)
    here = whole.loc[whole["partition"].isin(there)].reset_index(drop=True)
    named, inputs = profiling.scores(model, scores), dict(profiling.columns(model, here))
    doubled, places = profiling.duplicated(model, here), _places(here)
    found = [
        Day(
            rows=len(places[key]),
            duplicates=int(doubled[places[key]].sum()),
            inputs={name: values[places[key]] for name, values in inputs.items()},
            scores={name: values[places[key]] for name, values in named.items()},
        )
        for key in there
    ]
    matters = importance.of_inputs(model, twin.pipeline, dataset.between(whole, holdout), model.training.seed)
    return Stretch(model, tuple(there), tuple(found), matters)


def _places(rows: pd.DataFrame) -> dict[str, np.ndarray]:
    return {str(key): np.asarray(at) for key, at in rows.groupby("partition", observed=True).indices.items()}
