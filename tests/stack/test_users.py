"""The users of Airflow: who exists, what each can do, and where their passwords are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from include.stack import credentials, environment, running
from include.stack.layout import Stack

TO_DAGS = {"run": "RUN", "clear": "TASK_INSTANCE"}  # what a person acts on, by Airflow's name of the access


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    found = Stack(tmp_path / "home", 18090, 15090, 18099)
    found.prepare()
    credentials.prepare(found)
    return found


def test_a_home_of_an_earlier_release_gets_the_new_users_and_keeps_the_password_of_admin(stack: Stack) -> None:
    before = credentials.password(stack, "admin")
    for user in ("op", "viewer"):
        (stack.secrets / f"{user}_password").unlink()
    credentials.passwords_file(stack).write_text(json.dumps({"admin": before}))
    credentials.prepare(stack)
    found = json.loads(credentials.passwords_file(stack).read_text())
    assert found["admin"] == before and sorted(found) == ["admin", "op", "viewer"]
    assert len(set(found.values())) == 3 and all(len(password) >= 16 for password in found.values())


def test_the_summary_names_the_users_and_the_file_of_their_passwords(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(stack.home)
    text = running.addresses(stack)
    assert "op (starts and clears runs) and viewer (reads): passwords in secrets/airflow_passwords.json" in text
    assert credentials.password(stack, "admin") in text and f"{stack.airflow_url}/plugin/models" in text
    assert not [user for user in ("op", "viewer") if credentials.password(stack, user) in text]


def test_what_each_user_can_do(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow's own auth manager decides, with the users of the stack."""
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
    from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

    variable = "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS"
    monkeypatch.setenv(variable, environment.airflow_environment(stack)[variable])
    manager = SimpleAuthManager()
    users = {user.username: user for user in manager.get_users()}
    assert set(users) == set(credentials.USERS)

    def allowed(user: str) -> dict[str, bool]:
        who: Any = users[user]
        acts = {
            name: manager.is_authorized_dag(method="POST", user=who, access_entity=DagAccessEntity[entity])
            for name, entity in TO_DAGS.items()
        }
        return acts | {
            "look": manager.is_authorized_dag(method="GET", user=who),
            "pause": manager.is_authorized_dag(method="PUT", user=who),
            "connections": manager.is_authorized_connection(method="GET", user=who),
            "variables": manager.is_authorized_variable(method="PUT", user=who),
            "pools": manager.is_authorized_pool(method="PUT", user=who),
        }

    acting, administering = {"run", "clear", "pause"}, {"connections", "variables", "pools"}
    assert {name for name, can in allowed("viewer").items() if can} == {"look"}
    assert {name for name, can in allowed("op").items() if can} == {"look"} | acting
    assert {name for name, can in allowed("admin").items() if can} == {"look"} | acting | administering
