"""The workers of the executor are started without the scheduler's secrets, which the scheduler itself keeps."""

from __future__ import annotations

import os

import pytest
from airflow.executors.local_executor import LocalExecutor
from perennial import executor


def test_workers_are_started_without_the_secrets_of_the_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in executor.OF_THE_SCHEDULER:
        monkeypatch.setenv(name, "of-the-scheduler")
    monkeypatch.delenv("AIRFLOW__API__SECRET_KEY")
    monkeypatch.setenv("PERENNIAL_DATABASE_URL", "of-tasks")
    started: list[dict[str, str]] = []
    monkeypatch.setattr(LocalExecutor, "_spawn_worker", lambda self: started.append(dict(os.environ)))
    executor.PrivateLocalExecutor(parallelism=1)._spawn_worker()
    assert "of-the-scheduler" not in started[0].values()
    assert started[0]["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == executor.NO_DATABASE
    assert "AIRFLOW__API__SECRET_KEY" not in started[0]
    assert started[0]["PERENNIAL_DATABASE_URL"] == "of-tasks"
    assert os.environ["AIRFLOW__API_AUTH__JWT_SECRET"] == "of-the-scheduler"
