"""Real services for the registry's tests, and a separate model name for each test."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from include.registry.ledger import Ledger
from tests.services import Services, shared


@pytest.fixture(scope="session")
def services(pytestconfig: pytest.Config) -> Services:
    return shared(pytestconfig)


@pytest.fixture
def environment(services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**services.environment(), "PERENNIAL_HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def ledger(environment: None) -> Ledger:
    return Ledger.default()


@pytest.fixture
def model() -> str:
    return f"m{uuid.uuid4().hex[:12]}"
