"""A real ledger and MLflow for comparing a night of the lab with a real one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import include.models
from include import catalog
from include.data.lake import Lake
from include.registry.ledger import Ledger
from include.spec import Model
from tests.services import Services, services
from tests.training import toy_days


@pytest.fixture(scope="session")
def toy() -> Model:
    return catalog.load("toy")


@pytest.fixture(scope="session")
def running() -> Iterator[Services]:
    with services() as started:
        yield started


@pytest.fixture
def home(running: Services, tmp_path: Path, toy: Model, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A deployment of its own: a filled lake, an empty ledger, an empty bundle store; MLflow is shared."""
    variables = {
        **running.environment(),
        "PERENNIAL_DATABASE_URL": running.new_database(f"t{abs(hash(str(tmp_path)))}"),
        "PERENNIAL_HOME": str(tmp_path),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    Ledger.default().migrate()
    toy_days.fill(Lake.of(toy), toy)
    return tmp_path


@pytest.fixture(scope="session")
def drifting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of models, known to this process and to those that it starts; see `tests.backtest.drifting`."""
    folder = tmp_path_factory.mktemp("models")
    before, path = os.environ["PERENNIAL_MODELS"], list(include.models.__path__)
    os.environ["PERENNIAL_MODELS"] = f"{before}:{folder}"
    include.models.__path__ = [*path, str(folder)]
    yield folder
    os.environ["PERENNIAL_MODELS"] = before
    include.models.__path__ = path
