"""Runs one task of a real DAG in Airflow's own task runner, in this process: no database, no server, no supervisor."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import structlog
from airflow.sdk.api.datamodels._generated import DagRun, DagRunState, DagRunType, TIRunContext
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import (
    GetXCom,
    GetXComSequenceSlice,
    SetXCom,
    TriggerDagRun,
    XComResult,
    XComSequenceSliceResult,
)

DAGS = Path(__file__).parent.parent.parent / "dags"


@dataclass(frozen=True)
class Ended:
    """How a task ended: its state (``up_for_retry``: Airflow would try it again), its error, and what it has sent."""

    state: str
    error: BaseException | None
    xcoms: dict[str, Any]
    triggered: tuple[TriggerDagRun, ...]

    @property
    def note(self) -> str:
        return str(self.xcoms.get("perennial_note", ""))


class Supervisor:
    """What a task talks to: answers XComs of earlier tasks, keeps what is pushed and triggered."""

    def __init__(self, xcoms: Mapping[str, Any]) -> None:
        self.earlier = xcoms
        self.pushed: dict[str, Any] = {}
        self.triggered: list[TriggerDagRun] = []

    def send(self, msg: Any) -> Any:
        if isinstance(msg, SetXCom):
            self.pushed[msg.key] = msg.value
        elif isinstance(msg, TriggerDagRun):
            self.triggered.append(msg)
        elif isinstance(msg, GetXCom):
            return XComResult(key=msg.key, value=self.earlier.get(msg.task_id))
        elif isinstance(msg, GetXComSequenceSlice):
            return XComSequenceSliceResult(root=[self.earlier[msg.task_id]])
        return None


PARAMS: dict[int, Any] = {}
"""The parameters of DAGs and tasks as they were parsed."""


@cache
def _bag() -> Any:
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(str(DAGS))


def dag(dag_id: str) -> Any:
    """A DAG of `dags/`, parsed."""
    return _bag().dags[dag_id]


def serialized(of: Any) -> Any:
    """The DAG as Airflow's API and scheduler know it."""
    from airflow.serialization.serialized_objects import DagSerialization

    return DagSerialization.from_dict(DagSerialization.to_dict(of))


def form_refuses(of: Any, conf: Mapping[str, Any]) -> str | None:
    """Why Airflow would not create a run with this conf, as its API checks it; ``None`` if it would."""
    from airflow.exceptions import ParamValidationError

    try:
        serialized(of).params.deep_merge(dict(conf)).validate()
    except ParamValidationError as error:
        return str(error).splitlines()[0]
    return None


def run_task(
    of: Any,
    task_id: str,
    conf: Mapping[str, Any] | None = None,
    *,
    patch: Any,
    run_type: str = "manual",
    user: str | None = "ada",
    run_id: str = "a-run",
    xcoms: Mapping[str, Any] | None = None,
    **dates: Any,
) -> Ended:
    """Run a task as a worker would, with a run of this conf, kind and user.

    Parameters
    ----------
    patch : pytest's ``monkeypatch``.
    xcoms : what earlier tasks have returned, by task.
    dates : of the run: ``run_after``, ``logical_date``, ``partition_key``.
    """
    supervisor = Supervisor({k: json.loads(json.dumps(v)) for k, v in (xcoms or {}).items()})
    patch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
    now = datetime.now(UTC)
    asked: dict[str, Any] = {"run_after": now, "logical_date": None, "partition_key": None} | dates
    run = DagRun.model_construct(
        dag_id=of.dag_id, run_id=run_id, run_type=DagRunType(run_type), state=DagRunState.RUNNING,
        conf=dict(conf or {}), triggering_user_name=user, start_date=now, end_date=None,
        data_interval_start=None, data_interval_end=None, clear_number=0, consumed_asset_events=[],
        partition_date=None, note=None, team_name=None, **asked,
    )  # fmt: skip
    task = of.get_task(task_id)
    for owner in (of, task):  # Airflow writes the conf into the parsed DAG: each task has a process of its own
        patch.setattr(owner, "params", copy.deepcopy(PARAMS.setdefault(id(owner), copy.deepcopy(owner.params))))
    ti = task_runner.RuntimeTaskInstance.model_construct(
        id=uuid4(), task_id=task_id, dag_id=of.dag_id, run_id=run_id, try_number=1, map_index=-1, task=task,
        dag_version_id=uuid4(), max_tries=task.retries, start_date=now, hostname="here",
        _ti_context_from_server=TIRunContext.model_construct(
            dag_run=run, max_tries=task.retries, should_retry=True, task_reschedule_count=0, start_date=None,
            xcom_keys_to_clear=[], variables=[], connections=[], next_method=None, next_kwargs=None,
        ),
    )  # fmt: skip
    state, _, error = task_runner.run(ti, ti.get_template_context(), structlog.get_logger("task"))
    return Ended(str(state.value), error, supervisor.pushed, tuple(supervisor.triggered))
