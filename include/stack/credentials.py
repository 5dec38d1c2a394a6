"""The secrets of one stack: created once, kept in `<home>/secrets` for this user only, never on a command line."""

from __future__ import annotations

import base64
import json
import os
import secrets
from pathlib import Path

from include import files
from include.stack.layout import Stack

USER = "admin"  # of Airflow and of MLflow
OPERATOR, VIEWER = "op", "viewer"
# The users of Airflow, with their roles in its simple auth manager. Its role `user` runs, clears and pauses DAGs; its
# role `op` would also read connections and change variables and pools.
USERS = {USER: "admin", OPERATOR: "user", VIEWER: "viewer"}
TASKS_USER = "perennial"  # of MLflow: the user of tasks
ROLES = ("airflow", "mlflow", "perennial")  # of PostgreSQL: each owns the database of the same name


def read(stack: Stack, name: str) -> str | None:
    """A secret's value, or ``None`` if this stack has no secret of this name."""
    path = stack.secrets / name
    return path.read_text().strip() if path.exists() else None


def prepare(stack: Stack) -> None:
    """Create missing secrets, and the password file that Airflow's simple auth manager reads."""
    _once(stack.secrets / "jwt_secret", secrets.token_urlsafe(64))
    _once(stack.secrets / "fernet_key", base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())
    _once(stack.secrets / "api_secret_key", secrets.token_urlsafe(32))
    _once(stack.secrets / "mlflow_secret_key", secrets.token_urlsafe(32))
    for user in USERS:
        _once(stack.secrets / f"{user}_password", secrets.token_urlsafe(12))
    _once(stack.secrets / "mlflow_admin_password", secrets.token_urlsafe(12))
    _once(stack.secrets / "mlflow_tasks_password", secrets.token_urlsafe(24))
    for role in ROLES:
        _once(stack.secrets / f"database_{role}", secrets.token_urlsafe(24))
    token = os.environ.get("PERENNIAL_SERVING_TOKEN")
    if token:
        write(stack.secrets / "serving_token", token + "\n")
    else:
        _once(stack.secrets / "serving_token", secrets.token_urlsafe(24))
    write(passwords_file(stack), json.dumps({user: password(stack, user) for user in USERS}) + "\n")


def users_and_roles() -> str:
    """The users of Airflow, as its simple auth manager reads them."""
    return ",".join(f"{user}:{role}" for user, role in USERS.items())


def password(stack: Stack, user: str) -> str:
    """The password of a user of Airflow; empty before `prepare`."""
    return read(stack, f"{user}_password") or ""


def passwords_file(stack: Stack) -> Path:
    """The file with the passwords of all users of Airflow, by name."""
    return stack.secrets / "airflow_passwords.json"


def database_url(stack: Stack, role: str, driver: str) -> str:
    """SQLAlchemy URL of a role's own database. It contains the password, so it must not get into a log."""
    return f"postgresql+{driver}://{role}:{read(stack, f'database_{role}')}@/{role}?host={stack.pg_sockets}"


def _once(path: Path, value: str) -> None:
    if not path.exists() or not path.read_text().strip():
        write(path, value + "\n")


def write(path: Path, content: str) -> None:
    """Write a file that only its owner can read, atomically."""
    files.write(path, content.encode(), private=True)
