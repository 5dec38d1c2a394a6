"""Access to the embedded PostgreSQL, and how the roles take over a cluster of an earlier release."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from include.stack import credentials, postgres, roles
from include.stack.layout import Stack

EARLIER = """
CREATE TYPE colour AS ENUM ('red', 'green');
CREATE SEQUENCE free;
CREATE TABLE one (id serial PRIMARY KEY, other bigint GENERATED ALWAYS AS IDENTITY, shade colour);
CREATE TABLE parts (day date) PARTITION BY RANGE (day);
CREATE TABLE part PARTITION OF parts FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE VIEW seen AS SELECT id FROM one;
CREATE FUNCTION doubled(n integer) RETURNS integer LANGUAGE sql AS 'SELECT 2 * n';
CREATE SCHEMA "a schema";
CREATE TABLE "a schema"."A table" (id serial);
INSERT INTO one (shade) VALUES ('red');
"""


@contextmanager
def serving(stack: Stack) -> Iterator[None]:
    """The database server, started as supervisord starts it."""
    postgres.prepare(stack)
    component = postgres.component(stack)
    log = stack.logs / "postgres.log"
    with log.open("wb") as output:
        user = postgres._as_system_user()
        process = subprocess.Popen(component.command, cwd="/", stdout=output, stderr=output, umask=0o077, **user)
    try:
        postgres.wait_until_ready(stack, lambda: _require_alive(process))
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def _require_alive(process: subprocess.Popen[bytes]) -> None:
    assert process.poll() is None, "PostgreSQL has ended"


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A stack with a cluster of an earlier release: the administrator owns everything, and every user is trusted."""
    with tempfile.TemporaryDirectory(prefix="prn-roles-", dir="/tmp") as folder:
        made = Stack(Path(folder) / "home", 1, 2, 3)
        made.prepare()
        credentials.prepare(made)
        with serving(made):
            with closing(roles.connect(made, "postgres")) as connection, connection.cursor() as cursor:
                cursor.execute("CREATE DATABASE mlflow")
            with closing(roles.connect(made, "mlflow")) as connection, connection.cursor() as cursor:
                cursor.execute(EARLIER)
        (made.pgdata / "pg_hba.conf").write_text("local all all trust\n")
        with serving(made):
            roles.prepare(made)
            yield made


def address(stack: Stack, role: str, database: str | None = None, password: str | None = None) -> str:
    known = credentials.read(stack, f"database_{role}")
    return f"host={stack.pg_sockets} user={role} dbname={database or role} password={password or known}"


def rows(dsn: str, query: str) -> list[Any]:
    with closing(psycopg2.connect(dsn)) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()


@pytest.mark.parametrize("role", credentials.ROLES)
def test_a_role_owns_its_database_and_is_not_superuser(stack: Stack, role: str) -> None:
    query = "SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication FROM pg_roles WHERE rolname = current_user"
    assert rows(address(stack, role), query) == [(False, False, False, False)]
    owner = "SELECT datdba::regrole::text FROM pg_database WHERE datname = current_database()"
    assert rows(address(stack, role), owner) == [(role,)]
    with closing(psycopg2.connect(address(stack, role))) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA made; CREATE TABLE public.made (id serial)")


@pytest.mark.parametrize("role", credentials.ROLES)
def test_a_role_has_access_only_to_its_database_and_only_with_its_password(stack: Stack, role: str) -> None:
    for other in {*credentials.ROLES, "postgres"} - {role}:
        with pytest.raises(psycopg2.OperationalError, match="no pg_hba.conf entry"):
            psycopg2.connect(address(stack, role, other))
    for password in ("wrong", "''"):
        with pytest.raises(psycopg2.OperationalError, match=r"password authentication failed|no password supplied"):
            psycopg2.connect(address(stack, role, password=password))


def test_objects_of_an_earlier_release_belong_to_the_role(stack: Stack) -> None:
    left = """
        SELECT relname::text FROM pg_class WHERE relowner = 'postgres'::regrole AND relnamespace::regnamespace::text
            NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
        UNION ALL SELECT typname FROM pg_type WHERE typowner = 'postgres'::regrole AND typnamespace::regnamespace::text
            NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
        UNION ALL SELECT proname FROM pg_proc WHERE proowner = 'postgres'::regrole AND pronamespace::regnamespace::text
            NOT IN ('pg_catalog', 'information_schema')
        UNION ALL SELECT nspname FROM pg_namespace WHERE nspowner = 'postgres'::regrole AND nspname = 'a schema'
    """
    assert rows(address(stack, "mlflow"), left) == []
    assert rows(address(stack, "mlflow"), "SELECT id, shade, doubled(id) FROM one") == [(1, "red", 2)]
    changed = "INSERT INTO one (shade) VALUES ('green') RETURNING id, other"
    assert rows(address(stack, "mlflow"), changed) == [(2, 2)]


def test_a_changed_password_is_used_from_the_next_start(stack: Stack) -> None:
    (stack.secrets / "database_perennial").unlink()
    credentials.prepare(stack)
    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(address(stack, "perennial"))
    roles.prepare(stack)
    psycopg2.connect(address(stack, "perennial")).close()


def test_the_servers_log_and_files_contain_no_password(stack: Stack) -> None:
    for role in credentials.ROLES:
        password = str(credentials.read(stack, f"database_{role}")).encode()
        for path in (*stack.pgdata.rglob("*"), stack.logs / "postgres.log"):
            if path.is_file():
                assert password not in path.read_bytes(), path


def test_other_users_have_no_access_to_the_folders_of_the_home(stack: Stack) -> None:
    # PostgreSQL's own user has access, because it needs its sockets and data
    allowed = 0o710 if os.geteuid() == 0 else 0o700
    for folder in (stack.home, stack.run, stack.sockets):
        assert stat.S_IMODE(folder.stat().st_mode) == allowed
    for folder in (stack.secrets, stack.logs, stack.pgdata, stack.pg_sockets):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
