"""The templates of new databases are what the migrations create, and are used only where they fit."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from include.stack import credentials, migrations, roles, template, template_writing
from include.stack.layout import Stack

VERSION = migrations.wanted()["airflow"]
TABLES = "SELECT count(*), count(*) FILTER (WHERE tableowner = 'airflow') FROM pg_tables WHERE schemaname = 'public'"


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with tempfile.TemporaryDirectory(prefix="prn-template-", dir="/tmp") as folder:
        made = Stack(Path(folder) / "home", 1, 2, 3)
        made.prepare()
        credentials.prepare(made)
        with template_writing.running(made):
            roles.prepare(made)
            yield made


@pytest.fixture
def empty(stack: Stack) -> Iterator[Stack]:
    """The stack with an empty database of Airflow."""
    yield stack
    with closing(roles.connect(stack, "postgres")) as connection, connection.cursor() as cursor:
        cursor.execute("DROP DATABASE airflow WITH (FORCE)")
    roles.prepare(stack)
    migrations.forget(stack)
    (stack.logs / "databases.log").unlink(missing_ok=True)


def tables(stack: Stack) -> tuple[int, int]:
    """All tables of Airflow's database, and those of its role."""
    with closing(roles.connect(stack, "airflow")) as connection, connection.cursor() as cursor:
        cursor.execute(TABLES)
        return cursor.fetchall()[0]


def log(stack: Stack) -> str:
    path = stack.logs / "databases.log"
    return path.read_text() if path.exists() else ""


def test_a_new_database_gets_all_tables_without_migrations_and_keeps_them(empty: Stack) -> None:
    migrations.migrate_airflow(empty)
    found = tables(empty)
    assert found[0] == found[1] > 50 and not (empty.logs / "airflow-migrate.log").exists() and not log(empty)
    assert migrations.done(empty)["airflow"] == VERSION
    assert template.apply(empty, "airflow", VERSION) is False  # e.g. killed before the marker was written
    assert "not empty" in log(empty) and tables(empty) == found


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda text: None, "cannot be read"),
        (lambda text: text.replace("PostgreSQL 18", "PostgreSQL 17", 1), "was made for"),
        (lambda text: text.replace(VERSION, "other", 1), "was made for"),
        (lambda text: text[:-200], "is damaged"),
        (lambda text: signed("CREATE TABLE one (id integer);\nCREATE TABLE one (id integer);\n"), "already exists"),
    ],
    ids=["missing", "another PostgreSQL", "another Airflow", "cut off", "an error in the middle"],
)
def test_a_template_that_does_not_fit_changes_nothing_and_is_logged(
    change: object, why: str, empty: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = change((template.FOLDER / "airflow.sql").read_text())  # type: ignore[operator]
    if changed is not None:
        (tmp_path / "airflow.sql").write_text(changed)
    monkeypatch.setattr(template, "FOLDER", tmp_path)
    assert template.apply(empty, "airflow", VERSION) is False
    assert why in log(empty) and tables(empty) == (0, 0)


def signed(statements: str) -> str:
    return f"{template.header('airflow', VERSION)} {template.files.sha256(statements.encode())}\n{statements}"


def test_options_of_the_caller_need_the_migrations(empty: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERENNIAL_AIRFLOW__SCHEDULER__MAX_TIS_PER_QUERY", "7")
    assert template.read("airflow", VERSION), "this option changes no row"
    monkeypatch.setenv("PERENNIAL_AIRFLOW__CORE__DEFAULT_POOL_TASK_SLOT_COUNT", "7")
    assert template.apply(empty, "airflow", VERSION) is False
    assert "AIRFLOW__CORE__DEFAULT_POOL_TASK_SLOT_COUNT is set" in log(empty) and tables(empty) == (0, 0)


@pytest.mark.slow
def test_the_templates_are_what_the_migrations_create(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also the way without a template. If this fails after an upgrade: python -m include.stack.template_writing"""
    shipped = {service: (template.FOLDER / f"{service}.sql").read_text() for service in template_writing.WITH_ROWS}
    monkeypatch.setattr(template, "FOLDER", tmp_path)
    made = template_writing.texts(stack)
    assert (stack.logs / "airflow-migrate.log").stat().st_size and "cannot be read" in log(stack)
    for service, text in made.items():
        assert shipped[service] == text
        for name in (path.name for path in stack.secrets.iterdir() if path.is_file()):
            assert (credentials.read(stack, name) or "") not in text, name
