"""The bikes, retrained when their monitor finds the champion stale: how often, and what that costs against nightly."""

from __future__ import annotations

import pandas as pd
import pytest

from include.models.bike_demand import source
from include.models.bike_demand.model import MODEL
from include.partitions import partition
from tests.monitoring.on_demand import History, replay

FIRST, LAST = "2025-01-04", "2026-12-28"  # each day of the history once
BEGIN, END = "2025-04-01", "2026-11-20"


@pytest.fixture(scope="module")
def history() -> History:
    first, last = (partition(key, MODEL.timezone) for key in (FIRST, LAST))
    days = [rows.assign(partition=about.key) for about, rows in source.fetch_range(first, last, {})]
    return History(MODEL, "boosting_60d", pd.concat(days, ignore_index=True))


@pytest.mark.full
def test_on_demand_the_bikes_keep_nine_tenths_of_what_retraining_every_night_gains(history: History) -> None:
    found = replay(history, BEGIN, END)
    print(found)
    nightly, on_demand, never = (found.metric[policy] for policy in ("nightly", "on demand", "never"))
    assert 4 <= found.retrained_a_year <= 12, found
    assert nightly < on_demand < never - 0.9 * (never - nightly), found
