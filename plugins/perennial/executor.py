"""Airflow's LocalExecutor, whose tasks do not see what only the scheduler needs.

All tasks are forked from one process, the fork server, which the scheduler starts when the first worker is wanted. It
inherits the environment of that moment, so that is when the scheduler's own secrets are put aside. A task talks to the
API server with a token of its own: it needs neither the metadata database nor the keys.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from airflow.executors.local_executor import LocalExecutor

# An address that connects to nothing: Airflow makes an engine when it is imported, and connects only when one is used.
NO_DATABASE = "postgresql+psycopg2:///tasks-have-no-database?host=/nonexistent"
OF_THE_SCHEDULER = {
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": NO_DATABASE,
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": "",
    "AIRFLOW__CORE__FERNET_KEY": "",
    "AIRFLOW__API_AUTH__JWT_SECRET": "",
    "AIRFLOW__API__SECRET_KEY": "",
}


@contextlib.contextmanager
def put_aside(variables: dict[str, str]) -> Iterator[None]:
    """Give these variables, where they are set, other values for a while."""
    before = {name: os.environ[name] for name in variables if name in os.environ}
    os.environ.update({name: variables[name] for name in before})
    try:
        yield
    finally:
        os.environ.update(before)


class PrivateLocalExecutor(LocalExecutor):
    """`LocalExecutor` whose workers are started without the scheduler's secrets."""

    def _spawn_worker(self) -> None:
        with put_aside(OF_THE_SCHEDULER):
            super()._spawn_worker()
