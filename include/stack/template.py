"""The tables of a new database, written beforehand: the migrations of Airflow and MLflow take ten seconds.

`schemas/airflow.sql` and `schemas/mlflow.sql` are what the migrations of the pinned versions leave behind (see
`include.stack.template_writing`). They are used for an empty database only, and only by exactly these versions. In any
other case, the migrations run.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

from include import files
from include.partitions import utc_now
from include.stack import confidential, credentials, postgres
from include.stack.layout import Stack

FOLDER = Path(__file__).with_name("schemas")
EMPTY = "SELECT NOT EXISTS (SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace)"


# Options of Airflow that do not change the rows of a new database.
WITHOUT_ROWS = (
    "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY",
    "AIRFLOW__DAG_PROCESSOR__",
    "AIRFLOW__LOGGING__",
    "AIRFLOW__PERENNIAL__",
    "AIRFLOW__SCHEDULER__",
    "AIRFLOW__WORKERS__",
)


class NotUsable(Exception):
    """The template does not fit; the message says why."""


def apply(stack: Stack, service: str, version: str) -> bool:
    """Create the tables of a service in its empty database, all of them or none; returns whether it was done.

    If not, a line in ``logs/databases.log`` says why, and the migrations do the work.

    Parameters
    ----------
    service : ``airflow`` or ``mlflow``; also the name of its role and database.
    version : the version that the database must have, see `include.stack.migrations.wanted`.
    """
    from psycopg2 import Error

    try:
        text = read(service, version)
        # leaving `connection` ends the one transaction
        with closing(_connect(stack, service)) as opened, opened as connection, connection.cursor() as cursor:
            cursor.execute(EMPTY)
            if cursor.fetchall() != [(True,)]:
                raise NotUsable("the database is not empty")
            cursor.execute(text)
        return True
    except (NotUsable, Error) as error:
        with (stack.logs / "databases.log").open("a") as log:
            log.write(f"{utc_now():%Y-%m-%d %H:%M:%S} {service}: migrations instead of the template: {error}\n")
        return False


def read(service: str, version: str) -> str:
    """The statements of a service's template.

    Raises
    ------
    NotUsable : it is missing, damaged or of another version; or the caller sets options of Airflow that can change
        the rows of a new database.
    """
    given = [name for name in confidential.of_callers() if name.startswith("AIRFLOW__")]
    options = [name for name in given if not name.startswith(WITHOUT_ROWS)]
    if service == "airflow" and options:
        raise NotUsable(f"{', '.join(sorted(options))} is set")
    path = FOLDER / f"{service}.sql"
    try:
        head, _, statements = path.read_text().partition("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise NotUsable(f"{path} cannot be read: {error}") from error
    *about, digest = head.split()
    if about != header(service, version).split():
        raise NotUsable(f"{path} was made for {' '.join(about)[:200]}, this is {header(service, version)}")
    if digest != files.sha256(statements.encode()):
        raise NotUsable(f"{path} is damaged")
    return statements


def header(service: str, version: str) -> str:
    """How the first line of a template begins; it ends with the digest of the lines that follow."""
    return f"-- {service} {version}, PostgreSQL {postgres.VERSION}, SHA-256"


def _connect(stack: Stack, role: str) -> Any:
    """A role's connection to its own database."""
    import psycopg2

    password = credentials.read(stack, f"database_{role}")
    return psycopg2.connect(host=str(stack.pg_sockets), user=role, dbname=role, password=password)
