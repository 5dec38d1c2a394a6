"""Writes the templates of new databases: ``python -m include.stack.template_writing``, after `make lock UPGRADE=1`.

Starts PostgreSQL in a temporary folder, runs the migrations of Airflow and MLflow on empty databases, and dumps the
tables. The dump has no secret and no data: a table with rows that is not named here is an error.
"""

from __future__ import annotations

import re
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from include import files
from include.errors import ConfigurationError
from include.stack import credentials, migrations, postgres, roles, template
from include.stack.layout import Stack

# The tables in which migrations leave rows: the version of the schema, and names of Airflow's own defaults.
WITH_ROWS = {
    "airflow": {"alembic_version", "log_template", "slot_pool"},
    "mlflow": {"alembic_version", "alembic_version_auth", "workspaces"},
}
# `mlflow db upgrade` and `python -m mlflow.server.auth db upgrade`, which need the address on their command lines
UPGRADE_MLFLOW = """
import os
from include.stack.mlflow_server import write_configuration
write_configuration(os.environ)  # the imports of the next lines read it
from mlflow.cli import cli
from mlflow.server.auth.cli import commands
address = os.environ["MLFLOW_BACKEND_STORE_URI"]
cli(["db", "upgrade", address], prog_name="mlflow", standalone_mode=False)
commands(["db", "upgrade", "--url", address], prog_name="mlflow", standalone_mode=False)
"""
MOMENT = re.compile(r"'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?\+00'")
NO_MOMENT = "'2026-01-01 00:00:00+00'"  # the moment of the migration is not part of the template


def write() -> None:
    """Replace the files of `include.stack.template`.

    Raises
    ------
    ConfigurationError : see `texts`. The old files are gone then, so that the migrations run everywhere.
    """
    for path in template.FOLDER.glob("*.sql"):
        path.unlink()
    with tempfile.TemporaryDirectory(prefix="prn-template-", dir="/tmp") as folder:
        stack = Stack(Path(folder) / "home", 1, 2, 3)
        stack.prepare()
        credentials.prepare(stack)
        with running(stack):
            roles.prepare(stack)
            made = texts(stack)
    for service, text in made.items():
        path = template.FOLDER / f"{service}.sql"
        files.write(path, text.encode())
        print(f"wrote {path}")


def texts(stack: Stack) -> dict[str, str]:
    """The template of each service, made by its migrations in its empty database; there must be no template yet.

    Raises
    ------
    ConfigurationError : a migration failed, or a table has rows that are not expected.
    """
    migrations.migrate_airflow(stack)
    migrations.run(stack, "mlflow-upgrade", [sys.executable, "-c", UPGRADE_MLFLOW])
    return {service: _text(service, _dump(stack, service)) for service in WITH_ROWS}


@contextmanager
def running(stack: Stack) -> Iterator[None]:
    """PostgreSQL, without supervisord."""
    postgres.prepare(stack)
    with (stack.logs / "postgres.log").open("wb") as output:
        process = postgres.start(stack, output)

    def check() -> None:
        if process.poll() is not None:
            raise ConfigurationError(f"PostgreSQL has ended:\n{(stack.logs / 'postgres.log').read_text()}")

    try:
        postgres.wait_until_ready(stack, check)
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def _dump(stack: Stack, service: str) -> str:
    with closing(roles.connect(stack, service)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'")
        filled = set()
        for (table,) in cursor.fetchall():
            cursor.execute(f'SELECT EXISTS (SELECT FROM "{table}")')
            if cursor.fetchall() == [(True,)]:
                filled.add(table)
    if filled != WITH_ROWS[service]:
        raise ConfigurationError(
            f"the migrations of {service} leave rows in {sorted(filled)}, not in {sorted(WITH_ROWS[service])}: check "
            f"that they are the same on every machine and not secret, then change WITH_ROWS."
        )
    return postgres.dump(stack, service)


def _text(service: str, dump: str) -> str:
    """The statements without comments and without psql's own commands, under the header of the template."""
    kept = [line for line in dump.splitlines() if line and not line.startswith(("--", "\\"))]
    statements = MOMENT.sub(NO_MOMENT, "\n".join(kept) + "\n")
    version = migrations.wanted()[service]
    return f"{template.header(service, version)} {files.sha256(statements.encode())}\n{statements}"


if __name__ == "__main__":
    write()
