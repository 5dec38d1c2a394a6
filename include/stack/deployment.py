"""Prepares a deployment of docker-compose.yaml before its services start: ``python -m include.stack.deployment``.

Makes the folders, the roles and databases of PostgreSQL and the password file of Airflow, then migrates Airflow's
database, MLflow's and the ledger, and creates the lake. Each step may be done again, with other passwords too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from include import catalog
from include.errors import ConfigurationError
from include.settings import Settings

FOLDERS = ("bundles", "logs/airflow", "mlflow/artifacts", "serving", "spool")
USER = "admin"

# `mlflow db upgrade` wants the address on its command line, where everybody could read the password in it
UPGRADE_MLFLOW = "import os; from mlflow.cli import cli; cli(['db', 'upgrade', os.environ['MLFLOW_BACKEND_STORE_URI']])"

# Whatever the administrator owns in a database goes to its role: earlier deployments had the administrator alone.
# `REASSIGN OWNED` refuses the administrator's objects. A sequence of a column follows its table.
HAND_OVER = r"""
DO $do$
DECLARE item record;
BEGIN
    FOR item IN
        SELECT format('SCHEMA %%I', nspname) AS what FROM pg_namespace
        WHERE nspowner = current_user::text::regrole AND nspname <> 'information_schema' AND nspname NOT LIKE 'pg\_%%'
        UNION ALL
        SELECT format('%%s %%s', CASE relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END,
                      c.oid::regclass)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE relowner = current_user::text::regrole AND relkind IN ('r', 'p', 'v', 'S')
          AND nspname <> 'information_schema' AND nspname NOT LIKE 'pg\_%%'
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                          AND relkind = 'S' AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i'))
        UNION ALL
        SELECT format('TYPE %%s', t.oid::regtype) FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
        WHERE typowner = current_user::text::regrole AND typtype IN ('e', 'd')
          AND nspname <> 'information_schema' AND nspname NOT LIKE 'pg\_%%'
        UNION ALL
        SELECT format('ROUTINE %%s', p.oid::regprocedure)
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE proowner = current_user::text::regrole AND nspname <> 'information_schema' AND nspname NOT LIKE 'pg\_%%'
    LOOP
        EXECUTE format('ALTER %%s OWNER TO %%I', item.what, %s);
    END LOOP;
END $do$
"""


@dataclass(frozen=True)
class Role:
    """A login of PostgreSQL that owns one database and gets into no other."""

    name: str
    database: str
    password_variable: str


ROLES = (
    Role("airflow", "airflow", "AIRFLOW_DATABASE_PASSWORD"),
    Role("mlflow", "mlflow", "MLFLOW_DATABASE_PASSWORD"),
    Role("ledger", "perennial", "LEDGER_DATABASE_PASSWORD"),
)


def prepare_databases(administrator: str, passwords: Mapping[str, str]) -> None:
    """Make roles and databases, set the passwords, hand over what the administrator owned in them.

    Parameters
    ----------
    administrator : address of any database, for a superuser (libpq form).
    passwords : values by `Role.password_variable`.

    Raises
    ------
    ConfigurationError : a password is missing.
    """
    missing = [role.password_variable for role in ROLES if not passwords.get(role.password_variable)]
    if missing:
        raise ConfigurationError(f"{', '.join(missing)} not set: see the top of docker-compose.yaml.")
    for role in ROLES:
        with closing(_connect(administrator)) as connection, connection.cursor() as cursor:
            _prepare_role(cursor, role, passwords[role.password_variable])
        with closing(_connect(administrator, role.database)) as connection, connection.cursor() as cursor:
            cursor.execute(HAND_OVER, [role.name])
            _own_schema_public(cursor, role)


def write_passwords(path: Path, password: str) -> None:
    """The file that Airflow's simple auth manager reads, for its owner alone."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(json.dumps({USER: password}) + "\n")
    os.replace(partial, path)


def prepare_folders(home: Path) -> None:
    """The folders that services mount one by one, for their owner alone."""
    for folder in FOLDERS:
        (home / folder).mkdir(mode=0o700, parents=True, exist_ok=True)


def migrate() -> None:
    """Bring the databases of Airflow and MLflow and the ledger to this release, and create the lake."""
    from include.data.lake import Lake
    from include.registry.ledger import Ledger
    from include.release.reconcile import reconcile

    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True)
    subprocess.run([sys.executable, "-c", UPGRADE_MLFLOW], check=True)
    Ledger.default().migrate()
    reconcile(alias=False)
    for entry in catalog.entries():
        if entry.model is not None:
            Lake.of(entry.model).create()


def main() -> None:
    """All steps, from the environment that docker-compose.yaml gives to `init`."""
    os.umask(0o077)
    prepare_folders(Settings.from_environment().home)
    write_passwords(
        Path(os.environ["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"]), os.environ["AIRFLOW_ADMIN_PASSWORD"]
    )
    prepare_databases(os.environ["POSTGRES_URL"], os.environ)
    migrate()


def _connect(address: str, database: str | None = None) -> Any:
    import psycopg2

    connection = psycopg2.connect(address, **({"dbname": database} if database else {}))
    connection.autocommit = True  # a database cannot be created in a transaction
    return connection


def _prepare_role(cursor: Any, role: Role, password: str) -> None:
    from psycopg2.extensions import encrypt_password
    from psycopg2.sql import SQL, Identifier

    name, database = Identifier(role.name), Identifier(role.database)
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role.name])
    if not cursor.fetchall():
        cursor.execute(SQL("CREATE ROLE {}").format(name))
    # hashed here: the server sees no password, so it can log none
    hashed = encrypt_password(password, role.name, cursor.connection, "scram-sha-256")
    rights = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD %s"
    cursor.execute(SQL("ALTER ROLE {} " + rights).format(name), [hashed])
    cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [role.database])
    if cursor.fetchall():
        cursor.execute(SQL("ALTER DATABASE {} OWNER TO {}").format(database, name))
    else:
        cursor.execute(SQL("CREATE DATABASE {} OWNER {}").format(database, name))
    cursor.execute(SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))


def _own_schema_public(cursor: Any, role: Role) -> None:
    """Since PostgreSQL 15 only the owner of a schema may create tables in it."""
    from psycopg2.sql import SQL, Identifier

    cursor.execute(SQL("ALTER SCHEMA public OWNER TO {}").format(Identifier(role.name)))


if __name__ == "__main__":
    main()
