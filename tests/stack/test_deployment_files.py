"""docker-compose.yaml is valid and safe by default; CI runs the same tests as `make test`."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from include.extras import EXTRAS
from include.settings import PROJECT
from include.stack import environment
from include.stack.bootstrap import SUPPORTED
from include.stack.layout import Stack

# The official schema, unchanged: github.com/compose-spec/compose-spec, schema/compose-spec.json at 170098b (Apache-2.0)
SCHEMA = json.loads((Path(__file__).parent / "compose-spec.json").read_text())

SECRETS = (
    "POSTGRES_PASSWORD",
    "AIRFLOW_DATABASE_PASSWORD",
    "MLFLOW_DATABASE_PASSWORD",
    "LEDGER_DATABASE_PASSWORD",
    "REDIS_PASSWORD",
    "AIRFLOW_FERNET_KEY",
    "AIRFLOW_JWT_SECRET",
    "AIRFLOW_SECRET_KEY",
    "AIRFLOW_ADMIN_PASSWORD",
    "AIRFLOW_OP_PASSWORD",
    "AIRFLOW_VIEWER_PASSWORD",
    "MLFLOW_ADMIN_PASSWORD",
    "MLFLOW_TASKS_PASSWORD",
    "MLFLOW_SECRET_KEY",
    "SERVING_TOKEN",
)
# Variables that `make run` sets and a container lacks.
NOT_COMPOSED = {
    "AIRFLOW__SCHEDULER__MP_START_METHOD": "Celery forks tasks from a worker that has imported everything",
    "AIRFLOW__CORE__MP_FORKSERVER_PRELOAD": "the same: see EXTRA_CELERY_CONFIG",
    "AIRFLOW__PERENNIAL__IDLE_PAUSE": "a setting of the executor of `make run`; Celery has its own",
    "AIRFLOW__API__HOST": "an argument of the command",
    "AIRFLOW__API__PORT": "an argument of the command",
    "AIRFLOW_PORT": "a container has a fixed port; compose publishes it as ${AIRFLOW_PORT}",
    "PERENNIAL_MODELS": "the folder of `make tour`, which needs the stack of `make run`",
    "MLFLOW_PORT": "a container has a fixed port; compose publishes it as ${MLFLOW_PORT}",
}
# Variables that a container has and `make run` does not set.
ONLY_COMPOSED = {
    "AIRFLOW__CELERY__BROKER_URL": "Celery",
    "AIRFLOW__CELERY__RESULT_BACKEND": "Celery",
    "AIRFLOW__CELERY__WORKER_CONCURRENCY": "Celery",
    "AIRFLOW__CELERY__EXTRA_CELERY_CONFIG": "Celery",
    "CELERY_HEARTBEAT_FILE": "Celery: the health check of a worker",
    "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "health checks of containers; supervisord watches processes",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_HOST": "health checks of containers",
    "AIRFLOW__LOGGING__FILE_TASK_HANDLER_NEW_FOLDER_PERMISSIONS": "nothing sets the umask of a container",
    "AIRFLOW__LOGGING__FILE_TASK_HANDLER_NEW_FILE_PERMISSIONS": "nothing sets the umask of a container",
    "PERENNIAL_MLFLOW_PUBLIC_URL": "a browser uses another address of MLflow than a container",
    "PERENNIAL_SERVING_PUBLIC_URL": "a client uses another address of the model server than a container",
    "POSTGRES_URL": "the administrator, for `init`",
    "AIRFLOW_DATABASE_PASSWORD": "a password that `init` gives to a role",
    "MLFLOW_DATABASE_PASSWORD": "a password that `init` gives to a role",
    "LEDGER_DATABASE_PASSWORD": "a password that `init` gives to a role",
    "AIRFLOW_ADMIN_PASSWORD": "`init` writes it into Airflow's password file",
    "AIRFLOW_OP_PASSWORD": "`init` writes it into Airflow's password file",
    "AIRFLOW_VIEWER_PASSWORD": "`init` writes it into Airflow's password file",
    # secrets: `make run` passes them to each process separately
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "secret",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": "secret",
    "AIRFLOW__CORE__FERNET_KEY": "secret",
    "AIRFLOW__API__SECRET_KEY": "secret",
    "AIRFLOW__API_AUTH__JWT_SECRET": "secret",
    "PERENNIAL_DATABASE_URL": "secret",
    "PERENNIAL_SERVING_TOKEN": "secret",
    "MLFLOW_BACKEND_STORE_URI": "secret",
    "MLFLOW_FLASK_SERVER_SECRET_KEY": "secret",
    "MLFLOW_AUTH_CONFIG_PATH": "MLflow's login",
    "MLFLOW_AUTH_ADMIN_USERNAME": "MLflow's login",
    "MLFLOW_AUTH_ADMIN_PASSWORD": "MLflow's login",
    "MLFLOW_TRACKING_USERNAME": "MLflow's login",
    "MLFLOW_TRACKING_PASSWORD": "MLflow's login",
}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found = yaml.safe_load((PROJECT / "docker-compose.yaml").read_text())
    assert isinstance(found, dict)
    return found


def problems(document: dict[str, Any]) -> list[str]:
    validator = jsonschema.validators.validator_for(SCHEMA)(SCHEMA)
    return [f"{'/'.join(map(str, e.absolute_path))}: {e.message}" for e in validator.iter_errors(document)]


def test_compose_file_is_valid(compose: dict[str, Any]) -> None:
    assert problems(compose) == []


def test_the_schema_detects_mistakes(compose: dict[str, Any]) -> None:
    broken = json.loads(json.dumps(compose))
    broken["services"]["redis"]["healtcheck"] = broken["services"]["redis"].pop("healthcheck")
    assert problems(broken)


def test_every_service_exists_and_is_monitored(compose: dict[str, Any]) -> None:
    services = compose["services"]
    wanted = {"postgres", "redis", "init", "mlflow", "serving", "airflow-api-server", "airflow-scheduler"}
    assert wanted | {"airflow-dag-processor", "airflow-triggerer", "airflow-worker"} == set(services)
    assert all("healthcheck" in service for name, service in services.items() if name != "init")
    ours = [service for name, service in services.items() if name not in ("postgres", "redis")]
    assert {service["image"] for service in ours} == {"perennial:local"}
    for service in services.values():
        for name in service.get("depends_on", {}):
            assert name in services


def test_ports_are_bound_to_the_loopback_address(compose: dict[str, Any]) -> None:
    published = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert len(published) == 3
    assert all(str(port).startswith("127.0.0.1:") for port in published)


def test_no_secret_has_a_value_or_a_default(compose: dict[str, Any]) -> None:
    text = json.dumps(compose["services"])
    for name in SECRETS:
        used = re.findall(r"(?<!\$)\$\{" + name + r"[^}]*\}", text)
        assert used and all(":?" in use for use in used), name


def test_the_example_at_the_top_creates_every_secret() -> None:
    head = (PROJECT / "docker-compose.yaml").read_text().partition("name: perennial")[0]
    assert all(name in head for name in SECRETS)


def test_each_service_has_only_the_secrets_that_it_reads(compose: dict[str, Any]) -> None:
    found = {
        name: set(re.findall(r"\$\{([A-Z_]+):\?", json.dumps([service.get("environment"), service.get("command")])))
        for name, service in compose["services"].items()
    }
    assert set().union(*found.values()) == set(SECRETS)
    assert found == {
        "postgres": {"POSTGRES_PASSWORD"},
        "redis": {"REDIS_PASSWORD"},
        "init": {
            "POSTGRES_PASSWORD", "AIRFLOW_DATABASE_PASSWORD", "MLFLOW_DATABASE_PASSWORD", "LEDGER_DATABASE_PASSWORD",
            "AIRFLOW_FERNET_KEY", "AIRFLOW_ADMIN_PASSWORD", "AIRFLOW_OP_PASSWORD", "AIRFLOW_VIEWER_PASSWORD",
        },
        "mlflow": {"MLFLOW_DATABASE_PASSWORD", "MLFLOW_ADMIN_PASSWORD", "MLFLOW_TASKS_PASSWORD", "MLFLOW_SECRET_KEY"},
        "serving": {"SERVING_TOKEN"},
        "airflow-api-server": {
            "AIRFLOW_DATABASE_PASSWORD", "AIRFLOW_FERNET_KEY", "AIRFLOW_JWT_SECRET", "AIRFLOW_SECRET_KEY",
            "LEDGER_DATABASE_PASSWORD", "SERVING_TOKEN",
        },
        "airflow-scheduler": {
            "AIRFLOW_DATABASE_PASSWORD", "AIRFLOW_FERNET_KEY", "AIRFLOW_JWT_SECRET", "AIRFLOW_SECRET_KEY",
            "REDIS_PASSWORD",
        },
        "airflow-dag-processor": {"AIRFLOW_DATABASE_PASSWORD", "AIRFLOW_FERNET_KEY"},
        "airflow-triggerer": {"AIRFLOW_DATABASE_PASSWORD", "AIRFLOW_FERNET_KEY", "AIRFLOW_SECRET_KEY"},
        "airflow-worker": {
            "REDIS_PASSWORD", "LEDGER_DATABASE_PASSWORD", "MLFLOW_TASKS_PASSWORD", "SERVING_TOKEN",
            "AIRFLOW_SECRET_KEY",
        },
    }  # fmt: skip


def test_the_folder_of_passwords_is_mounted_in_the_services_that_read_it(compose: dict[str, Any]) -> None:
    mounts = {name: json.dumps(service.get("volumes", [])) for name, service in compose["services"].items()}
    assert {name for name, found in mounts.items() if "secrets" in found} == {"init", "airflow-api-server"}
    assert '"data:/data"' not in mounts["serving"] + mounts["mlflow"]


def test_every_container_is_limited_and_hardened(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}, name
        assert service["logging"]["options"] == {"max-size": "20m", "max-file": "3"}, name
        assert service["security_opt"] == ["no-new-privileges:true"] and service["cap_drop"] == ["ALL"], name
        assert "cap_add" not in service or name == "postgres", name


def test_no_health_check_starts_airflow_or_celery(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        first, *rest = service.get("healthcheck", {}).get("test", ["", ""])
        assert not re.match(r"(airflow|celery)\b", rest[0]), name
        assert "import airflow" not in " ".join(rest) and "import celery" not in " ".join(rest), (name, first)


def test_services_have_the_settings_of_make_run(compose: dict[str, Any], tmp_path: Path) -> None:
    """The lists above give the reason of each difference."""
    stack = Stack(tmp_path, 8080, 5000, 8000)
    embedded = {
        **environment.airflow_environment(stack),
        **environment.mlflow_environment(stack),
        **environment.perennial_environment(stack),
    }
    services = [s for name, s in compose["services"].items() if name not in ("postgres", "redis")]
    composed = {name: value for service in services for name, value in service["environment"].items()}
    missing, extra = set(embedded) - set(composed), set(composed) - set(embedded)
    assert missing <= set(NOT_COMPOSED), missing - set(NOT_COMPOSED)
    assert extra <= set(ONLY_COMPOSED), extra - set(ONLY_COMPOSED)
    same = [
        name
        for name in set(embedded) & set(composed)
        if not re.search(r"/|\$\{", composed[name]) and not name.startswith("MLFLOW_TRACKING")
    ]
    assert {name: composed[name] for name in same if composed[name] != embedded[name]} == {
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "PERENNIAL_SERVING_HOST": "0.0.0.0",
    }


def test_the_image_has_the_pinned_packages(compose: dict[str, Any]) -> None:
    dockerfile = compose["services"]["init"]["build"]["dockerfile_inline"]
    assert "-r requirements.txt" in dockerfile
    assert "USER perennial" in dockerfile
    assert "for extra in $$EXTRAS;" in dockerfile and "-c requirements.txt" in dockerfile
    assert compose["services"]["init"]["build"]["args"]["EXTRAS"] == "${EXTRAS:-}"
    for folder in ("dags", "plugins", "include"):
        assert f"COPY --chown=perennial {folder} {folder}" in dockerfile


def test_ci_runs_make_test_with_a_required_browser() -> None:
    path = PROJECT / ".ci" / "run"
    script = path.read_text()
    assert stat.S_IMODE(os.stat(path).st_mode) & stat.S_IXUSR
    assert "set -euo pipefail" in script
    assert "PERENNIAL_REQUIRE_BROWSER=1" in script
    assert f'EXTRAS="{" ".join(EXTRAS)}"' in script
    assert script.rstrip().endswith("make test")
    workflow = yaml.safe_load((PROJECT / ".github" / "workflows" / "ci.yml").read_text())
    job = workflow["jobs"]["test"]
    assert any(step.get("run") == "${{ matrix.run }}" for step in job["steps"])
    runs = {found["python"]: found["run"] for found in job["strategy"]["matrix"]["include"]}
    assert runs == {"3.12": ".ci/run", **dict.fromkeys(("3.11", "3.13"), "make lint types test-units")}
    assert set(runs) == {f"{major}.{minor}" for major, minor in SUPPORTED}


def test_make_test_runs_all_tests_in_two_parts() -> None:
    ours = {"PATH": os.environ["PATH"]}  # without the FULL of an enclosing `make test-full`
    done = subprocess.run(["make", "-n", "test"], cwd=PROJECT, env=ours, capture_output=True, text=True, check=True)
    parts = [line.split("-m pytest ", 1)[1].strip() for line in done.stdout.splitlines() if "-m pytest " in line]
    assert parts == ["tests/end_to_end", "--numprocesses auto --dist loadfile --ignore tests/end_to_end"]
