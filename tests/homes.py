"""Homes for tests: each has its own filled lake of the toy, an empty ledger and an empty bundle store.

The lake is copied, because publishing 44 days takes as long as a whole night of the toy. A home after some nights can
be copied, too, so that tests that begin in the same way share these nights.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from include.data.lake import Lake
from include.spec import Model
from tests.services import Services
from tests.training import toy_days


@dataclass(frozen=True)
class Home:
    """A home and its ledger. Copies share MLflow: their versions have the same numbers and the same runs there."""

    running: Services
    folder: Path
    database_url: str

    def enter(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let the environment name this home."""
        variables = {
            **self.running.environment(),
            "PERENNIAL_DATABASE_URL": self.database_url,
            "PERENNIAL_HOME": str(self.folder),
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    def copy(self, folder: Path) -> Home:
        """A copy in another folder, with a copy of the ledger."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        return Home(self.running, folder, self.running.copy_of(self.database_url))


def filled(model: Model, folder: Path) -> Path:
    """Create a lake below ``folder`` with the days of `toy_days`, as a template to copy; return its root."""
    lake = Lake(model, folder / model.name)
    toy_days.fill(lake, model)
    return lake.root


def of_its_own(running: Services, lake: Path, folder: Path, model: Model, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Make ``folder`` the home that the environment names, with a copy of the lake; MLflow is shared."""
    home = Home(running, folder, running.new_ledger())
    home.enter(monkeypatch)
    shutil.copytree(lake, Lake.of(model).root)
    return home
