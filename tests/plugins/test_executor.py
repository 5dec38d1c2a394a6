"""The executor's workers start without the scheduler's secrets. The scheduler keeps them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from airflow.executors.local_executor import LocalExecutor
from airflow.models.taskinstancekey import TaskInstanceKey
from airflow.utils.state import TaskInstanceState
from perennial import executor


def test_workers_start_without_the_secrets_of_the_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
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


@pytest.mark.parametrize(
    ("running", "queued", "result", "pauses"), [(0, 0, 0, 1), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (1, 0, 1, 0)]
)
def test_the_scheduler_pauses_only_while_nothing_runs(
    running: int, queued: int, result: int, pauses: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even in the turn that reads the last result: the next task of the run may be ready."""
    monkeypatch.setenv("AIRFLOW__PERENNIAL__IDLE_PAUSE", "0.3")
    paused: list[float] = []
    monkeypatch.setattr(executor, "sleep", paused.append)
    made = executor.PrivateLocalExecutor(parallelism=1)
    made.start()
    try:
        key = TaskInstanceKey("dag", "task", "run", 1, -1)
        made.running.update([key] * running)
        made.queued_tasks.update({key: None} if queued else {})
        for _ in range(result):
            made.result_queue.put((key, TaskInstanceState.SUCCESS, None))
        made.sync()
        assert paused == [0.3] * pauses
    finally:
        made.end()


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
def test_the_fork_server_of_all_tasks_starts_without_the_secrets() -> None:
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


SCHEDULERS = """
import sys
from airflow.utils import db
from airflow.jobs.job import Job, JobState
from airflow.utils.session import create_session
from perennial.executor import PrivateLocalExecutor
db.initdb()
with create_session() as session:
    jobs = [Job(job_type="SchedulerJob", state=JobState.RUNNING) for _ in range(2)]
    jobs += [Job(job_type="SchedulerJob", state=JobState.SUCCESS), Job(job_type="TriggererJob", state=JobState.RUNNING)]
    session.add_all(jobs)
    session.flush()
    ours = jobs[1].id
executor = PrivateLocalExecutor(parallelism=1)
executor.job_id = ours
executor.start()
with create_session() as session:
    print([(job.job_type, str(job.state)) for job in session.query(Job).order_by(Job.id)])
executor.end()
"""


def test_a_scheduler_that_starts_knows_that_the_others_are_dead(tmp_path: Path) -> None:
    """Airflow itself would wait minutes (the heartbeat threshold) before it queues tasks again."""
    root = Path(__file__).parent.parent.parent
    variables = {
        **os.environ,
        "PYTHONPATH": f"{root}{os.pathsep}{root / 'plugins'}",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/airflow.db",
    }
    done = subprocess.run([sys.executable, "-c", SCHEDULERS], env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert next(line for line in done.stdout.splitlines() if line.startswith("[(")) == str(
        [
            ("SchedulerJob", "failed"),
            ("SchedulerJob", "running"),
            ("SchedulerJob", "success"),
            ("TriggererJob", "running"),
        ]
    )
