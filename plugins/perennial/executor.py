"""Airflow's LocalExecutor, but its tasks do not see the scheduler's secrets, and it assumes that it is the only one.

All tasks are forked from one process, the fork server. The scheduler starts it when it needs the first worker. It
inherits the environment of that moment, so the scheduler's own secrets are set aside then. A task talks to the
API server with its own token, so it needs neither the metadata database nor the keys.

With this executor there is exactly one scheduler. So when one starts, every other one that the database reports as
running is dead, and its queued tasks can be queued again at once. Airflow itself waits for a missing heartbeat. On a
busy machine, a live scheduler can miss heartbeats for half a minute, count itself as dead and start its own tasks
twice. So the threshold is minutes. This costs nothing here, because the start of the next scheduler shows that an
earlier one was killed.

A turn of the scheduler takes about 25 ms of a processor and as many queries if there is nothing to do. Airflow pauses
for the same time after each idle turn, whether tasks run or not (``[scheduler] scheduler_idle_sleep_time``). With this
executor, the pause is longer while nothing runs (``[perennial] idle_pause``): a task that waits for another one starts
as quickly as before, and an idle scheduler takes a third of the turns.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from time import sleep

from airflow.configuration import conf
from airflow.executors.local_executor import LocalExecutor

log = logging.getLogger(__name__)

# An address that connects to nothing: Airflow creates an engine at import, but connects only when the engine is used.
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
    """Replace the values of these variables, if they are set, inside this context."""
    before = {name: os.environ[name] for name in variables if name in os.environ}
    os.environ.update({name: variables[name] for name in before})
    try:
        yield
    finally:
        os.environ.update(before)


class PrivateLocalExecutor(LocalExecutor):
    """A `LocalExecutor` whose workers start without the scheduler's secrets."""

    def start(self) -> None:
        """Start as the only scheduler. Airflow calls this before it looks for tasks that earlier schedulers left."""
        end_earlier_schedulers(self.job_id)
        self._idle_pause = conf.getfloat("perennial", "idle_pause", fallback=0.0)
        super().start()

    def sync(self) -> None:
        """Read the results of workers; pause if there was nothing to do. The scheduler calls this in each turn."""
        idle = not (self.running or self.queued_tasks or self.queued_callbacks or self.queued_connection_tests)
        super().sync()
        if idle and not self.event_buffer:
            sleep(self._idle_pause)

    def _spawn_worker(self) -> None:
        with put_aside(OF_THE_SCHEDULER):
            super()._spawn_worker()


def end_earlier_schedulers(job_id: str | int | None) -> int:
    """Mark every other scheduler as failed in Airflow's database; returns how many had the state running."""
    from airflow.jobs.job import Job, JobState
    from airflow.utils.session import create_session
    from sqlalchemy import update
    from sqlalchemy.exc import SQLAlchemyError

    if job_id is None:
        return 0
    others = update(Job).where(Job.job_type == "SchedulerJob", Job.state == JobState.RUNNING, Job.id != job_id)
    try:
        with create_session() as session:
            ended = int(getattr(session.execute(others.values(state=JobState.FAILED)), "rowcount", 0))
    except SQLAlchemyError:
        log.exception("Earlier schedulers could not be marked as failed; their tasks are queued again minutes later.")
        return 0
    if ended:
        log.info("Marked %d earlier schedulers as failed: their tasks are queued again now.", ended)
    return ended
