"""A home with a ledger of its own, and a project whose only folder of models is empty at first."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import include.models
from tests.services import Services, shared

TOY = Path(__file__).parent.parent / "models_for_tests" / "toy"


@pytest.fixture(scope="session")
def services(pytestconfig: pytest.Config) -> Services:
    return shared(pytestconfig)


@pytest.fixture
def home(services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    variables = {**services.environment(), "PERENNIAL_HOME": str(tmp_path)}
    for name, value in (variables | {"PERENNIAL_DATABASE_URL": services.new_ledger()}).items():
        monkeypatch.setenv(name, value)
    return tmp_path


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Adds a copy of the toy under another name; returns its folder."""
    models = tmp_path / "models"
    models.mkdir()
    kept = list(include.models.__path__)
    include.models.__path__[:] = [str(models)]

    def add(name: str) -> Path:
        made = models / name
        shutil.copytree(TOY, made, ignore=shutil.ignore_patterns("__pycache__"))
        declared = made / "model.py"
        declared.write_text(declared.read_text().replace('name="toy"', f'name="{name}"'))
        return made

    yield add
    include.models.__path__[:] = kept
