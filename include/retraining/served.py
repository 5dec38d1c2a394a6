"""Scores the twin of a version that serves or has served, with the features code of its own bundle."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

from include.errors import DataError, IntegrityError, PerennialError
from include.registry.bundles import BundleStore
from include.registry.rows import VersionRow
from include.retraining.ports import HoldoutRows, seen
from include.scoring.documents import InputSchema
from include.spec import ColumnType, Model, Task
from include.training import dataset, export, measures


class Served:
    """Scores versions on one holdout; versions with the same features code share their features."""

    def __init__(self, model: Model, store: BundleStore) -> None:
        self.model, self.store = model, store
        self._features: dict[str, pd.DataFrame] = {}

    def score(self, row: VersionRow, holdout: HoldoutRows) -> np.ndarray:
        """The scores of its twin, in the classes of today.

        Raises
        ------
        DataError : the twin has seen the holdout, answers another question, or cannot be scored on these columns.
        IntegrityError : bundle or twin is missing or damaged.
        """
        refuse = seen(row.twin_last, holdout.first)
        if refuse:
            raise DataError(f"its twin {refuse}")
        if row.bundle is None:
            raise IntegrityError(f"version {row.version} has no bundle")
        bundle = self.store.open(self.model.name, row.bundle)
        schema = InputSchema.of(bundle)
        then = as_declared_then(self.model, schema)
        source = bundle.read("source/features.py")
        try:
            features = self._features_of(then, holdout.rows, source, f"{bundle.path}/source/features.py")
            kept = self.store.get_twin(self.model.name, row.twin)
            pipeline = export.from_skops(kept, self.model.training.trusted_types)
            scores = measures.score_features(then, pipeline, features)
        except PerennialError:
            raise
        except Exception as problem:
            raise DataError(
                f"its twin cannot be scored on today's columns ({type(problem).__name__}: {problem})"
            ) from problem
        return _in_todays_classes(then, self.model, scores)

    def _features_of(self, then: Model, rows: pd.DataFrame, source: bytes, where: str) -> pd.DataFrame:
        types = "".join(column.type.value for column in then.data.columns)
        digest = hashlib.sha256(source + types.encode()).hexdigest()
        if digest not in self._features:
            build = dataset.builder_from_source(source, where)
            self._features[digest] = dataset.features_frame(then, rows, build)
        return self._features[digest]


def as_declared_then(model: Model, schema: InputSchema) -> Model:
    """The model with the classes and the dates that a version was fitted for.

    Raises
    ------
    DataError : the version answers another question.
    """
    return with_its_dates(_as_it_was_asked(model, schema), schema)


def _as_it_was_asked(model: Model, schema: InputSchema) -> Model:
    """The model with the classes that a champion was fitted for: their indices mean something else after a change.

    Raises
    ------
    DataError : the champion answers another question: another task, or another positive class.
    """
    label = model.data.label
    several = schema.class_columns is not None
    then = (schema.task, several, schema.positive)
    now = (label.task.value, label.multiclass, None if several or label.task is Task.REGRESSION else label.positive)
    if then != now:
        asked = f"one of {schema.classes}" if several else f"the positive class {schema.positive!r}"
        raise DataError(
            f"it answers another question than the model of today: a {then[0]} of "
            f"{'a value' if then[0] == Task.REGRESSION.value else asked}"
        )
    if not several:
        return model
    declared = label.model_copy(update={"classes": tuple(schema.classes or ())})
    return model.model_copy(update={"data": model.data.model_copy(update={"label": declared})})


def with_its_dates(model: Model, schema: InputSchema) -> Model:
    """The model with dates declared as they were for a champion: its features may need a text, or a date.

    The lake holds both in one form, so a declaration may change between them.
    """
    then = {column.name: column.type for column in schema.columns}
    either = {ColumnType.STRING, ColumnType.DATE}
    columns = tuple(
        column.model_copy(update={"type": ColumnType(then[column.name])})
        if {column.type.value, then.get(column.name)} == either
        else column
        for column in model.data.columns
    )
    return model.model_copy(update={"data": model.data.model_copy(update={"columns": columns})})


def _in_todays_classes(then: Model, now: Model, scores: np.ndarray) -> np.ndarray:
    """Scores in the order of the classes that are declared today; a class that was not there has probability 0."""
    before, today = then.data.label.classes, now.data.label.classes
    if before == today:
        return scores
    place = {value: at for at, value in enumerate(before or ())}
    return measures.arranged(scores, [place.get(value) for value in today or ()])
