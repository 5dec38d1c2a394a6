"""A stranger's table through a real night: `new-model`, `night`, and a champion that answers; no line is edited."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from include.registry.ledger import Ledger
from include.stack import champion
from include.stack.following import nothing
from tests.authoring.random_tables import Table, random_table, save
from tests.end_to_end.conftest import models_folder
from tests.end_to_end.stack_runner import ROOT, TERMINAL_UMASK, Running, outside

pytestmark = pytest.mark.end_to_end


@pytest.fixture
def terminal(running: Running) -> Callable[..., str]:
    """Run a command of the project as a person would in a second terminal; returns what it printed."""

    def run(*arguments: str) -> str:
        ports = dict(zip(("AIRFLOW_PORT", "MLFLOW_PORT", "SERVING_PORT"), map(str, running.ports), strict=True))
        variables = {**running.variables, **ports, "PERENNIAL_HOME": str(running.home)}
        done = subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=ROOT,
            env=outside() | variables,
            capture_output=True,
            text=True,
            timeout=900,
            umask=TERMINAL_UMASK,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture
def strangers(running: Running) -> Iterator[sa.Engine]:
    """A second database in the stack's PostgreSQL: the connection ``strangers`` of every task."""
    admin = sa.create_engine(running.stack.database_url("postgres", "psycopg2"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(sa.text("CREATE DATABASE strangers"))
    admin.dispose()
    engine = sa.create_engine(running.stack.database_url("strangers", "psycopg2"))
    yield engine
    engine.dispose()


def lead_to_a_champion(running: Running, terminal: Callable[..., str], table: Table, source: str, name: str) -> None:
    into = str(models_folder(running.home))
    arguments = ("--name", name, "--source", source, "--target", table.target, "--time", table.time, "--into", into)
    said = terminal("include.authoring", "new", *arguments)
    assert all(leak in said.partition("After")[2] for leak in table.leaks), said
    told = terminal("include.stack", "night", "--model", name)
    serving = Ledger.default().champion(name)
    assert serving is not None, told
    answer = champion.ask(running.stack, name, lambda: (serving.version, serving.digest), nothing)
    assert answer is not None and answer.version == serving.version and "score" in answer.body["predictions"][0]
    assert not set(champion.row(name, serving.digest)) & {*table.leaks, table.target}


@pytest.mark.parametrize(("format", "task", "seed"), [("csv", "binary", 1), ("parquet", "regression", 4)])
def test_a_file_leads_to_a_champion(
    running: Running, settings: None, terminal: Callable[..., str], tmp_path: Path, format: str, task: str, seed: int
) -> None:
    table = random_table(seed, task)
    lead_to_a_champion(running, terminal, table, str(save(table, format, tmp_path, seed)), f"stranger_{format}")


def test_a_table_of_a_database_leads_to_a_champion(
    running: Running, settings: None, terminal: Callable[..., str], strangers: sa.Engine
) -> None:
    table = random_table(6, "binary")
    table.frame.to_sql("orders", strangers, index=False)
    lead_to_a_champion(running, terminal, table, "sql:strangers/public.orders", "stranger_sql")
    logs = [p for p in (running.home / "logs").rglob("*stranger_sql*") if p.is_file()]
    assert not [p for p in logs if "postgres@" in p.read_text(errors="replace")], "an address got into a log"


@pytest.fixture(autouse=True, scope="module")
def _without_strangers(running: Running) -> Iterator[None]:
    """The models of this module go with it."""
    yield
    for folder in models_folder(running.home).iterdir():
        shutil.rmtree(folder)


def test_the_stack_hands_connections_to_its_processes(running: Running) -> None:
    environments = [p.environ() for p in running.processes() if p.pid != os.getpid()]
    assert any("AIRFLOW_CONN_STRANGERS" in variables for variables in environments)
