"""Fixtures of the Models pages: a real database of Airflow, a real ledger, and models with hostile texts everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import include.models
from include.settings import Settings
from tests.plugins.airflow_database import AirflowDatabase, airflow_database
from tests.plugins.console_kit import (
    BROKEN,
    HOSTILE,
    SCRIPT,
    TOY,
    YESTERDAY,
    Browser,
    broken_model,
    fill_ledger,
    hostile_model,
    mounted,
    quarantine,
)
from tests.services import Services, shared


@pytest.fixture(scope="module")
def services(pytestconfig: pytest.Config) -> Services:
    return shared(pytestconfig)


@pytest.fixture(scope="module")
def database(services: Services) -> Iterator[AirflowDatabase]:
    with airflow_database(services) as made:
        yield made


@pytest.fixture
def home(
    database: AirflowDatabase, services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """An empty deployment: no model, no DAG, an empty ledger, and a model server that does not run."""
    database.clear()
    for name, value in {
        **services.environment(),
        "PERENNIAL_DATABASE_URL": services.new_ledger(),
        "PERENNIAL_HOME": str(tmp_path),
        "PERENNIAL_SERVING_URL": "http://127.0.0.1:9",
    }.items():
        monkeypatch.setenv(name, value)
    models = tmp_path / "models"
    models.mkdir()
    monkeypatch.setattr(include.models, "__path__", [str(models)])
    yield models


@pytest.fixture
def app(home: Path) -> Any:
    return mounted()


@pytest.fixture
def admin(app: Any) -> Browser:
    return Browser(app, "admin")


@pytest.fixture
def hostile(home: Path, database: AirflowDatabase) -> None:
    """A model, and a broken one, with `SCRIPT` in every text of the folder, the ledger, Airflow and the lake."""
    hostile_model(home, TOY)
    broken_model(home, TOY)
    database.add_models(HOSTILE)
    database.add_dags([f"{BROKEN}_broken", f"{BROKEN}_rollback"])
    now = datetime.now(UTC)
    database.add_run(
        f"{HOSTILE}_retrain", f"scheduled__{SCRIPT}", "failed", note=SCRIPT, failed=["package"],
        run_after=now + timedelta(minutes=1),  # after the decisions of `fill_ledger`
    )  # fmt: skip
    database.add_run(
        f"{HOSTILE}_collect", f"backfill__{SCRIPT}", "failed", run_type="backfill", note=SCRIPT,
        partition_key=YESTERDAY, failed=["collect"], run_after=now - timedelta(hours=3),
    )  # fmt: skip
    fill_ledger()
    quarantine(60)
    validated = Settings.from_environment().lake / HOSTILE / "validation" / YESTERDAY
    validated.mkdir(parents=True)
    (validated / "latest.html").write_text(SCRIPT)
