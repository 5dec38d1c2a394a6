"""Run one task or all tasks of a real DAG in Airflow's task runner, in this process, without database or server."""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import structlog
from airflow.sdk.api.datamodels._generated import DagRun, DagRunState, DagRunType, TIRunContext
from airflow.sdk.definitions.mappedoperator import MappedOperator
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import (
    DRCount,
    ErrorResponse,
    GetDRCount,
    GetTaskRescheduleStartDate,
    GetXCom,
    GetXComSequenceItem,
    GetXComSequenceSlice,
    SetXCom,
    SkipDownstreamTasks,
    TaskRescheduleStartDate,
    TriggerDagRun,
    XComResult,
    XComSequenceIndexResult,
    XComSequenceSliceResult,
)
from perennial import notes
from perennial.links import PerennialLink

import include.models

DAGS = Path(__file__).parent.parent.parent / "dags"


@dataclass(frozen=True)
class Ended:
    """How a task ended: its state (``up_for_retry``: Airflow would try it again), its error, and the data that it sent.

    ``skipped`` are the tasks that it asked Airflow to skip, ``links`` the addresses of its buttons, which Airflow reads
    when the task ends, whatever its state.
    """

    state: str
    error: BaseException | None
    xcoms: dict[str, Any]
    triggered: tuple[TriggerDagRun, ...]
    skipped: tuple[str, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)

    @property
    def note(self) -> str:
        """The sentence for the note of the run. It begins with the outcome: Airflow's lists show only the beginning."""
        found = str(self.xcoms.get(notes.KEY, ""))
        assert not found or notes.OUTCOME.match(found), found
        return found


class Supervisor:
    """The supervisor of a task: returns XComs of earlier tasks; keeps XComs, triggered runs and skipped tasks.

    Parameters
    ----------
    xcoms : values by task (for every key), or by task and key. For a mapped task (by task): the list of all values, if
        ``mapped`` names it.
    runs : states of other runs, by DAG and run id.
    """

    def __init__(
        self, xcoms: Mapping[Any, Any], mapped: Collection[str] = (), runs: Mapping[tuple[str, str], str] | None = None
    ) -> None:
        self.earlier = xcoms
        self.mapped = mapped
        self.runs = runs or {}
        self.pushed: dict[str, Any] = {}
        self.triggered: list[TriggerDagRun] = []
        self.skipped: list[str] = []

    def value(self, task_id: str, key: str) -> Any:
        return self.earlier.get((task_id, key), self.earlier.get(task_id))

    @staticmethod
    def _counted(asked: GetDRCount, dag_id: str, run_id: str, state: str) -> bool:
        wanted = asked.run_ids is None or run_id in asked.run_ids
        return dag_id == asked.dag_id and wanted and (asked.states is None or state in asked.states)

    def send(self, msg: Any) -> Any:
        if isinstance(msg, SetXCom):
            self.pushed[msg.key] = msg.value
        elif isinstance(msg, TriggerDagRun):
            self.triggered.append(msg)
        elif isinstance(msg, SkipDownstreamTasks):
            self.skipped += [task if isinstance(task, str) else task[0] for task in msg.tasks]
        elif isinstance(msg, GetXCom):
            return XComResult(key=msg.key, value=self.value(msg.task_id, msg.key))
        elif isinstance(msg, GetXComSequenceSlice):
            value = self.value(msg.task_id, msg.key)
            return XComSequenceSliceResult(root=value if msg.task_id in self.mapped else [value])
        elif isinstance(msg, GetXComSequenceItem):
            values = self.value(msg.task_id, msg.key)
            return XComSequenceIndexResult(root=values[msg.offset]) if msg.offset < len(values) else ErrorResponse()
        elif isinstance(msg, GetTaskRescheduleStartDate):
            return TaskRescheduleStartDate(start_date=None)
        elif isinstance(msg, GetDRCount):
            return DRCount(count=sum(self._counted(msg, *run, state) for run, state in self.runs.items()))
        return None


PARAMS: dict[int, tuple[Any, Any]] = {}
"""DAGs and tasks by id, each with its parameters as they were parsed."""


def parsed(file: str = "") -> Any:
    """The DAGs of `dags/`, or of one of its files, parsed now."""
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(str(DAGS / file))


def _bag() -> Any:
    return _bag_of(tuple(include.models.__path__))


@cache
def _bag_of(folders: tuple[str, ...]) -> Any:
    """Tests may have model folders of their own."""
    return parsed()


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
    xcoms: Mapping[Any, Any] | None = None,
    mapped: Collection[str] = (),
    map_index: int = -1,
    **dates: Any,
) -> Ended:
    """Run a task as a worker would, in a run of this conf, kind and user.

    Parameters
    ----------
    patch : pytest's ``monkeypatch``.
    xcoms, mapped : the values that earlier tasks returned, see `Supervisor`.
    map_index : for a mapped task, the index of the instance to run.
    dates : dates of the run: ``run_after``, ``logical_date``, ``partition_key``.
    """
    supervisor = Supervisor({k: json.loads(json.dumps(v)) for k, v in (xcoms or {}).items()}, mapped)
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
    for owner in (of, task):  # Airflow writes the conf into the parsed DAG, because each task has its own process
        params = copy.deepcopy(PARAMS.setdefault(id(owner), (owner, copy.deepcopy(owner.params)))[1])
        if isinstance(owner, MappedOperator):
            patch.setitem(owner.partial_kwargs, "params", params)
        else:
            patch.setattr(owner, "params", params)
    ti = task_runner.RuntimeTaskInstance.model_construct(
        id=uuid4(), task_id=task_id, dag_id=of.dag_id, run_id=run_id, try_number=1, map_index=map_index, task=task,
        dag_version_id=uuid4(), max_tries=task.retries, start_date=now, hostname="here",
        _ti_context_from_server=TIRunContext.model_construct(
            dag_run=run, max_tries=task.retries, should_retry=True, task_reschedule_count=0, start_date=None,
            xcom_keys_to_clear=[], variables=[], connections=[], next_method=None, next_kwargs=None,
        ),
    )  # fmt: skip
    state, _, error = task_runner.run(ti, ti.get_template_context(), structlog.get_logger("task"))
    ours = [link for link in ti.task.operator_extra_links if isinstance(link, PerennialLink)]
    links = {link.name: link.get_link(ti.task, ti_key=None) for link in ours}
    sent = (supervisor.pushed, tuple(supervisor.triggered), tuple(supervisor.skipped))
    return Ended(str(state.value), error, *sent, links)


@dataclass(frozen=True)
class RunEnded:
    """How a run ended: the tasks that ran (mapped ones as ``train[0]``), in order, and the log of each."""

    tasks: dict[str, Ended]
    logs: dict[str, str]
    xcoms: dict[Any, Any]

    @property
    def state(self) -> str:
        """``failed`` if a task failed for good; a task that Airflow would try again leaves the run ``running``."""
        states = {ended.state for ended in self.tasks.values()}
        return "failed" if "failed" in states else "success" if states <= {"success", "skipped"} else "running"

    @property
    def note(self) -> str:
        return next((ended.note for ended in reversed(self.tasks.values()) if ended.note), "")

    @property
    def error(self) -> BaseException | None:
        return next((ended.error for ended in self.tasks.values() if ended.error), None)


def run_dag(of: Any, conf: Mapping[str, Any], *, patch: Any, run_id: str) -> RunEnded:
    """Run all tasks of a DAG one after the other in dependency order, until one does not succeed.

    A mapped task (over one list) is run once for each value. Every task has the trigger rule of all our tasks: it runs
    if all upstream tasks succeeded.
    """
    refused = form_refuses(of, conf)
    assert refused is None, refused
    found = RunEnded({}, {}, {})
    mapped = {task.task_id for task in of.tasks if isinstance(task, MappedOperator)}
    done: set[str] = set()
    left_out: set[str] = set()
    for task in of.topological_sort():
        name = task.task_id
        if name in left_out or not task.upstream_task_ids <= done:
            continue
        indexes = [-1]
        if name in mapped:
            (over,) = task.iter_mapped_dependencies()
            indexes = list(range(len(found.xcoms[over.task_id, "return_value"])))
        ended = [_one(of, task, index, conf, found, mapped, patch, run_id) for index in indexes]
        if name in mapped:
            found.xcoms[name, "return_value"] = [one.xcoms.get("return_value") for one in ended]
        else:
            found.xcoms.update({(name, key): value for key, value in ended[0].xcoms.items()})
        if all(one.state == "success" for one in ended):
            done.add(name)
        left_out |= {skipped for one in ended for skipped in one.skipped}
    return found


def _one(
    of: Any, task: Any, index: int, conf: Mapping[str, Any], found: RunEnded, mapped: set[str], patch: Any, run_id: str
) -> Ended:
    name = f"{task.task_id}[{index}]" if index >= 0 else task.task_id
    with logged() as lines:
        ended = run_task(
            of, task.task_id, conf, patch=patch, run_id=run_id, xcoms=found.xcoms, mapped=mapped, map_index=index
        )
    found.tasks[name], found.logs[name] = ended, "\n".join(lines)
    return ended


@contextmanager
def logged() -> Iterator[list[str]]:
    """The lines that `include` logs meanwhile, INFO and above."""
    lines: list[str] = []
    handler, ours = logging.Handler(), logging.getLogger("include")
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    level = ours.level
    ours.addHandler(handler)
    ours.setLevel(logging.INFO)
    try:
        yield lines
    finally:
        ours.removeHandler(handler)
        ours.setLevel(level)
