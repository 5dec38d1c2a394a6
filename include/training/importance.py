"""Permutation importance of the raw inputs: how much worse the model scores if the values of one are shuffled.

Breiman 2001, Random Forests, Machine Learning 45, 5-32; for any model Fisher, Rudin and Dominici 2019, All Models are
Wrong, but Many are Useful, Journal of Machine Learning Research 20(177), as the difference of losses. Shuffled is the
raw input, before `features.build` combines it with others, on rows that the model was not fitted on. Two inputs that
say the same stand in for each other, so that each of them looks less important than both are together.
"""

from __future__ import annotations

import logging
import math
from typing import Any

import numpy as np
import pandas as pd

from include.errors import DataError, PerennialError, TransientError
from include.spec import Model
from include.statistics import metrics
from include.statistics.metrics import Metric
from include.statistics.profiles import rounded
from include.statistics.reference import Importance
from include.training import dataset, measures

log = logging.getLogger(__name__)

MOST_ROWS, REPEATS = 2_000, 3
WIDE, FEW_ROWS = 200, 500
"""With more inputs each is shuffled once, on fewer rows: the cost is their number times that of a score of all rows."""
FAILED = (PerennialError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)

Columns = dict[str, np.ndarray]


def of_inputs(
    model: Model, pipeline: Any, holdout: pd.DataFrame, seed: int, build: dataset.Build | None = None
) -> Importance:
    """The importance of every raw input, in units of ``training.metric``; positive: the model needs it.

    The mean over the repeats, all inputs being shuffled in the same ways. It depends on the rows and ``seed`` only.

    Parameters
    ----------
    pipeline : the twin of the version. holdout : the rows that it has not seen; of those with a label a sample of
        `MOST_ROWS` is used.
    build : features code to use instead of that of the model's folder.

    Returns
    -------
    None for an input without which the model cannot be scored. If it cannot be scored at all, ``lack`` says why.
    """
    repeats, most = (REPEATS, MOST_ROWS) if len(model.data.inputs) <= WIDE else (1, FEW_ROWS)
    none = Importance(metric=model.training.metric, rows=0, repeats=repeats, seed=seed, by_input={})
    try:
        rows = dataset.sort(model, dataset.labelled(model, holdout))
        if rows.empty:
            raise DataError("no row of it has a label")
        random = np.random.default_rng(seed)
        if len(rows) > most:
            rows = rows.iloc[np.sort(random.choice(len(rows), size=most, replace=False))]
        orders = [random.permutation(len(rows)) for _ in range(repeats)]
        shuffled = _Shuffled(model, pipeline, rows, orders, build or dataset.builder(model))
    except TransientError:
        raise
    except FAILED as problem:
        said = problem if isinstance(problem, PerennialError) else f"{type(problem).__name__}: {problem}"
        log.warning("The importance of the inputs of %s is not known: %s", model.name, said)
        return none.replace(lack=f"the twin cannot be scored on its holdout: {said}")
    if not math.isfinite(shuffled.usual):
        return none.replace(lack=f"{model.training.metric} is not defined on {len(rows)} rows of the holdout")
    found = {column.name: shuffled.lost_without(column.name) for column in model.data.inputs}
    unknown = [name for name, lost in found.items() if lost is None]
    if unknown:
        log.info("%s cannot be scored with these inputs shuffled: %s.", model.name, ", ".join(unknown))
    return none.replace(rows=len(rows), by_input=found)


class _Shuffled:
    """The rows, as many times one after the other as they are shuffled, so that a model scores all of it at once."""

    def __init__(
        self, model: Model, pipeline: Any, rows: pd.DataFrame, orders: list[np.ndarray], build: dataset.Build
    ) -> None:
        self.model, self.pipeline, self.build = model, pipeline, build
        self.metric: Metric = measures.metric(model, model.training.metric)
        self.labels, self.times = dataset.labels(model, rows), len(orders)
        self.order = np.concatenate(orders)
        inputs = dataset.input_arrays(model, rows)
        self.inputs: Columns = {name: np.tile(values, self.times) for name, values in inputs.items()}
        self.shuffled: Columns = {name: values[self.order] for name, values in inputs.items()}
        self.built = self._built(self.inputs)
        self.features = dataset.frame_of(model, self.built, len(self.order))
        self.usual = self._values(self.features)[0]

    def lost_without(self, name: str) -> float | None:
        """By how much the metric is worse with this input shuffled; None if that cannot be scored."""
        try:
            built = self._built({**self.inputs, name: self.shuffled[name]})
            if set(built) != set(self.built):
                return None
            changed = {one: values for one, values in built.items() if not _same(values, self.built[one])}
            if not changed:
                return 0.0
            features = dataset.frame_of(self.model, changed, len(self.order))
            values = self._values(self.features.assign(**{str(one): column for one, column in features.items()}))
        except TransientError:
            raise
        except FAILED:
            return None
        lost = float(np.mean([metrics.gain(self.metric, self.usual, value) for value in values]))
        return rounded(lost) if math.isfinite(lost) else None

    def _built(self, inputs: Columns) -> Columns:
        return self.build({name: values.copy() for name, values in inputs.items()})  # `build` may change them

    def _values(self, features: pd.DataFrame) -> list[float]:
        """The metric of each repeat."""
        scores = measures.score_features(self.model, self.pipeline, features)
        return [self.metric.compute(self.labels, part) for part in np.split(scores, self.times)]


def _same(mine: np.ndarray, theirs: np.ndarray) -> bool:
    return np.array_equal(mine, theirs, equal_nan=np.asarray(mine).dtype.kind == "f")
