"""An older version is scored on the columns of its own declaration."""

from __future__ import annotations

from typing import Any

import pandas as pd

from include.registry.bundles import BundleStore
from include.retraining.served import Served, with_its_dates
from include.spec import ColumnType
from tests.data.sensors import small_model

OF_TEXT = b"def build(columns):\n    return {'year': columns['installed'].astype('U4').astype('float32')}\n"
OF_DATE = (
    b"def build(columns):\n    return {'year': (columns['installed'].astype('datetime64[Y]').astype(int) + 1970.0)}\n"
)


def test_a_version_that_was_made_of_texts_gets_texts_and_one_of_dates_gets_dates(tmp_path: Any) -> None:
    model = small_model()
    frame: Any = pd.DataFrame({c.name: [None, None] for c in model.data.inputs}, dtype=object)
    frame = frame.assign(sensor="s", number=1.0, at=pd.Timestamp("2026-05-03", tz="UTC"), installed="2025-02-01")
    served = Served(model, BundleStore(tmp_path))
    assert model.data.column("installed").type is ColumnType.DATE
    for kind, source in (("string", OF_TEXT), ("date", OF_DATE)):
        schema = {"columns": [{"name": "installed", "type": kind}, {"name": "sensor", "type": "string"}]}
        then = with_its_dates(model, schema)
        assert then.data.column("installed").type == kind and then.data.column("sensor").type is ColumnType.STRING
        assert served._features_of(then, frame, source, "features.py")["year"].tolist() == [2025.0, 2025.0]
