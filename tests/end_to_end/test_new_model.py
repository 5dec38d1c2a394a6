"""A user's table through a real night: `new-model`, `night`, and a champion that answers, without editing a line."""

from __future__ import annotations

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
from tests.end_to_end.stack_runner import Running

pytestmark = pytest.mark.end_to_end
TABLES = {"sql": ("binary", 6), "csv": ("binary", 1), "parquet": ("regression", 4)}
"""The task and the seed of a random table for each kind of source. ``make test`` runs ``sql``, which also needs a
connection."""


def begin(running: Running, items: list[pytest.Function]) -> dict[str, Journey[Path, None]]:
    """Start the selected tables, one after the other."""
    selected = [found["kind"] for found in params(items)]
    steps = {kind: partial(lead_to_a_champion, running, kind) for kind in selected}
    folder = partial(tempfile.mkdtemp, prefix="tables-", dir=running.home.parent)
    return {"tables": Journey(lambda: Path(folder()), steps).start()}


def lead_to_a_champion(running: Running, kind: str, folder: Path) -> None:
    """Make a champion from a table with the commands that a person types, and check that it answers."""
    (task, seed), name = TABLES[kind], f"orders_{kind}"
    table = random_table(seed, task)
    source = in_database(running, table) if kind == "sql" else str(save(table, kind, folder, seed))
    into = str(models_folder(running.home))
    arguments = ("--name", name, "--source", source, "--target", table.target, "--time", table.time, "--into", into)
    summary = running.terminal("include.authoring", "new", *arguments)
    assert all(leak in summary.partition("After")[2] for leak in table.leaks), summary
    printed = running.terminal("include.stack", "night", "--model", name)
    serving = Ledger.default().champion(name)
    assert serving is not None, printed
    answer = champion.ask(running.stack, name, lambda: (serving.version, serving.digest), nothing)
    assert answer is not None and answer.version == serving.version and "score" in answer.body["predictions"][0]
    assert not set(champion.row(name, serving.digest)) & {*table.leaks, table.target}


def in_database(running: Running, table: Table) -> str:
    """Put the table into another database of the stack's PostgreSQL, which tasks know as the connection ``shop_db``."""
    admin = sa.create_engine(running.stack.database_url("postgres", "psycopg2"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(sa.text("CREATE DATABASE shop_db"))
    admin.dispose()
    engine = sa.create_engine(running.stack.database_url("shop_db", "psycopg2"))
    table.frame.to_sql("orders", engine, index=False)
    engine.dispose()
    return "sql:shop_db/public.orders"


@pytest.mark.parametrize(
    "kind", [kind if kind == "sql" else pytest.param(kind, marks=pytest.mark.full) for kind in TABLES]
)
def test_a_table_leads_to_a_champion(running: Running, journeys: dict[str, Journey[Path, None]], kind: str) -> None:
    journeys["tables"].outcome(kind)
    if kind == "sql":
        logs = [p for p in (running.home / "logs").rglob("*orders_sql*") if p.is_file()]
        assert not [p for p in logs if "postgres@" in p.read_text(errors="replace")], (
            "a log contains the address of the database"
        )


def test_the_stack_hands_connections_to_its_processes(running: Running) -> None:
    found = False
    for process in running.processes():
        with suppress(psutil.Error):  # it has ended meanwhile
            found = found or "AIRFLOW_CONN_SHOP_DB" in process.environ()
    assert found
