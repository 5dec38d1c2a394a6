"""The configuration of supervisord and of the stack's processes: order, secrets, settings."""

from __future__ import annotations

import configparser
import importlib.util
import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from supervisor.options import ServerOptions

from include.stack import components, confidential, credentials, environment
from include.stack.components import Component
from include.stack.layout import SOCKET_LIMIT, Stack
from include.stack.preload import PRELOAD


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
    assert all(not p.autostart and p.autorestart and p.umask == 0o077 for p in programs)
    assert groups[0].process_configs[0].command.endswith("spawn.py -- /bin/postgres -c listen_addresses=")
    assert programs[-1].directory == str(stack.airflow_home)


def test_stopping_everything_takes_less_than_15_seconds(stack: Stack) -> None:
    """supervisord stops one group after the other, and all programs of a group at once."""
    groups = realized(stack).process_group_configs
    assert sum(max(p.stopwaitsecs for p in group.process_configs) for group in groups) < 15


def test_everything_listens_on_the_loopback_address_only(stack: Stack) -> None:
    commands = {c.name: " ".join(c.command) for c in components.services(stack)}
    for name in ("mlflow", "airflow-api-server"):
        assert "--host 127.0.0.1" in commands[name]
    for name in ("airflow-scheduler", "airflow-triggerer"):
        assert "--skip-serve-logs" in commands[name]
    assert environment.perennial_environment(stack)["PERENNIAL_SERVING_HOST"] == "127.0.0.1"


def test_no_secret_is_on_a_command_line_or_in_a_file_that_others_can_read(stack: Stack) -> None:
    started = [confidential.prepared(stack, component) for component in components.services(stack)]
    text = components.supervisor_configuration(stack, postgres(stack), started)
    names = [path.name for path in stack.secrets.iterdir()]
    assert {"jwt_secret", "fernet_key", "admin_password", "airflow_passwords.json", "database_airflow"} <= set(names)
    for path in stack.secrets.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
        assert path.is_dir() or path.read_text().strip() not in text
    assert stat.S_IMODE(stack.secrets.stat().st_mode) == 0o700


SECRETS = {
    "admin_password": set(),  # Airflow reads those of its users from a file
    "op_password": set(),
    "viewer_password": set(),
    "api_secret_key": {"airflow-api-server"},
    "database_airflow": {*confidential.AIRFLOW},
    "database_mlflow": {"mlflow", "mlflow-upgrade"},
    "database_perennial": {"airflow-api-server", "airflow-scheduler"},
    "fernet_key": {*confidential.AIRFLOW},
    "jwt_secret": {"airflow-api-server", "airflow-scheduler"},
    "mlflow_admin_password": {"mlflow", "mlflow-upgrade"},
    "mlflow_secret_key": {"mlflow", "mlflow-upgrade"},
    "mlflow_tasks_password": {"mlflow", "mlflow-upgrade", "airflow-scheduler"},
    "serving_token": {"serving", "airflow-api-server", "airflow-scheduler"},
}


def test_each_process_gets_only_the_secrets_that_it_reads(stack: Stack) -> None:
    values = {name: credentials.read(stack, name) for name in SECRETS}
    made = {path.name for path in stack.secrets.iterdir()} - {"airflow_passwords.json", "environment"}
    assert made == set(SECRETS)
    # the environment of supervisord, and therefore of PostgreSQL
    common = environment.common_environment(stack, "/venv/bin/python")
    assert not [name for name, value in values.items() if str(value) in str(common)]
    for component in (*confidential.AIRFLOW, "mlflow", "mlflow-upgrade", "serving"):
        child = str(environment.child_environment(stack, "/venv/bin/python", component))
        found = {name for name, value in values.items() if str(value) in child}
        assert found == {name for name, allowed in SECRETS.items() if component in allowed}, component


def test_a_process_gets_its_secrets_whatever_characters_they_contain(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERENNIAL_SERVING_TOKEN", """a"b'c %(d)s, e=f\\ ;g""")
    credentials.prepare(stack)
    asked = Component("serving", (sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))"), Path())
    started = confidential.prepared(stack, asked)
    done = subprocess.run(started.command, env={"PATH": "/bin"}, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["PERENNIAL_SERVING_TOKEN"] == """a"b'c %(d)s, e=f\\ ;g"""
    assert json.loads(done.stdout)["PATH"] == "/bin"


def test_variables_that_the_caller_set_for_tasks_reach_only_airflow(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AIRFLOW_CONN_SHOP", "AWS_SECRET_ACCESS_KEY", "PERENNIAL_AIRFLOW__SMTP__PASSWORD"):
        monkeypatch.setenv(name, "of-the-caller")
    monkeypatch.setenv("PERENNIAL_DATABASE_URL", "postgresql://another/ledger")
    children = {c: environment.child_environment(stack, "/venv/bin/python", c) for c in ("mlflow", "serving")}
    assert not [c for c, child in children.items() if "of-the-caller" in child.values()]
    scheduler = environment.child_environment(stack, "/venv/bin/python", "airflow-scheduler")
    for name in ("AIRFLOW_CONN_SHOP", "AWS_SECRET_ACCESS_KEY", "AIRFLOW__SMTP__PASSWORD"):
        assert scheduler[name] == "of-the-caller"
    assert "another" not in str([*children.values(), scheduler])


def test_secrets_are_created_once(stack: Stack) -> None:
    before = {path.name: path.read_text() for path in stack.secrets.iterdir()}
    credentials.prepare(stack)
    assert {path.name: path.read_text() for path in stack.secrets.iterdir()} == before
    users = ("admin", "op", "viewer")
    assert json.loads(before["airflow_passwords.json"]) == {u: before[f"{u}_password"].strip() for u in users}


def test_the_serving_token_is_created_once_and_follows_the_environment(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    child = environment.child_environment(stack, "/venv/bin/python", "airflow-scheduler")
    assert "PYTHONDONTWRITEBYTECODE" not in child and "MY_PASSWORD" not in child
    assert "production" not in child["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]  # the database of another Airflow
    assert child["AIRFLOW__CORE__PARALLELISM"] == "3"
    assert child["PERENNIAL_HOME"] == child["PERENNIAL_STACK"] == str(stack.home)
    assert child["MLFLOW_TRACKING_URI"] == "http://127.0.0.1:15090"
    assert child["PERENNIAL_SERVING_URL"] == "http://127.0.0.1:18099"
    assert child["PERENNIAL_MODELS"] == f"/models:{stack.tours}"
    assert child["OMP_NUM_THREADS"] == "1"
    assert child["PATH"].startswith("/venv/bin:")
    assert child["PYTHONPATH"].split(":")[0] == str(stack.project)
    assert json.loads(child["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"])[0]["kwargs"]["refresh_interval"] == 5


@pytest.mark.parametrize("name", [n for n in PRELOAD if n.startswith(("include.", "perennial."))])
def test_our_preloaded_modules_can_be_imported(name: str) -> None:
    """The fork server ignores a module that cannot be imported. Then every task would import it again."""
    folder = "plugins" if name.startswith("perennial.") else "."
    path = Stack(Path("/nowhere"), 1, 2, 3).project / folder / name.replace(".", "/")
    assert path.with_suffix(".py").exists() or (path / "__init__.py").exists()


@pytest.mark.parametrize("name", [n for n in PRELOAD if not n.startswith(("include.", "perennial."))])
def test_preloaded_packages_exist(name: str) -> None:
    assert importlib.util.find_spec(name) is not None


def test_a_home_with_a_long_path_keeps_its_sockets_elsewhere(tmp_path: Path) -> None:
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
