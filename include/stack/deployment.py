"""Prepares a deployment of docker-compose.yaml before its services start: ``python -m include.stack.deployment``.

Creates the folders, the roles and databases of PostgreSQL and the password file of Airflow, then migrates Airflow's
database, MLflow's and the ledger, and creates the lake. Each step can be repeated, also with other passwords.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from include import catalog, files
from include.errors import ConfigurationError
from include.settings import Settings
from include.stack import credentials, roles
from include.stack.roles import Role

FOLDERS = ("bundles", "logs/airflow", "mlflow/artifacts", "serving", "spool")

# The users of Airflow, each with the variable of its password.
PASSWORDS = {user: f"AIRFLOW_{user.upper()}_PASSWORD" for user in credentials.USERS}

# `mlflow db upgrade` needs the address on its command line, where every user could read its password
UPGRADE_MLFLOW = "import os; from mlflow.cli import cli; cli(['db', 'upgrade', os.environ['MLFLOW_BACKEND_STORE_URI']])"

# The roles, each with the variable of its password.
ROLES = (
    (Role("airflow", "airflow"), "AIRFLOW_DATABASE_PASSWORD"),
    (Role("mlflow", "mlflow"), "MLFLOW_DATABASE_PASSWORD"),
    (Role("ledger", "perennial"), "LEDGER_DATABASE_PASSWORD"),
)


def prepare_databases(administrator: str, passwords: Mapping[str, str]) -> None:
    """Create roles and databases, set the passwords, hand over the objects that the administrator owned in them.

    Parameters
    ----------
    administrator : address of any database, for a superuser (libpq form).
    passwords : values by variable.

    Raises
    ------
    ConfigurationError : a password is missing.
    """
    _require((variable for _, variable in ROLES), passwords)
    for role, variable in ROLES:
        roles.install(partial(_connect, administrator), role, passwords[variable])


def write_passwords(path: Path, passwords: Mapping[str, str]) -> None:
    """Write the file that Airflow's simple auth manager reads; only its owner can read it.

    Parameters
    ----------
    passwords : values by variable.

    Raises
    ------
    ConfigurationError : a password is missing.
    """
    _require(PASSWORDS.values(), passwords)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = {user: passwords[variable] for user, variable in PASSWORDS.items()}
    files.write(path, (json.dumps(found) + "\n").encode(), private=True)


def prepare_folders(home: Path) -> None:
    """Create the folders that services mount one by one; only their owner can access them."""
    for folder in FOLDERS:
        (home / folder).mkdir(mode=0o700, parents=True, exist_ok=True)


def migrate() -> None:
    """Bring the databases of Airflow and MLflow and the ledger to this release, and create the lake."""
    from include.data import days
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
    days.catch_up()


def main() -> None:
    """Run all steps with the environment that docker-compose.yaml gives to `init`."""
    os.umask(0o077)
    prepare_folders(Settings.from_environment().home)
    write_passwords(Path(os.environ["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"]), os.environ)
    prepare_databases(os.environ["POSTGRES_URL"], os.environ)
    migrate()


def _require(variables: Iterable[str], passwords: Mapping[str, str]) -> None:
    missing = [variable for variable in variables if not passwords.get(variable)]
    if missing:
        raise ConfigurationError(f"{', '.join(missing)} not set: see the top of docker-compose.yaml.")


def _connect(address: str, database: str) -> Any:
    import psycopg2

    connection = psycopg2.connect(address, dbname=database)
    connection.autocommit = True  # a database cannot be created in a transaction
    return connection


if __name__ == "__main__":
    main()
