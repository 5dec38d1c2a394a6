"""Where a person looks, as a path of Airflow's web server. `tests/plugins` compares them with those of the pages."""

from __future__ import annotations

from urllib.parse import quote

_PAGES = "/perennial"
MODELS = f"{_PAGES}/-/models"


def of_model(name: str) -> str:
    """The page of a model."""
    return f"{MODELS}/{quote(name, safe='')}"


def of_run(dag_id: str, run_id: str) -> str:
    """A run in Airflow."""
    return f"/dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}"


def of_card(name: str, version: int) -> str:
    """The model card of a version."""
    return f"{_PAGES}/{quote(name, safe='')}/card/{version}"
