"""Imported last in the fork server: does once the work that every task would otherwise do after its fork.

This leaves only caches in memory: no connection, no table, no thread, and no code of a model's author. Every
failure is caught here, because without the fork server no task can run.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

log = logging.getLogger(__name__)


def plugins() -> None:
    """Airflow loads the plugins in every task that does not inherit them."""
    from airflow.sdk.listener import get_listener_manager

    get_listener_manager()


def model_folders() -> None:
    """The syntax trees of the models' files. They are cached by the files' stamps, so a changed file is read again."""
    from include import catalog

    for folder in catalog.folders().values():
        catalog.file_problems(folder)


def form() -> None:
    """The JSON schema of JSON schemas, which checks the parameters of every DAG with parameters."""
    from airflow.sdk import DAG, Param

    DAG("warm", params={"day": Param(None, type=["null", "string"], format="date")})


def certificates() -> None:
    """The certificates of the system, which the client of Airflow's API also reads for an http address."""
    from airflow.sdk.api.client import Client

    Client(base_url="http://127.0.0.1", token="").close()


def warm(steps: tuple[Callable[[], None], ...] = (plugins, model_folders, form, certificates)) -> list[str]:
    """Run the steps; returns the names of those that failed. Their work is then left to the tasks."""
    failed = []
    for step in steps:
        try:
            step()
        except BaseException as error:  # a model's file can even call sys.exit(), but the fork server must survive
            log.warning("The fork server could not prepare %s for the tasks: %r", step.__name__, error)
            failed.append(step.__name__)
    return failed


warm()
