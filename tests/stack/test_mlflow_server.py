"""The users of MLflow's login follow the secrets folder. The file with the database's address is private."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from include.errors import ConfigurationError
from include.stack import mlflow_server

SCRIPT = """
import os
from include.stack import mlflow_server
from mlflow.server import auth
for number in (1, 2):  # the second time with new passwords
    os.environ["MLFLOW_AUTH_ADMIN_PASSWORD"] = f"administrator {number}"
    os.environ["MLFLOW_TRACKING_PASSWORD"] = f"of all tasks {number}"
    auth.auth_config = auth.read_auth_config()
    mlflow_server.prepare_users(os.environ)
users = {user.username: user.is_admin for user in auth.store.list_users()}
assert users == {"admin": True, "perennial": False}, users
for name, password in (("admin", "administrator"), ("perennial", "of all tasks")):
    assert auth.store.authenticate_user(name, f"{password} 2")
    assert not auth.store.authenticate_user(name, f"{password} 1")
"""


def test_users_get_the_passwords_of_the_last_start(tmp_path: Path) -> None:
    variables = {
        "MLFLOW_AUTH_CONFIG_PATH": str(tmp_path / "auth.ini"),
        "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{tmp_path}/100%25.db",
        "MLFLOW_AUTH_ADMIN_USERNAME": "admin",
        "MLFLOW_TRACKING_USERNAME": "perennial",
    }
    mlflow_server.write_configuration(variables)
    assert stat.S_IMODE((tmp_path / "auth.ini").stat().st_mode) == 0o600
    root = str(Path(__file__).parent.parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, **variables, "PYTHONPATH": root},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_it_does_not_start_without_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in mlflow_server.NEEDED:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigurationError, match="MLFLOW_AUTH_ADMIN_PASSWORD"):
        mlflow_server.main([])
