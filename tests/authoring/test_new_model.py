"""From a stranger's table to a champion without editing a line: over seeds, tasks and kinds of sources."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

import include.models
from include import catalog
from include.authoring.findings import Request
from include.authoring.new import new_model
from include.backtest.lab import Lab
from include.data.lake import Lake
from include.partitions import newest_closed, utc_now
from include.sources import from_environment
from include.training import dataset, export
from tests.authoring.random_tables import Table, random_table, save
from tests.services import shared

CONNECTION = "strangers"
SEEDS = range(24)


def case(seed: int) -> dict[str, Any]:
    """What a seed is about: every task in every format, and the odd ones among them."""
    return {
        "task": ("binary", "regression", "multiclass")[seed % 3],
        "format": ("csv", "parquet", "sql")[seed // 3 % 3],
        "signal": seed not in (9, 16, 23),
        "wide": seed in (4, 20),
        "closed_sundays": seed in (1, 12, 14),
    }


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of models like one that PERENNIAL_MODELS names, and a home of its own."""
    into = tmp_path / "models"
    monkeypatch.setenv("PERENNIAL_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(include.models, "__path__", [*include.models.__path__, str(into)])
    yield into
    for name in [n for n in sys.modules if n.startswith("include.models.stranger")]:
        del sys.modules[name]


@pytest.fixture
def database(pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch) -> Iterator[sa.Engine]:
    """A real PostgreSQL, known as the connection ``strangers``."""
    address = shared(pytestconfig).database_url
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONNECTION.upper()}", address.replace("postgresql+psycopg2", "postgresql"))
    engine = sa.create_engine(address)
    yield engine
    engine.dispose()


def written(table: Table, source: str, folder: Path, name: str, **more: Any) -> str:
    """The summary of new-model for this table."""
    return new_model(Request(name=name, source=source, target=table.target, time=table.time, into=folder, **more))


def source_of(table: Table, format: str, tmp_path: Path, seed: int, request: pytest.FixtureRequest) -> str:
    if format != "sql":
        return str(save(table, format, tmp_path / "data", seed))
    name = f"orders_{seed}"
    table.frame.to_sql(name, request.getfixturevalue("database"), index=False, if_exists="replace")
    return f"sql:{CONNECTION}/public.{name}"


def last_night(name: str, root: Path) -> tuple[Lab, Any]:
    """The days of one night, and the night."""
    model = catalog.load(name)
    last = newest_closed(utc_now(), model.timezone, model.data.label.delay).date
    lab = Lab(model, root)
    connections = from_environment(model.data.connections)
    stopped = lab.collect(last - timedelta(days=model.training.days_needed - 1), last, connections)
    assert not stopped
    return lab, lab.night(last.isoformat())


@pytest.mark.parametrize("seed", SEEDS)
def test_a_strangers_table_leads_to_a_champion(
    seed: int, folder: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    about = case(seed)
    format = about.pop("format")
    table = random_table(seed, **about)
    name = f"stranger_{seed}"
    said = written(table, source_of(table, format, tmp_path, seed, request), folder, name)

    model = catalog.load(name)
    assert catalog.entry(name).problem is None
    after = {c.name for c in model.data.columns} - {c.name for c in model.data.inputs}
    assert {*table.leaks, table.target} <= after, said
    lab, night = last_night(name, tmp_path / "lab")
    first, last = min(lab.lake.published()), max(lab.lake.published())
    rows = lab.lake.read_snapshot(lab.lake.snapshot(first, last))
    features = dataset.features_frame(model, rows)
    assert not set(features.columns) & {*table.leaks, *table.identifiers, "country", table.target}
    assert quarantined(lab.lake, first, last) == 0
    if table.signal:
        assert night.decision.verdict == "promote", f"{said}\n{night.table()}\n{night.decision.reason}"
        assert parity(model, night, rows) <= model.release.parity
    else:
        assert night.decision.verdict in ("promote", "hold", "reject")


def quarantined(lake: Lake, first: str, last: str) -> int:
    found = lake.table("quarantine").to_pandas()
    return int(found["partition"].between(first, last).sum())


def parity(model: Any, night: Any, rows: pd.DataFrame) -> float:
    """Of the challenger, as the release checks it."""
    return export.parity(model, export.to_onnx(night.twin, model), night.twin.pipeline, rows.tail(300))
