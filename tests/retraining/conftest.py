"""A real lake, ledger, MLflow and bundle store for the retraining tests, filled with days of the toy model."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from include import catalog
from include.cards import plots
from include.spec import Model
from tests import homes
from tests.services import Services, shared
from tests.training import toy_days


@pytest.fixture(scope="session")
def toy() -> Model:
    return catalog.load("toy")


@pytest.fixture(scope="session")
def rows(toy: Model) -> pd.DataFrame:
    return toy_days.days(toy, toy_days.FIRST, toy_days.LAST)


@pytest.fixture(scope="session")
def running(pytestconfig: pytest.Config) -> Services:
    return shared(pytestconfig)


@pytest.fixture(scope="session")
def filled_lake(toy: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return homes.filled(toy, tmp_path_factory.mktemp("template"))


@pytest.fixture
def home(running: Services, filled_lake: Path, tmp_path: Path, toy: Model, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A separate home for a test: a filled lake, an empty ledger, an empty bundle store; MLflow is shared."""
    return homes.of_its_own(running, filled_lake, tmp_path, toy, monkeypatch).folder


@pytest.fixture
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `evaluate` draw nothing, in tests of many nights: drawing takes a quarter of a night of the toy."""
    monkeypatch.setattr(plots, "draw", lambda *_: {})
