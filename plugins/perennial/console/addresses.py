"""The addresses that pages link to: our own, Airflow's and MLflow's. Every part of a path is quoted."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from urllib.parse import quote, urlencode

from include.overview.records import Day
from include.settings import Settings
from perennial.console.app import PREFIX
from perennial.console.navigation import MODELS, ROUTE, base_path

TRAINING_PAGES = "?workflowType=machine_learning"
"""As `include.registry.tracking.TRAINING_PAGES`."""


@cache
def airflow() -> str:
    """The path of Airflow, to which the path of a page is appended; "" unless it is served below a path."""
    return base_path()


def pages() -> str:
    """The page of all models."""
    return f"{airflow()}{PREFIX}{MODELS}"


def framed() -> str:
    """What comes before the path of one of our pages in Airflow's address of it."""
    return f"{airflow()}/plugin/{ROUTE}"


def model(name: str, part: str = "") -> str:
    """The page of a model, or a part of it."""
    return f"{pages()}/{quote(name, safe='')}" + (f"#{part}" if part else "")


def short(name: str) -> str:
    """The page of a model, as messages about incidents have it."""
    return f"{airflow()}{PREFIX}/{quote(name, safe='')}"


def dialog(name: str, action: str, **values: str | int) -> str:
    """The page of a model with an open dialog; ``values`` fill in its fields."""
    filled = f"?{urlencode(values)}" if values else ""
    return model(name, f"do-{action}{filled}")


def feature(name: str, of: str, day: str | None = None) -> str:
    """The distributions of a feature of a model then and now."""
    query = urlencode({"feature": of} | ({"day": day} if day else {}))
    return f"{pages()}/{quote(name, safe='')}?{query}#distribution"


def features(name: str) -> Callable[[str], str]:
    """The address of each feature, for `drift_chart.heat_map`."""
    return lambda of: feature(name, of)


def within(page: str) -> str | None:
    """A path of an incident below the address of Airflow; ``None`` for anything else."""
    plain = page.startswith("/") and not page.startswith(("//", "/\\"))
    return f"{airflow()}{page}" if plain else None


def quarantine(name: str, day: str | None = None, expectation: str = "", page: int = 1) -> str:
    """The rows of a model in quarantine."""
    asked = {"day": day or "", "expectation": expectation, "page": page if page > 1 else ""}
    query = urlencode({key: value for key, value in asked.items() if value})
    return f"{pages()}/{quote(name, safe='')}/quarantine" + (f"?{query}" if query else "")


def compare(name: str, left: int | None = None, right: int | None = None) -> str:
    """Two versions side by side."""
    query = f"?{urlencode({'left': left, 'right': right})}" if left and right else ""
    return f"{pages()}/{quote(name, safe='')}/compare{query}"


def card(name: str, version: int) -> str:
    """The model card of a version."""
    return f"{airflow()}{PREFIX}/{quote(name, safe='')}/card/{version}"


def validation(name: str, day: str, batch: str | None = None) -> str:
    """The validation result of a day, of its newest batch by default."""
    query = f"?{urlencode({'batch': batch})}" if batch else ""
    return f"{airflow()}{PREFIX}/{quote(name, safe='')}/validation/{quote(day, safe='')}{query}"


def validated(name: str) -> Callable[[Day], str | None]:
    """The address of a day's validation result, for `charts.calendar`; ``None`` for a day that has none."""
    return lambda day: validation(name, day.key, day.batch) if day.batch else None


def dag(dag_id: str) -> str:
    """A DAG in Airflow."""
    return f"{airflow()}/dags/{quote(dag_id, safe='')}"


def run(dag_id: str, run_id: str) -> str:
    """A run in Airflow."""
    return f"{dag(dag_id)}/runs/{quote(run_id, safe='')}"


def task(dag_id: str, run_id: str, task_id: str) -> str:
    """A task of a run in Airflow, with its log."""
    return f"{run(dag_id, run_id)}/tasks/{quote(task_id, safe='')}"


def mlflow_model(name: str) -> str | None:
    """A model in MLflow; ``None`` without an MLflow."""
    return _mlflow(f"models/{quote(name, safe='')}")


def mlflow_version(name: str, version: int) -> str | None:
    """A version of MLflow's own numbering."""
    return _mlflow(f"models/{quote(name, safe='')}/versions/{version}")


def mlflow_run(run_id: str) -> str | None:
    """A run of MLflow."""
    return _mlflow(f"runs/{quote(run_id, safe='')}")


def _mlflow(path: str) -> str | None:
    """As `include.registry.tracking` writes it, which imports MLflow's client and is too slow for a page."""
    url = Settings.from_environment().tracking_public_url
    return f"{url.rstrip('/')}/#/{path}{TRAINING_PAGES}" if url else None
