"""A real lake, ledger, MLflow and bundle store for the training room, filled with days of the toy model."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from include import catalog
from include.data.lake import Lake
from include.registry.ledger import Ledger
from include.spec import Model
from tests.services import Services, services
from tests.training import toy_days


@dataclass(frozen=True)
class Template:
    """What each home is a copy of: a database with an empty ledger, and the toy's lake."""

    database: str
    lake: Path


@pytest.fixture(scope="session")
def toy() -> Model:
    return catalog.load("toy")


@pytest.fixture(scope="session")
def rows(toy: Model) -> pd.DataFrame:
    return toy_days.days(toy, toy_days.FIRST, toy_days.LAST)


@pytest.fixture(scope="session")
def running() -> Iterator[Services]:
    with services() as started:
        yield started


@pytest.fixture(scope="session")
def template(running: Services, toy: Model, tmp_path_factory: pytest.TempPathFactory) -> Template:
    """Filled once: 44 days take as long to publish as a whole night of the toy takes to run."""
    database = "template_ledger"
    Ledger(running.new_database(database)).migrate()
    lake = Lake(toy, tmp_path_factory.mktemp("template") / toy.name)
    toy_days.fill(lake, toy)
    return Template(database, lake.root)


@pytest.fixture
def home(running: Services, template: Template, tmp_path: Path, toy: Model, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own for a test: a filled lake, an empty ledger, an empty bundle store; MLflow is shared."""
    database = running.new_database(f"t{abs(hash(str(tmp_path)))}", template.database)
    variables = {**running.environment(), "PERENNIAL_DATABASE_URL": database, "PERENNIAL_HOME": str(tmp_path)}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    shutil.copytree(template.lake, Lake.of(toy).root)
    return tmp_path
