"""Shared by the DAG files: the models to build DAGs for, and the default arguments of every DAG."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from airflow.sdk import DAG, Param, get_parsing_context
from airflow.timetables.trigger import CronTriggerTimetable

from include import catalog
from include.spec import Model
from include.spec.bounds import LONGEST_NAME, MOST_CANDIDATES
from perennial.operators.base import RETRY_POLICY
from perennial.timetables import BrokenFolderTimetable, DailyPartitionTimetable, NightTimetable

TASKS: dict[str, Any] = {
    "retries": 3,
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=10),
    "retry_policy": RETRY_POLICY,
}
"""The retry settings of every task. The first delay is Airflow's ``[core] default_task_retry_delay``."""

NO_FORM: Mapping[str, Param] = {}


def models(kind: str) -> Iterator[Model]:
    """The models that load. Every task parses its DAG file again, so its own parse yields only the model of its DAG."""
    yield from (entry.model for entry in _entries(kind) if entry.model is not None)


def broken(kind: str) -> Iterator[catalog.Entry]:
    """The model folders that do not load; in a task's own parse only the one whose DAG the task belongs to."""
    yield from (entry for entry in _entries(kind) if entry.problem is not None)


def _entries(kind: str) -> list[catalog.Entry]:
    asked = get_parsing_context().dag_id
    return catalog.entries(lambda name: asked in (None, f"{name}_{kind}"))


@contextmanager
def with_form(dag: DAG, form: Mapping[str, Param]) -> Iterator[DAG]:
    """The context in which the tasks of a DAG are created; the DAG gets its form when all tasks exist.

    Airflow copies the form of a DAG into each task that is created afterwards, once per class of the operator, although
    a task reads the values of its run from the DAG. It also checks every field of a scheduled DAG against the JSON
    schema of JSON schemas. With 500 models, this took half of the time of `retrain.py`. `tests/dags` checks the forms.
    """
    with dag:
        yield dag
        dag.params.update(form)


def candidates_field(model: Model) -> Param:
    """The field *Candidates* of a form: a list to choose from, or one name a line if only running the code shows them.

    The names are proposals (``examples``): a name that is not among them is refused by the run, with the closest one.
    """
    names = catalog.candidate_names(model.name)
    return Param(
        None,
        type=["null", "array"],
        items={"type": "string", "minLength": 1, "maxLength": LONGEST_NAME},
        maxItems=MOST_CANDIDATES,
        title="Candidates",
        description="Empty: all." if names else "Names from candidates.py, one a line. Empty: all.",
        **({"examples": list(names)} if names else {}),
    )


@cache
def cron(expression: str, timezone: str) -> CronTriggerTimetable:
    """The timetable of a cron expression. Airflow puts each into words, so models with the same one share it."""
    return CronTriggerTimetable(expression, timezone=timezone)


@cache
def _nights(expression: str, timezone: str) -> NightTimetable:
    return NightTimetable(expression, timezone=timezone)


def nights(model: Model) -> NightTimetable | None:
    """The timetable of `<model>_retrain`; what it shares with other models is made once, as in `cron`.

    ``None`` for a model that is retrained on demand: only its monitor and people start a run.
    """
    if model.training.schedule is None:
        return None
    return _nights(model.training.schedule, model.timezone).of(f"{model.name}_retrain")


@cache
def daily_partitions(expression: str, timezone: str, delay: timedelta) -> DailyPartitionTimetable:
    """The timetable of `<model>_collect`, shared as in `cron`."""
    return DailyPartitionTimetable(expression, timezone=timezone, delay=delay)


def once_for_each_state(entry: catalog.Entry) -> BrokenFolderTimetable:
    """The timetable of `<model>_broken`."""
    return BrokenFolderTimetable(catalog.state(entry.folder)[:16])


def model_dag(
    model: Model, kind: str, doc: str | None, *, params: Mapping[str, Param] = NO_FORM, **arguments: Any
) -> AbstractContextManager[DAG]:
    """A DAG ``<model>_<kind>`` with our defaults: owner, tags, documentation, retries with back-off, timeouts.

    Its tasks are created in its ``with`` block.

    Parameters
    ----------
    doc : the docstring of the DAG file; ``{model}`` in it becomes the model's name.
    params : the form, by name of the parameter.
    arguments : anything that `DAG` takes; wins over the defaults.
    """
    defaults: dict[str, Any] = {
        "schedule": None,
        "start_date": datetime(model.start.year, model.start.month, model.start.day, tzinfo=ZoneInfo(model.timezone)),
        "catchup": False,
        "max_active_runs": 1,
        "dagrun_timeout": timedelta(hours=12),
        "render_template_as_native_obj": True,
    }
    about = f"**{model.name}**: {model.description}. Owner: {model.owner}."
    dag = DAG(
        f"{model.name}_{kind}",
        description=f"{kind}: {model.description}",
        doc_md=f"{(doc or '').replace('{model}', model.name)}\n\n---\n{about}",
        tags=["perennial", model.name, kind, *model.tags],
        default_args={
            **TASKS,
            "owner": model.owner,
            "execution_timeout": timedelta(hours=2),
            "priority_weight": model.priority,
            "weight_rule": "absolute",  # only the model's priority counts, not the number of downstream tasks
        },
        **(defaults | arguments),
    )
    return with_form(dag, params)


def broken_dag(
    entry: catalog.Entry, kind: str, doc: str | None, *, params: Mapping[str, Param] = NO_FORM, **arguments: Any
) -> AbstractContextManager[DAG]:
    """The DAG ``<model>_<kind>`` of a folder that does not load, for tasks that do not need the folder."""
    defaults: dict[str, Any] = {
        "start_date": datetime(2025, 1, 1, tzinfo=UTC),
        "catchup": False,
        "max_active_runs": 1,
        "dagrun_timeout": timedelta(hours=12),
    }
    dag = DAG(
        f"{entry.name}_{kind}",
        description=f"{kind}: the folder of {entry.name} is broken",
        doc_md=f"{(doc or '').replace('{model}', entry.name)}\n\n---\nBroken folder:\n\n```\n{entry.problem}\n```",
        tags=["perennial", entry.name, kind],
        default_args={**TASKS, "owner": "perennial", "execution_timeout": timedelta(hours=2)},
        **(defaults | arguments),
    )
    return with_form(dag, params)


def shared_dag(kind: str, description: str, doc: str | None, **arguments: Any) -> DAG:
    """The DAG ``perennial_<kind>`` of short tasks, one for all models; ``arguments`` as in `model_dag`."""
    defaults: dict[str, Any] = {
        "start_date": datetime(2025, 1, 1, tzinfo=UTC),
        "catchup": False,
        "max_active_runs": 1,
        "dagrun_timeout": timedelta(hours=1),
    }
    return DAG(
        f"perennial_{kind}",
        description=f"{kind}: {description}",
        doc_md=doc,
        tags=["perennial", kind],
        default_args={**TASKS, "owner": "perennial", "execution_timeout": timedelta(minutes=10)},
        **(defaults | arguments),
    )
