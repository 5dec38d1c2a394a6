"""Starts the MLflow server with a login and two users: an administrator, and the user of all tasks.

Reads MLflow's own variables: ``MLFLOW_BACKEND_STORE_URI``, ``MLFLOW_FLASK_SERVER_SECRET_KEY``,
``MLFLOW_AUTH_ADMIN_USERNAME`` and ``MLFLOW_AUTH_ADMIN_PASSWORD``, and for the tasks ``MLFLOW_TRACKING_USERNAME`` and
``MLFLOW_TRACKING_PASSWORD``. ``MLFLOW_AUTH_CONFIG_PATH`` names the file to write: it holds the database's address. The
arguments are those of ``mlflow server``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from include import files
from include.errors import ConfigurationError

NEEDED = (
    "MLFLOW_BACKEND_STORE_URI",
    "MLFLOW_FLASK_SERVER_SECRET_KEY",
    "MLFLOW_AUTH_CONFIG_PATH",
    "MLFLOW_AUTH_ADMIN_USERNAME",
    "MLFLOW_AUTH_ADMIN_PASSWORD",
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
)
PASSWORDS = ("MLFLOW_AUTH_ADMIN_PASSWORD", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")


def write_configuration(environment: Mapping[str, str]) -> None:
    """Write the file that MLflow's login reads; only its owner can read it.

    Users who are added by hand can read everything and own what they create. Verified passwords are cached for five
    minutes: the hash takes tens of milliseconds, and a task sends tens of requests.
    """
    path = Path(environment["MLFLOW_AUTH_CONFIG_PATH"])
    database = environment["MLFLOW_BACKEND_STORE_URI"].replace("%", "%%")  # the file expands "%"
    lines = ("[mlflow]", "default_permission = READ", f"database_uri = {database}", "auth_cache_ttl_seconds = 300", "")
    files.write(path, "\n".join(lines).encode(), private=True)


def prepare_users(environment: Mapping[str, str]) -> None:
    """Create both users, or give them the passwords of the environment. The tasks' user manages runs and models."""
    from mlflow.server import auth

    auth.bootstrap_admin_user()
    store: Any = auth.store
    for kind in ("AUTH_ADMIN", "TRACKING"):
        name, password = environment[f"MLFLOW_{kind}_USERNAME"], environment[f"MLFLOW_{kind}_PASSWORD"]
        if not store.has_user(name):
            store.create_user(name, password)
        elif not store.authenticate_user(name, password):
            store.update_user(name, password=password)
    for resource in ("experiment", "registered_model"):
        store.grant_user_permission(environment["MLFLOW_TRACKING_USERNAME"], resource, "*", "MANAGE")


def main(arguments: list[str]) -> None:
    """Prepare the login, then run ``mlflow server`` in this process."""
    missing = [name for name in NEEDED if not os.environ.get(name)]
    if missing:
        raise ConfigurationError(f"{', '.join(missing)} not set: `make run` sets them for the MLflow server.")
    write_configuration(os.environ)
    import mlflow.server
    from mlflow.cli import cli

    from include.stack import mlflow_pages

    prepare_users(os.environ)
    mlflow.server._find_app = lambda name: mlflow_pages.FACTORY  # in place of the app that "basic-auth" names
    for name in PASSWORDS:  # the server no longer needs them
        os.environ.pop(name)
    cli(["server", "--app-name", "basic-auth", *arguments], prog_name="mlflow")


if __name__ == "__main__":
    main(sys.argv[1:])
