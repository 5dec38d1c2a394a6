"""An older version is scored on the columns of its own declaration."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from include import catalog
from include.errors import DataError
from include.registry.bundles import BundleStore
from include.retraining import served
from include.retraining.served import Served, with_its_dates
from include.scoring.documents import Column, InputSchema
from include.spec import ColumnType, Model, Task
from tests.data.sensors import small_model
from tests.training import chain_models
from tests.training.test_measures import with_label

OF_TEXT = b"def build(columns):\n    return {'year': columns['installed'].astype('U4').astype('float32')}\n"
OF_DATE = (
    b"def build(columns):\n    return {'year': (columns['installed'].astype('datetime64[Y]').astype(int) + 1970.0)}\n"
)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Model:
    chain_models.show(monkeypatch)
    return catalog.load("toy_classes")


def schema_of(model: Model, **fields: Any) -> InputSchema:
    """The input schema of a bundle, with these fields."""
    usual: dict[str, Any] = {
        "model": model.name,
        "task": "classification",
        "columns": [],
        "key": list(model.data.key),
        "event_time": model.data.event_time,
        "timezone": model.timezone,
        "features": [],
        "output": "probabilities",
        "output_kind": "probabilities",
    }
    return InputSchema(**usual | fields)


def test_a_version_that_was_made_of_texts_gets_texts_and_one_of_dates_gets_dates(tmp_path: Any) -> None:
    model = small_model()
    frame: Any = pd.DataFrame({c.name: [None, None] for c in model.data.inputs}, dtype=object)
    frame = frame.assign(sensor="s", number=1.0, at=pd.Timestamp("2026-05-03", tz="UTC"), installed="2025-02-01")
    scorer = Served(model, BundleStore(tmp_path))
    assert model.data.column("installed").type is ColumnType.DATE
    for kind, source in (("string", OF_TEXT), ("date", OF_DATE)):
        columns = [Column("installed", kind, nullable=True), Column("sensor", "string", nullable=False)]
        schema = schema_of(model, columns=columns)
        then = with_its_dates(model, schema)
        assert then.data.column("installed").type == kind and then.data.column("sensor").type is ColumnType.STRING
        assert scorer._features_of(then, frame, source, "features.py")["year"].tolist() == [2025.0, 2025.0]


CLASSES: dict[str, Any] = {"classes": ["quiet", "normal", "busy"], "class_columns": [0, 1, 2]}


def test_a_champion_of_other_classes_is_compared_class_by_class(model: Model) -> None:
    """Its indices mean what they meant when it was made: today's second class may have been its first."""
    today = with_label(model, classes=("busy", "closed", "quiet", "normal"))
    then = served._as_it_was_asked(today, schema_of(model, **CLASSES))
    assert then.data.label.classes == ("quiet", "normal", "busy")
    scores = np.array([[0.5, 0.3, 0.2]])
    assert served._in_todays_classes(then, today, scores).tolist() == [[0.2, 0.0, 0.5, 0.3]]
    assert served._in_todays_classes(model, model, scores) is scores


@pytest.mark.parametrize(
    "changes",
    [
        {"task": Task.REGRESSION, "classes": None},
        {"classes": None, "positive": "busy"},
    ],
)
def test_a_champion_that_answers_another_question_is_not_compared(model: Model, changes: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="answers another question"):
        served._as_it_was_asked(with_label(model, **changes), schema_of(model, **CLASSES))


@pytest.mark.parametrize("positive", [0, "late"])
def test_a_champion_of_another_positive_class_is_not_compared(toy: Model, positive: Any) -> None:
    schema = schema_of(toy, positive=1, classes=[0, 1], positive_index=1)
    assert served._as_it_was_asked(toy, schema) is toy
    with pytest.raises(DataError, match="the positive class 1"):
        served._as_it_was_asked(with_label(toy, positive=positive), schema)
