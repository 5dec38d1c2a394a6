"""Homes for tests: each has its own filled lake of the toy, an empty ledger and an empty bundle store.

The lake is copied, because publishing 44 days takes as long as a whole night of the toy.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from include.data.lake import Lake
from include.spec import Model
from tests.services import Services
from tests.training import toy_days


def filled(model: Model, folder: Path) -> Path:
    """Create a lake below ``folder`` with the days of `toy_days`, as a template to copy; return its root."""
    lake = Lake(model, folder / model.name)
    toy_days.fill(lake, model)
    return lake.root


def of_its_own(running: Services, lake: Path, folder: Path, model: Model, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make ``folder`` the home that the environment names, with a copy of the lake; MLflow is shared."""
    variables = {
        **running.environment(),
        "PERENNIAL_DATABASE_URL": running.new_ledger(),
        "PERENNIAL_HOME": str(folder),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    shutil.copytree(lake, Lake.of(model).root)
    return folder
