"""The workers of the executor are started without the scheduler's secrets, which the scheduler itself keeps."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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


FORKING = """
import multiprocessing, os, signal
multiprocessing.set_start_method("forkserver")
from perennial.executor import PrivateLocalExecutor
executor = PrivateLocalExecutor(parallelism=1)
executor.start()
executor._spawn_worker()
worker = next(iter(executor.workers))
with open(f"/proc/{multiprocessing.forkserver._forkserver._forkserver_pid}/environ") as file:
    print(file.read())
os.kill(worker, signal.SIGKILL)
os._exit(0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_process_that_all_tasks_are_forked_from_is_started_without_them() -> None:
    root = Path(__file__).parent.parent.parent
    variables = {
        **os.environ,
        "PYTHONPATH": f"{root}{os.pathsep}{root / 'plugins'}",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite:////nowhere/of-the-scheduler.db",
        "AIRFLOW__API_AUTH__JWT_SECRET": "of-the-scheduler",
        "PERENNIAL_SERVING_TOKEN": "of-tasks",
    }
    done = subprocess.run([sys.executable, "-c", FORKING], env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "of-the-scheduler" not in done.stdout.replace("\0", "\n")
    assert "PERENNIAL_SERVING_TOKEN=of-tasks" in done.stdout
