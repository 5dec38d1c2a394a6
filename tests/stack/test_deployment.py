"""The commands of docker-compose.yaml without Docker: a real PostgreSQL, a real Celery worker, health checks."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import yaml
from sqlalchemy.engine import make_url

from include.errors import ConfigurationError
from include.registry.ledger import Ledger
from include.retraining import package
from include.settings import PROJECT
from include.stack import deployment
from tests.services import Services, services

PASSWORDS = {variable: f"{role.name}-{uuid.uuid4().hex}" for role, variable in deployment.ROLES}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found = yaml.safe_load((PROJECT / "docker-compose.yaml").read_text())
    assert isinstance(found, dict)
    return found


@pytest.fixture(scope="module")
def running() -> Iterator[Services]:
    """A separate PostgreSQL, because roles belong to the whole server."""
    with services(mlflow=False) as found:
        yield found


def address(running: Services, user: str, database: str, driver: str = "") -> str:
    url = make_url(running.database_url).set(drivername=f"postgresql{driver}", username=user, database=database)
    return url.render_as_string(hide_password=False)


def asked(running: Services, user: str, database: str, statement: str) -> list[tuple[Any, ...]]:
    connection = psycopg2.connect(address(running, user, database))
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())
    finally:
        connection.close()


def test_each_role_owns_its_database_and_has_no_access_to_others(running: Services) -> None:
    administrator = address(running, "postgres", "perennial")
    before = Ledger(address(running, "postgres", "perennial", "+psycopg2"))  # an older deployment: one superuser
    before.migrate()
    before.freeze("toy", "ada", "kept")
    for attempt in range(2):  # `init` runs at every start; the second time with other passwords
        changed = {name: f"{value}{attempt}" for name, value in PASSWORDS.items()}
        deployment.prepare_databases(administrator, changed)
    rows = asked(
        running, "postgres", "perennial",
        "SELECT rolname, rolsuper, rolcreatedb, rolcreaterole, left(rolpassword, 14) FROM pg_authid "
        "WHERE rolname IN ('airflow', 'mlflow', 'ledger') ORDER BY rolname",
    )  # fmt: skip
    assert rows == [(name, False, False, False, "SCRAM-SHA-256$") for name in ("airflow", "ledger", "mlflow")]
    for role, _ in deployment.ROLES:
        statement = "CREATE TABLE public.own (id serial); SELECT count(*) FROM public.own"
        assert asked(running, role.name, role.database, statement) == [(0,)]
        for other, _ in deployment.ROLES:
            if other != role:
                with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
                    asked(running, role.name, other.database, "SELECT 1")
    ledger = Ledger(address(running, "ledger", "perennial", "+psycopg2"))
    assert ledger.migrate() and ledger.standing("toy").frozen_reason == "kept"
    ledger.unfreeze("toy", "ada", "done")
    owners = "SELECT DISTINCT tableowner::text FROM pg_tables WHERE schemaname = 'perennial'"
    assert asked(running, "ledger", "perennial", owners) == [("ledger",)]


def test_a_missing_password_is_named(running: Services) -> None:
    with pytest.raises(ConfigurationError, match="MLFLOW_DATABASE_PASSWORD not set"):
        deployment.prepare_databases("", {**PASSWORDS, "MLFLOW_DATABASE_PASSWORD": ""})


def test_only_the_owner_can_read_the_password_file(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "airflow_passwords.json"
    for password in ("first", "second"):
        deployment.write_passwords(
            path, {variable: f"{password} {variable}" for variable in deployment.PASSWORDS.values()}
        )
    assert json.loads(path.read_text()) == {
        "admin": "second AIRFLOW_ADMIN_PASSWORD",
        "op": "second AIRFLOW_OP_PASSWORD",
        "viewer": "second AIRFLOW_VIEWER_PASSWORD",
    }
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_missing_password_of_a_user_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    passwords = dict.fromkeys(deployment.PASSWORDS.values(), "x") | {"AIRFLOW_OP_PASSWORD": ""}
    with pytest.raises(ConfigurationError, match="AIRFLOW_OP_PASSWORD not set"):
        deployment.write_passwords(tmp_path / "airflow_passwords.json", passwords)
    assert not list(tmp_path.iterdir())


def test_folders_that_services_mount_are_created(tmp_path: Path, compose: dict[str, Any]) -> None:
    deployment.prepare_folders(tmp_path)
    mounts = [m for service in compose["services"].values() for m in service.get("volumes", []) if isinstance(m, dict)]
    assert mounts and all((tmp_path / mount["volume"]["subpath"]).is_dir() for mount in mounts)


def test_a_celery_worker_keeps_its_heartbeat_file_fresh(tmp_path: Path, compose: dict[str, Any]) -> None:
    file = tmp_path / "celery-heartbeat"
    worker = (
        "from celery import Celery; app = Celery(broker='memory://');"
        "app.conf.imports = ['include.stack.celery_heartbeat'];"
        "app.worker_main(['worker', '--pool=solo', '--loglevel=ERROR'])"
    )
    env = {**os.environ, "CELERY_HEARTBEAT_FILE": str(file), "PYTHONPATH": str(PROJECT), "C_FORCE_ROOT": "1"}
    process = subprocess.Popen([sys.executable, "-c", worker], env=env, cwd=tmp_path, stderr=subprocess.DEVNULL)
    (_, check) = compose["services"]["airflow-worker"]["healthcheck"]["test"]
    check = check.replace("$$", "$").replace("/tmp/celery-heartbeat", str(file))
    try:
        wait_for(file.exists, process)
        os.utime(file, (0, 0))
        wait_for(lambda: file.stat().st_mtime > 0, process)  # the next heartbeat
        assert subprocess.run(["sh", "-c", check]).returncode == 0
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    os.utime(file, (0, 0))
    assert subprocess.run(["sh", "-c", check]).returncode == 1


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Wait while the process runs."""
    waiting = threading.Event()
    while not condition():
        assert process.poll() is None, "the worker ended"
        waiting.wait(0.05)


@pytest.mark.parametrize("service", ["airflow-dag-processor", "airflow-triggerer"])
def test_the_health_check_follows_the_answer_of_the_api_server(service: str, compose: dict[str, Any]) -> None:
    """The answer has the shape of Airflow's `get_airflow_health`."""
    part = service.removeprefix("airflow-").replace("-", "_")
    status = {"value": "healthy"}

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/api/v2/monitor/health" else 404)
            self.end_headers()
            self.wfile.write(json.dumps({part: {"status": status["value"]}}).encode())

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    _, _, flag, code = compose["services"][service]["healthcheck"]["test"]
    code = code.replace("airflow-api-server:8080", f"127.0.0.1:{server.server_port}")
    try:
        for value, result in (("healthy", 0), ("unhealthy", 1)):
            status["value"] = value
            assert subprocess.run([sys.executable, flag, code]).returncode == result
    finally:
        server.shutdown()
        server.server_close()
    assert subprocess.run([sys.executable, flag, code], stderr=subprocess.DEVNULL).returncode == 1


def test_airflow_has_the_health_server_that_compose_enables(compose: dict[str, Any]) -> None:
    from airflow.configuration import conf

    variables = compose["services"]["airflow-scheduler"]["environment"]
    port = conf.getint("scheduler", "scheduler_health_check_server_port")
    assert variables["AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK"] == "True"
    assert f"http://127.0.0.1:{port}/health" in compose["services"]["airflow-scheduler"]["healthcheck"]["test"][-1]
    known = conf.configuration_description
    for name in variables:
        if name.startswith("AIRFLOW__"):
            _, section, key = name.lower().split("__", 2)
            assert section == "celery" or key in known[section]["options"], name


def test_a_manifest_names_the_commit_of_the_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compose: dict[str, Any]
) -> None:
    monkeypatch.setattr(package, "PROJECT", tmp_path)  # no git repository
    assert package._commit() == (None, None)
    monkeypatch.setenv("PERENNIAL_COMMIT", "a424cb6")
    assert package._commit() == ("a424cb6", None)
    build = compose["services"]["init"]["build"]
    assert build["args"] == {"GIT_COMMIT": "${GIT_COMMIT:-}", "EXTRAS": "${EXTRAS:-}"}
    assert "ENV PERENNIAL_COMMIT=$GIT_COMMIT" in build["dockerfile_inline"]
