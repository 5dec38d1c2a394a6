"""What supervisord and the stack's processes are told: order, secrets, settings."""

from __future__ import annotations

import configparser
import importlib.util
import json
import stat
from pathlib import Path

import pytest
from supervisor.options import ServerOptions

from include.stack import components, credentials, environment
from include.stack.components import Component
from include.stack.layout import SOCKET_LIMIT, Stack


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    found = Stack(tmp_path / "a home with 'odd' signs", 18090, 15090, 18099)
    found.prepare()
    credentials.prepare(found)
    return found


def postgres(stack: Stack) -> Component:
    return Component("postgres", ("/bin/postgres", "-c", "listen_addresses="), stack.run, "INT", 8)


def realized(stack: Stack) -> ServerOptions:
    """The configuration as supervisord itself reads it."""
    path = stack.run / "supervisord.conf"
    path.write_text(components.supervisor_configuration(stack, postgres(stack), components.services(stack)))
    options = ServerOptions()
    options.realize(["-c", str(path)])
    return options


def test_supervisord_reads_it_and_stops_postgres_last(stack: Stack) -> None:
    groups = sorted(realized(stack).process_group_configs)
    assert [group.name for group in groups] == ["postgres", "services"]  # started in this order, stopped in reverse
    programs = [program for group in groups for program in group.process_configs]
    assert {p.name for p in programs} == {"postgres", *(c.name for c in components.services(stack))}
    assert all(not p.autostart and p.autorestart for p in programs)
    assert groups[0].process_configs[0].command.endswith("spawn.py -- /bin/postgres -c listen_addresses=")
    assert programs[-1].directory == str(stack.airflow_home)


def test_stopping_everything_takes_less_than_15_seconds(stack: Stack) -> None:
    """supervisord stops one group after the other, and the programs of a group together."""
    groups = realized(stack).process_group_configs
    assert sum(max(p.stopwaitsecs for p in group.process_configs) for group in groups) < 15


def test_everything_listens_on_the_loopback_address_only(stack: Stack) -> None:
    commands = {c.name: " ".join(c.command) for c in components.services(stack)}
    for name in ("mlflow", "airflow-api-server"):
        assert "--host 127.0.0.1" in commands[name]
    for name in ("airflow-scheduler", "airflow-triggerer"):
        assert "--skip-serve-logs" in commands[name]
    assert environment.perennial_environment(stack)["PERENNIAL_SERVING_HOST"] == "127.0.0.1"


def test_no_secret_on_a_command_line_or_in_a_file_that_others_read(stack: Stack) -> None:
    text = components.supervisor_configuration(stack, postgres(stack), components.services(stack))
    names = [path.name for path in stack.secrets.iterdir()]
    assert {"jwt_secret", "fernet_key", "admin_password", "airflow_passwords.json"} <= set(names)
    for path in stack.secrets.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.read_text().strip() not in text
    assert stat.S_IMODE(stack.secrets.stat().st_mode) == 0o700


def test_secrets_are_made_once(stack: Stack) -> None:
    before = {path.name: path.read_text() for path in stack.secrets.iterdir()}
    credentials.prepare(stack)
    assert {path.name: path.read_text() for path in stack.secrets.iterdir()} == before
    assert json.loads(before["airflow_passwords.json"]) == {"admin": before["admin_password"].strip()}


def test_serving_token_is_made_once_and_follows_the_environment(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    made = environment.perennial_environment(stack)["PERENNIAL_SERVING_TOKEN"]
    assert len(made) > 20
    credentials.prepare(stack)
    assert environment.perennial_environment(stack)["PERENNIAL_SERVING_TOKEN"] == made
    monkeypatch.setenv("PERENNIAL_SERVING_TOKEN", "mine")
    credentials.prepare(stack)
    assert environment.perennial_environment(stack)["PERENNIAL_SERVING_TOKEN"] == "mine"


def test_environment_of_the_children(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://production/airflow")
    monkeypatch.setenv("PERENNIAL_AIRFLOW__CORE__PARALLELISM", "3")
    monkeypatch.setenv("PERENNIAL_MODELS", "/models")
    monkeypatch.setenv("MY_PASSWORD", "x")
    child = environment.child_environment(stack, "/venv/bin/python")
    assert "PYTHONDONTWRITEBYTECODE" not in child and "MY_PASSWORD" not in child
    assert "production" not in child["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]  # another Airflow's database
    assert child["AIRFLOW__CORE__PARALLELISM"] == "3"
    assert child["PERENNIAL_HOME"] == child["PERENNIAL_STACK"] == str(stack.home)
    assert child["MLFLOW_TRACKING_URI"] == "http://127.0.0.1:15090"
    assert child["PERENNIAL_SERVING_URL"] == "http://127.0.0.1:18099"
    assert child["PERENNIAL_MODELS"] == "/models"
    assert child["OMP_NUM_THREADS"] == "1"
    assert child["PATH"].startswith("/venv/bin:")
    assert child["PYTHONPATH"].split(":")[0] == str(stack.project)
    assert json.loads(child["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"])[0]["kwargs"]["refresh_interval"] == 5


@pytest.mark.parametrize("name", [n for n in environment.PRELOAD if n.startswith(("include.", "perennial."))])
def test_our_preloaded_modules_exist(name: str) -> None:
    """The fork server ignores a module that cannot be imported, and every task would import it again."""
    folder = "plugins" if name.startswith("perennial.") else "."
    path = Stack(Path("/nowhere"), 1, 2, 3).project / folder / name.replace(".", "/")
    assert path.with_suffix(".py").exists() or (path / "__init__.py").exists()


@pytest.mark.parametrize("name", [n for n in environment.PRELOAD if not n.startswith(("include.", "perennial."))])
def test_preloaded_packages_exist(name: str) -> None:
    assert importlib.util.find_spec(name) is not None


def test_a_long_home_keeps_its_sockets_elsewhere(tmp_path: Path) -> None:
    stack = Stack(tmp_path / ("long" * 40), 1, 2, 3)
    assert len(str(stack.sockets)) <= SOCKET_LIMIT
    assert stack.sockets != Stack(tmp_path / ("long" * 41), 1, 2, 3).sockets
    short = Stack(Path("/srv/perennial"), 1, 2, 3)
    assert short.sockets == Path("/srv/perennial/run/sockets")


def test_configuration_is_plain_ini(stack: Stack) -> None:
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";", " #"), strict=True)
    parser.read_string(components.supervisor_configuration(stack, postgres(stack), components.services(stack)))
    assert parser["unix_http_server"]["chmod"] == "0700"
    assert parser["supervisord"]["nodaemon"] == "true"
