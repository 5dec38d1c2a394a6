"""The toy model and a frame of its days."""

from __future__ import annotations

import pandas as pd
import pytest

from include import catalog
from include.spec import Model
from tests.training import toy_days


@pytest.fixture(scope="session")
def toy() -> Model:
    return catalog.load("toy")


@pytest.fixture(scope="session")
def rows(toy: Model) -> pd.DataFrame:
    return toy_days.days(toy, toy_days.FIRST, toy_days.LAST)
