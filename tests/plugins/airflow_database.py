"""A real database of Airflow in the tests' PostgreSQL, for code that runs in Airflow's web server, in this process."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.pool import NullPool

from include.stack import migrations, template
from tests.services import Services

BUNDLE = "dags-folder"
CONNECTION = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
SIGNING = "AIRFLOW__API_AUTH__JWT_SECRET"
KINDS = ("collect", "load", "retrain", "release", "rollback")


@dataclass(frozen=True)
class AirflowDatabase:
    """Adds what a test needs; the tables are those of a new stack."""

    engine: Engine

    def clear(self) -> None:
        """Remove every DAG and run."""
        with self.engine.begin() as connection:
            connection.execute(text("TRUNCATE task_instance, dag_run_note, dag_run, dag, dag_bundle CASCADE"))

    def add_dags(self, dag_ids: Sequence[str], paused: bool = False) -> None:
        """Add DAGs, as the DAG processor would."""
        columns = (
            "dag_id, is_paused, is_stale, bundle_name, timetable_type, partition_mapper_info, max_active_tasks, "
            "max_consecutive_failed_dag_runs, has_task_concurrency_limits"
        )
        values = ":dag_id, :paused, false, :bundle, 'test', '{}', 16, 0, false"
        with self.engine.begin() as connection:
            connection.execute(
                text("INSERT INTO dag_bundle (name, active) VALUES (:bundle, true) ON CONFLICT DO NOTHING"),
                {"bundle": BUNDLE},
            )
            connection.execute(
                text(f"INSERT INTO dag ({columns}) VALUES ({values})"),
                [{"dag_id": dag_id, "paused": paused, "bundle": BUNDLE} for dag_id in dag_ids],
            )

    def add_models(self, *names: str) -> None:
        """Add the DAGs of healthy models."""
        self.add_dags([f"{name}_{kind}" for name in names for kind in KINDS])

    def add_version(self, dag_id: str, created_at: datetime) -> None:
        """Add the first version of a DAG, which Airflow writes when it reads the DAG for the first time."""
        row = {"id": uuid.uuid4(), "dag_id": dag_id, "at": created_at}
        with self.engine.begin() as connection:
            connection.execute(
                text(
                    "INSERT INTO dag_version (id, dag_id, version_number, created_at, last_updated) "
                    "VALUES (:id, :dag_id, 1, :at, :at)"
                ),
                row,
            )

    def add_run(
        self,
        dag_id: str,
        run_id: str,
        state: str = "success",
        *,
        run_type: str = "scheduled",
        run_after: datetime | None = None,
        note: str | None = None,
        partition_key: str | None = None,
        conf: Mapping[str, Any] | None = None,
        failed: Sequence[str] = (),
    ) -> None:
        """Add a run; the tasks in ``failed`` failed in this order."""
        moment = run_after or datetime.now(UTC)
        run = {
            "dag_id": dag_id,
            "run_id": run_id,
            "state": state,
            "run_type": run_type,
            "moment": moment,
            "key": partition_key,
            "conf": json.dumps(dict(conf or {})),
        }
        with self.engine.begin() as connection:
            number = connection.execute(
                text(
                    "INSERT INTO dag_run (dag_id, run_id, state, run_type, run_after, start_date, partition_key, conf) "
                    "VALUES (:dag_id, :run_id, :state, :run_type, :moment, :moment, :key, CAST(:conf AS jsonb)) "
                    "RETURNING id"
                ),
                run,
            ).scalar_one()
            if note is not None:
                connection.execute(
                    text(
                        "INSERT INTO dag_run_note (dag_run_id, content, created_at, updated_at) "
                        "VALUES (:number, :note, now(), now())"
                    ),
                    {"number": number, "note": note},
                )
            for place, task in enumerate(failed):
                connection.execute(
                    text(
                        "INSERT INTO task_instance (id, dag_id, run_id, task_id, state, end_date, try_number, pool, "
                        "pool_slots) VALUES (:id, :dag_id, :run_id, :task, 'failed', :end, 1, 'default_pool', 1)"
                    ),
                    {**run, "id": uuid.uuid4(), "task": task, "end": moment + timedelta(seconds=place)},
                )

    @contextmanager
    def counted(self) -> Iterator[list[str]]:
        """The statements that Airflow's own sessions execute meanwhile."""
        from airflow import settings

        statements: list[str] = []

        def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
            statements.append(statement)

        event.listen(settings.engine, "before_cursor_execute", note)
        try:
            yield statements
        finally:
            event.remove(settings.engine, "before_cursor_execute", note)


@contextmanager
def airflow_database(services: Services) -> Iterator[AirflowDatabase]:
    """Make Airflow, in this process, use a new database; afterwards, it uses its former one again."""
    from airflow import settings
    from airflow.api_fastapi.app import create_auth_manager, purge_cached_app

    url = services.new_database(f"airflow_{uuid.uuid4().hex}")
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            template.read("airflow", migrations.wanted()["airflow"]), execution_options={"no_parameters": True}
        )
    before = os.environ.get(CONNECTION)
    os.environ.setdefault(SIGNING, "a secret of tests ".ljust(64, "."))
    _use(url)
    create_auth_manager().init()
    try:
        yield AirflowDatabase(engine)
    finally:
        purge_cached_app()
        settings.dispose_orm()
        _use(before)


def token(name: str, role: str | None) -> str:
    """The login of a user with a role of Airflow's simple auth manager; without a role, the user may do nothing."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    return str(get_auth_manager().generate_jwt(SimpleAuthManagerUser(username=name, role=role)))


def _use(url: str | None) -> None:
    from airflow import settings

    if url is None:
        os.environ.pop(CONNECTION, None)
    else:
        os.environ[CONNECTION] = url
    settings.configure_vars()
    settings.configure_orm(disable_connection_pool=True)
