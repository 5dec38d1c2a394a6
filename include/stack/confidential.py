"""The secrets of each process of the stack: only those that it reads. No other environment has a secret.

A process with secrets is started by `include.stack.launch`, which reads them from a file in the secrets folder.
PostgreSQL and supervisord get none.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

from include.stack import credentials
from include.stack.components import Component
from include.stack.layout import Stack

# An AIRFLOW__ variable of the caller can belong to another Airflow (its database!), so only these reach the stack:
# PERENNIAL_AIRFLOW__CORE__PARALLELISM=4 becomes AIRFLOW__CORE__PARALLELISM=4.
OVERRIDE = "PERENNIAL_AIRFLOW__"
# Connections, variables, cloud credentials and settings of the caller: only for Airflow and its tasks.
CALLERS = (OVERRIDE, "AIRFLOW_CONN_", "AIRFLOW_VAR_", "AWS_", "GOOGLE_", "AZURE_")
OWN = (
    "PERENNIAL_DATABASE_URL",
    "PERENNIAL_SERVING_TOKEN",
)  # the stack sets them, whatever the caller's environment has

AIRFLOW = ("airflow-migrate", "airflow-api-server", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer")
SCHEDULER = "airflow-scheduler"  # tasks are its grandchildren: `perennial.executor` removes its own secrets from them


def is_secret(variable: str) -> bool:
    """Whether a variable of the caller is kept from processes that are not Airflow's."""
    return variable.startswith(CALLERS) or variable in OWN


def of_callers() -> dict[str, str]:
    """The variables that the caller has set for Airflow and its tasks."""
    found = {name: value for name, value in os.environ.items() if name.startswith(CALLERS)}
    return {name.removeprefix("PERENNIAL_") if name.startswith(OVERRIDE) else name: found[name] for name in found}


def of_tasks(stack: Stack) -> dict[str, str]:
    """The secrets that tasks read: for the ledger, MLflow and the model server."""
    return {
        "PERENNIAL_DATABASE_URL": credentials.database_url(stack, "perennial", "psycopg2"),
        "MLFLOW_TRACKING_USERNAME": credentials.TASKS_USER,
        "MLFLOW_TRACKING_PASSWORD": credentials.read(stack, "mlflow_tasks_password") or "",
        **of_server(stack),
    }


def of_server(stack: Stack) -> dict[str, str]:
    """The secret of the model server: release records and bundles are files, so it needs only the token."""
    token = credentials.read(stack, "serving_token")
    return {"PERENNIAL_SERVING_TOKEN": token} if token else {}


def of_mlflow(stack: Stack) -> dict[str, str]:
    """The secrets of the MLflow server; see `include.stack.mlflow_server`."""
    return {
        "MLFLOW_BACKEND_STORE_URI": credentials.database_url(stack, "mlflow", "psycopg2"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": credentials.read(stack, "mlflow_secret_key") or "",
        "MLFLOW_AUTH_ADMIN_PASSWORD": credentials.read(stack, "mlflow_admin_password") or "",
        "MLFLOW_TRACKING_USERNAME": credentials.TASKS_USER,
        "MLFLOW_TRACKING_PASSWORD": credentials.read(stack, "mlflow_tasks_password") or "",
    }


def of_airflow(stack: Stack, component: str) -> dict[str, str]:
    """The secrets of a component of Airflow.

    All of them read the metadata database and the key of its encrypted connections. The scheduler signs the tokens of
    tasks, and the API server checks them; it also signs logins. The Models pages of the API server read the ledger and
    ask the model server.
    """
    values = {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": credentials.database_url(stack, "airflow", "psycopg2"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": credentials.database_url(stack, "airflow", "asyncpg"),
        "AIRFLOW__CORE__FERNET_KEY": credentials.read(stack, "fernet_key") or "",
    }
    if component in ("airflow-api-server", SCHEDULER):
        values["AIRFLOW__API_AUTH__JWT_SECRET"] = credentials.read(stack, "jwt_secret") or ""
    if component == "airflow-api-server":
        values["AIRFLOW__API__SECRET_KEY"] = credentials.read(stack, "api_secret_key") or ""
        values["PERENNIAL_DATABASE_URL"] = credentials.database_url(stack, "perennial", "psycopg2")
        values |= of_server(stack)
    if component == SCHEDULER:
        values |= of_tasks(stack)
    return values | of_callers()


def of(stack: Stack, component: str) -> dict[str, str]:
    """The secrets of one process, by the variable that holds each."""
    if component in AIRFLOW:
        return of_airflow(stack, component)
    return {"serving": of_server, "mlflow": of_mlflow, "mlflow-upgrade": of_mlflow}[component](stack)


def of_command_line(stack: Stack) -> dict[str, str]:
    """Everything that Airflow's own command line can need: a person typed the command."""
    return {name: value for component in AIRFLOW for name, value in of(stack, component).items()}


def prepared(stack: Stack, component: Component) -> Component:
    """The component with a launcher that reads its secrets from a file; this function writes the file."""
    file = stack.secrets / "environment" / f"{component.name}.json"
    file.parent.mkdir(mode=0o700, exist_ok=True)
    credentials.write(file, json.dumps(of(stack, component.name), indent=1) + "\n")
    script = Path(__file__).with_name("launch.py")
    return replace(component, command=(sys.executable, "-I", "-S", str(script), str(file), *component.command))
