"""docker-compose.yaml is valid and safe by default; CI runs what `make test` runs."""

from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from include.settings import PROJECT

# The official schema, unchanged: github.com/compose-spec/compose-spec, schema/compose-spec.json at 170098b (Apache-2.0)
SCHEMA = json.loads((Path(__file__).parent / "compose-spec.json").read_text())


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


def test_the_schema_would_notice(compose: dict[str, Any]) -> None:
    broken = json.loads(json.dumps(compose))
    broken["services"]["redis"]["healtcheck"] = broken["services"]["redis"].pop("healthcheck")
    assert problems(broken)


def test_every_service_is_there_and_watched(compose: dict[str, Any]) -> None:
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
    for name in ("POSTGRES_PASSWORD", "REDIS_PASSWORD", "AIRFLOW_FERNET_KEY", "AIRFLOW_JWT_SECRET", "SERVING_TOKEN"):
        used = re.findall(r"(?<!\$)\$\{" + name + r"[^}]*\}", text)
        assert used and all(":?" in use for use in used), name


def test_one_image_is_made_of_the_pinned_packages(compose: dict[str, Any]) -> None:
    dockerfile = compose["services"]["init"]["build"]["dockerfile_inline"]
    assert "-r requirements.txt" in dockerfile
    assert "USER perennial" in dockerfile
    for folder in ("dags", "plugins", "include"):
        assert f"COPY --chown=perennial {folder} {folder}" in dockerfile


def test_ci_runs_make_test_with_a_required_browser() -> None:
    path = PROJECT / ".ci" / "run"
    script = path.read_text()
    assert stat.S_IMODE(os.stat(path).st_mode) & stat.S_IXUSR
    assert "set -euo pipefail" in script
    assert "PERENNIAL_REQUIRE_BROWSER=1" in script
    assert script.rstrip().endswith("make test")
    workflow = yaml.safe_load((PROJECT / ".github" / "workflows" / "ci.yml").read_text())
    steps = workflow["jobs"]["test"]["steps"]
    assert any(step.get("run") == ".ci/run" for step in steps)
