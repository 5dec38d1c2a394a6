"""Brings databases and tables up to date before anything uses them. Skipped if nothing has changed."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.metadata import distributions, version
from pathlib import Path

from include import catalog, files
from include.errors import ConfigurationError
from include.stack import environment, template
from include.stack.layout import Stack
from include.stack.supervision import tail

# `mlflow db upgrade` needs the address, which contains the password, on its command line
UPGRADE_MLFLOW = """
import os
from mlflow.cli import cli
cli(["db", "upgrade", os.environ["MLFLOW_BACKEND_STORE_URI"]], prog_name="mlflow")
"""


@cache
def airflow_fingerprint() -> str:
    """A text that changes if Airflow changes, or a provider that can have its own tables."""
    names = sorted(
        f"{d.metadata['Name']}=={d.version}" for d in distributions() if "apache-airflow" in (d.metadata["Name"] or "")
    )
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]


def wanted() -> dict[str, str]:
    """The versions that the databases must be migrated to."""
    return {"airflow": airflow_fingerprint(), "mlflow": version("mlflow")}


def done(stack: Stack) -> dict[str, str]:
    """The versions that they have been migrated to. The marker is in the cluster's folder; a new cluster has none."""
    try:
        found = json.loads(_marker(stack).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def mark(stack: Stack, service: str) -> None:
    """Record that a database is up to date."""
    present = done(stack) | {service: wanted()[service]}
    files.write(_marker(stack), json.dumps(present).encode())


def forget(stack: Stack) -> None:
    """Delete the markers, because the cluster is new."""
    _marker(stack).unlink(missing_ok=True)


def migrate_airflow(stack: Stack) -> None:
    """Create the tables of a new database from the template; run ``airflow db migrate`` if Airflow has changed."""
    present, version = done(stack).get("airflow"), wanted()["airflow"]
    if present == version:
        return
    if present is not None or not template.apply(stack, "airflow", version):
        run(stack, "airflow-migrate", [sys.executable, "-m", "airflow", "db", "migrate"])
    mark(stack, "airflow")


def upgrade_mlflow(stack: Stack) -> None:
    """Create the tables of a new database from the template; run ``mlflow db upgrade`` if MLflow has changed.

    Without the template, the server itself fills an empty database.
    """
    present, version = done(stack).get("mlflow"), wanted()["mlflow"]
    if present is None:
        template.apply(stack, "mlflow", version)
    elif present != version:
        run(stack, "mlflow-upgrade", [sys.executable, "-c", UPGRADE_MLFLOW])


def migrate_perennial() -> None:
    """Migrate the ledger's schema, create the lake of every model, and record the days of lakes that are older than the
    ledger's table of days; all are cheap no-ops if there is nothing to do."""
    from include.data import days
    from include.data.lake import Lake
    from include.registry.ledger import Ledger
    from include.release.reconcile import reconcile

    Ledger.default().migrate()
    reconcile(alias=False)  # finish the work of a stack that was killed; MLflow does not answer yet
    models = [entry.model for entry in catalog.entries() if entry.model is not None]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda model: Lake.of(model).create(), models))
    days.catch_up()


def _marker(stack: Stack) -> Path:
    return stack.pgdata.parent / "migrated.json"


def run(stack: Stack, name: str, command: list[str]) -> None:
    """Run a migration with the secrets of the component ``name``; its output goes to the log of this name.

    Raises
    ------
    ConfigurationError : it failed; with the end of the log.
    """
    variables = environment.child_environment(stack, sys.executable, name)
    log = stack.logs / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=stack.airflow_home, env=variables, stdout=output, stderr=output)
        try:
            code = process.wait()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if code:
        raise ConfigurationError(f"{name} failed (exit {code}); the end of {log}:\n{tail(log)}")
