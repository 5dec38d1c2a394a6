"""A real ledger and MLflow for comparing a night of the lab with a real one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

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
