"""From a user's table to a champion without editing a line, for many seeds, tasks and kinds of sources."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import include.models
from include import catalog
from include.authoring.findings import Request
from include.authoring.new import new_model
from include.backtest.lab import Lab
from include.data.lake import Lake
from include.linting.folder import lint
from include.partitions import newest_closed, utc_now
from include.settings import PROJECT
from include.sources import from_environment
from include.training import dataset, export
from tests.authoring.random_tables import Table, random_table, save
from tests.services import shared

pytestmark = pytest.mark.slow

CONNECTION = "shop_db"
COVER = 9  # the first nine seeds are every task in every format
SEEDS = [*range(COVER), *(pytest.param(seed, marks=pytest.mark.full) for seed in range(COVER, 21))]
WINDOW_DAYS = 20  # of training data; a new model declares 60


def case(seed: int) -> dict[str, Any]:
    """Return the settings of a seed: every task in every format, and some special cases."""
    return {
        "task": ("binary", "regression", "multiclass")[seed % 3],
        "format": ("csv", "parquet", "sql")[seed // 3 % 3],
        "signal": seed not in (9, 16),
        "wide": seed == 4,
        "closed_sundays": seed in (1, 12, 14),
    }


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty models folder, found as if PERENNIAL_MODELS named it, and a separate home."""
    into = tmp_path / "models"
    monkeypatch.setenv("PERENNIAL_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(include.models, "__path__", [*include.models.__path__, str(into)])
    yield into
    for name in [n for n in sys.modules if n.startswith("include.models.orders_")]:
        del sys.modules[name]


@pytest.fixture
def database(pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch) -> Iterator[sa.Engine]:
    """A real PostgreSQL, known as the connection ``shop_db``."""
    address = shared(pytestconfig).database_url
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONNECTION.upper()}", address.replace("postgresql+psycopg2", "postgresql"))
    engine = sa.create_engine(address)
    yield engine
    engine.dispose()


def written(table: Table, source: str, folder: Path, name: str, **more: Any) -> str:
    """Run new-model for this table and return its summary."""
    return new_model(Request(name=name, source=source, target=table.target, time=table.time, into=folder, **more))


def source_of(table: Table, format: str, tmp_path: Path, seed: int, request: pytest.FixtureRequest) -> str:
    if format != "sql":
        return str(save(table, format, tmp_path / "data", seed))
    name = f"orders_{seed}"
    table.frame.to_sql(name, request.getfixturevalue("database"), index=False, if_exists="replace")
    return f"sql:{CONNECTION}/public.{name}"


def last_night(name: str, root: Path, window_days: int | None) -> tuple[Lab, Any]:
    """Collect the days of one night and run it. ``window_days`` are days of training data (None: as declared)."""
    model = catalog.load(name)
    last = newest_closed(utc_now(), model.timezone, model.data.label.delay).date
    lab = Lab(model, root)
    connections = from_environment(model.data.connections)
    days = model.training.days_needed - (model.training.window_days - window_days if window_days else 0)
    rejected = lab.collect(last - timedelta(days=days - 1), last, connections)
    assert not rejected
    return lab, lab.night(last.isoformat(), window_days=window_days)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_users_table_leads_to_a_champion(
    seed: int, folder: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    about = case(seed)
    format = about.pop("format")
    table = random_table(seed, **about)
    name = f"orders_{seed}"
    summary = written(table, source_of(table, format, tmp_path, seed, request), folder, name)

    model = catalog.load(name)
    assert catalog.entry(name).problem is None
    after = {c.name for c in model.data.columns} - {c.name for c in model.data.inputs}
    assert {*table.leaks, table.target} <= after, summary
    full = request.config.getoption("--full")
    lab, night = last_night(name, tmp_path / "lab", None if full else WINDOW_DAYS)
    first, last = min(lab.lake.published()), max(lab.lake.published())
    rows = lab.lake.read_snapshot(lab.lake.snapshot(first, last))
    features = dataset.features_frame(model, rows)
    assert not set(features.columns) & {*table.leaks, *table.identifiers, "country", table.target}
    assert quarantined(lab.lake, first, last) == 0
    if table.signal:
        assert night.decision.verdict == "promote", f"{summary}\n{night.table()}\n{night.decision.reason}"
        assert lab.release(night).proven.parity <= model.release.parity
        assert export.from_skops(export.to_skops(night.twin.pipeline)), (
            "the twin is kept as a file that is safe to load"
        )
    else:
        assert night.decision.verdict in ("promote", "hold", "reject")


def quarantined(lake: Lake, first: str, last: str) -> int:
    found = lake.table("quarantine").to_pandas()
    return int(found["partition"].between(first, last).sum())


def test_the_written_folders_are_clean(folder: Path, tmp_path: Path) -> None:
    """The lint and ruff find no mistake in the written folders."""
    for seed, more in ((0, {}), (1, {"timezone": "Europe/Berlin"}), (4, {}), (5, {"delay": timedelta(hours=26)})):
        about = case(seed)
        about.pop("format")
        table = random_table(seed, **about)
        written(table, str(save(table, "csv", tmp_path / str(seed), seed)), folder, f"orders_{seed}", **more)
    problems = [problem for path in folder.iterdir() for problem in lint(path.name, path)]
    assert not problems, "\n".join(map(str, problems))
    ruff = [sys.executable, "-m", "ruff"]
    config = ["--config", str(PROJECT / "pyproject.toml")]
    ours = ["--config", "lint.isort.known-first-party=['include']", "--ignore", "TID253"]
    for command in (
        [*ruff, "format", "--check", *config, str(folder)],
        [*ruff, "check", *config, *ours, str(folder)],
    ):
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_new_text_that_no_candidate_takes_is_reported(folder: Path, tmp_path: Path) -> None:
    """Candidates take numbers by their type, so a new number is used at once. A text must be listed to be encoded."""
    table = random_table(0, "binary")
    written(table, str(save(table, "csv", tmp_path / "data", 0)), folder, "orders_0")
    features = folder / "orders_0" / "features.py"
    before = features.read_text()
    new = '    features["spare"] = {}\n    return features\n'
    features.write_text(before.replace("    return features\n", new.format("at.astype(np.int64).astype(np.float32)")))
    assert lint("orders_0", folder / "orders_0") == []
    features.write_text(before.replace("    return features\n", new.format('np.full(len(at), "a", dtype=object)')))
    (problem,) = lint("orders_0", folder / "orders_0", fit=False)
    assert problem.what == "feature 'spare' is built, and no candidate takes it"


def test_names_and_values_are_never_read_as_code(folder: Path, tmp_path: Path) -> None:
    table = random_table(0, "binary")
    nasty = [
        'a"""b',
        "back\\slash",
        "new\nline",
        "{{ brace }}",
        "{% raw %}",
        "# hash",
        "quote'",
        "",
        "class",
        "ümläut" * 20,
    ]
    for name in nasty:
        table.frame[name] = f'{name}\\" {{{{ 1 }}}}'  # constant, so that the value is quoted as a reason
    table.frame['number """ \\'] = range(len(table.frame))
    path = tmp_path / "orders.parquet"
    table.frame.to_parquet(path)
    summary = written(table, str(path), folder, "orders_nasty")
    model = catalog.load("orders_nasty")
    for file in catalog.FILES:
        catalog.module("orders_nasty", file)
    last = newest_closed(utc_now(), model.timezone)
    rows = catalog.module("orders_nasty", "source").fetch(last, {})
    assert len(rows) > 50 and set(rows.columns) == {c.name for c in model.data.columns}, summary


def test_the_test_written_with_the_model_passes(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = random_table(0, "binary")
    written(table, str(save(table, "csv", tmp_path / "data", 0)), folder, "orders_0")
    monkeypatch.setenv("PERENNIAL_MODELS", str(folder))
    test = folder / "orders_0" / "test_orders_0.py"
    command = [sys.executable, "-m", "pytest", "-q", "-c", str(PROJECT / "pyproject.toml"), "--rootdir", str(PROJECT)]
    done = subprocess.run([*command, str(test)], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0 and "3 passed" in done.stdout, done.stdout + done.stderr


def test_a_night_about_a_day_without_rows_can_promote(folder: Path, tmp_path: Path) -> None:
    table = random_table(1, "binary", closed_sundays=True, days=35)
    written(table, str(save(table, "csv", tmp_path / "data", 1)), folder, "orders_sunday")
    model = catalog.load("orders_sunday")
    yesterday = newest_closed(utc_now(), model.timezone).date
    sunday = yesterday - timedelta(days=(yesterday.weekday() + 1) % 7)
    lab = Lab(model, tmp_path / "lab")
    assert not lab.collect(sunday - timedelta(days=model.training.days_needed), sunday)
    assert lab.lake.published()[sunday.isoformat()].rows == 0
    night = lab.night(sunday.isoformat())
    assert night.decision.verdict == "promote", night.decision.reason
    assert lab.release(night).proven.parity <= model.release.parity
