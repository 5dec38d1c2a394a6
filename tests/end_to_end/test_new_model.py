"""A stranger's table through a real night: `new-model`, `night`, and a champion that answers; no line is edited."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa

from include.registry.ledger import Ledger
from include.stack import champion
from include.stack.following import nothing
from tests.authoring.random_tables import Table, random_table, save
from tests.end_to_end.conftest import models_folder
from tests.end_to_end.journeys import Journey, params
from tests.end_to_end.stack_runner import ROOT, TERMINAL_UMASK, Running, outside

pytestmark = pytest.mark.end_to_end
TABLES = {"sql": ("binary", 6), "csv": ("binary", 1), "parquet": ("regression", 4)}
"""For each kind of source the task and the seed of a random table. ``make test`` takes the one that also needs a
connection on its way."""


def begin(running: Running, items: list[pytest.Function]) -> dict[str, Journey[Path, None]]:
    """The tables that are asked for, under way one after the other."""
    asked = [found["kind"] for found in params(items)]
    steps = {kind: partial(lead_to_a_champion, running, kind) for kind in asked}
    folder = partial(tempfile.mkdtemp, prefix="strangers-", dir=running.home.parent)
    return {"strangers": Journey(lambda: Path(folder()), steps).start()}


def lead_to_a_champion(running: Running, kind: str, folder: Path) -> None:
    """From a table to a champion that answers, by the commands that a person types."""
    (task, seed), name = TABLES[kind], f"stranger_{kind}"
    table = random_table(seed, task)
    source = in_database(running, table) if kind == "sql" else str(save(table, kind, folder, seed))
    into = str(models_folder(running.home))
    arguments = ("--name", name, "--source", source, "--target", table.target, "--time", table.time, "--into", into)
    said = terminal(running, "include.authoring", "new", *arguments)
    assert all(leak in said.partition("After")[2] for leak in table.leaks), said
    told = terminal(running, "include.stack", "night", "--model", name)
    serving = Ledger.default().champion(name)
    assert serving is not None, told
    answer = champion.ask(running.stack, name, lambda: (serving.version, serving.digest), nothing)
    assert answer is not None and answer.version == serving.version and "score" in answer.body["predictions"][0]
    assert not set(champion.row(name, serving.digest)) & {*table.leaks, table.target}


def in_database(running: Running, table: Table) -> str:
    """The table in a second database of the stack's PostgreSQL: the connection ``strangers`` of every task."""
    admin = sa.create_engine(running.stack.database_url("postgres", "psycopg2"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(sa.text("CREATE DATABASE strangers"))
    admin.dispose()
    engine = sa.create_engine(running.stack.database_url("strangers", "psycopg2"))
    table.frame.to_sql("orders", engine, index=False)
    engine.dispose()
    return "sql:strangers/public.orders"


def terminal(running: Running, *arguments: str) -> str:
    """Run a command of the project as a person would in a second terminal; returns what it printed."""
    ports = dict(zip(("AIRFLOW_PORT", "MLFLOW_PORT", "SERVING_PORT"), map(str, running.ports), strict=True))
    variables = {**running.variables, **ports, "PERENNIAL_HOME": str(running.home)}
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env=outside() | variables,
        capture_output=True,
        text=True,
        timeout=1800,
        umask=TERMINAL_UMASK,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "kind", [kind if kind == "sql" else pytest.param(kind, marks=pytest.mark.full) for kind in TABLES]
)
def test_a_table_leads_to_a_champion(running: Running, journeys: dict[str, Journey[Path, None]], kind: str) -> None:
    journeys["strangers"].outcome(kind)
    if kind == "sql":
        logs = [p for p in (running.home / "logs").rglob("*stranger_sql*") if p.is_file()]
        assert not [p for p in logs if "postgres@" in p.read_text(errors="replace")], "an address got into a log"


def test_the_stack_hands_connections_to_its_processes(running: Running) -> None:
    found = False
    for process in running.processes():
        with suppress(psutil.Error):  # it has ended meanwhile
            found = found or "AIRFLOW_CONN_STRANGERS" in process.environ()
    assert found
