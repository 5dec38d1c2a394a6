"""A home and a folder of models for each test of CSV files."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import include.models
from include.authoring import new, writing


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PERENNIAL_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(include.models, "__path__", [*include.models.__path__, str(tmp_path / "models")])
    monkeypatch.setattr(writing, "formatted", lambda folder: None)  # other tests run ruff; it takes a second
    monkeypatch.setattr(new, "settle_leaks", lambda found: None)  # and look for leaks, which takes longer than reading
    yield
    for name in [n for n in sys.modules if n.startswith("include.models.trips")]:
        del sys.modules[name]
