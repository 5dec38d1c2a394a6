"""Features do not use the half-hour itself, and a single live row gives the same features as in a batch."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from include import catalog
from include.models.electricity import features, source
from include.models.electricity.model import MODEL
from include.partitions import partition
from include.scoring.columns import columns_for
from include.spec import Known

INPUTS = [(c.name, str(c.type)) for c in MODEL.data.inputs]
OUTCOMES = [c.name for c in MODEL.data.columns if c.known is Known.AFTER]


def fetch(key: str) -> pd.DataFrame:
    return source.fetch(partition(key, MODEL.timezone), {})


def test_no_feature_uses_the_half_hour_itself() -> None:
    assert set(OUTCOMES) == {"nsw_price", "nsw_demand", "vic_price", "vic_demand", "transfer", "up"}
    frame = fetch("2026-05-03")
    before = features.build(columns_for(INPUTS, frame))
    other = frame.assign(**dict.fromkeys(OUTCOMES, 1))
    for name, values in features.build(columns_for(INPUTS, other)).items():
        assert_array_equal(values, before[name], err_msg=name)
    text = (catalog.folder("electricity") / "features.py").read_text()
    assert not [name for name in OUTCOMES if re.search(rf'["\']{name}["\']', text)]


def test_one_row_is_the_same_as_the_row_in_a_batch() -> None:
    frame = pd.concat([fetch("2024-05-07"), fetch("2026-05-03")], ignore_index=True)
    batch = features.build(columns_for(INPUTS, frame))
    for position in [0, 1, 47, 48, 95]:
        row = frame.iloc[[position]]
        live = {n: None if pd.isna(v) else v for n, v in row.iloc[0].items() if n in dict(INPUTS)}
        live["began_at"] = pd.Timestamp(row["began_at"].iloc[0]).isoformat()
        for name, values in features.build(columns_for(INPUTS, [live])).items():
            assert values.shape == (1,) and values.dtype == np.float32 == batch[name].dtype
            assert_array_equal(values, batch[name][[position]], err_msg=name)


def test_a_row_with_every_input_missing_is_all_missing() -> None:
    assert all(np.isnan(v[0]) for v in features.build(columns_for(INPUTS, [{}])).values())


def test_no_rows_give_no_rows() -> None:
    assert {len(v) for v in features.build(columns_for(INPUTS, fetch("2026-05-03").head(0))).values()} == {0}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"market_date": "2026-05-03", "half_hour": 17}, {"weekday": 6, "half_hour": 17}),
        ({"market_date": "2026-05-04"}, {"weekday": 0}),
        ({"previous_up": 1, "previous_transfer": 0.25}, {"previous_up": 1, "previous_transfer": 0.25}),
    ],
)
def test_values(row: dict[str, object], expected: dict[str, object]) -> None:
    found = features.build(columns_for(INPUTS, [row]))
    assert {name: found[name][0] for name in expected} == expected
