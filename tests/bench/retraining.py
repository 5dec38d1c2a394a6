"""The retrain DAG against the same functions in one plain process, and how long a task takes to start.

Both use the same snapshot of the same days and the same services, in turn. The start of a task is the time from
*queued* to the first line in its log after Airflow's own preparation.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from statistics import median
from typing import Any

from include import catalog
from include.stack.airflow_answers import Task
from tests.bench.figures import Row
from tests.bench.shared import Bench, seconds_between
from tests.end_to_end.stack_runner import Api

BAR_RATIO, BAR_START = 1.25, 0.35
ROUNDS = 5
STEPS = ("snapshot", "train", "select", "evaluate", "gate", "package", "release")


def measure(bench: Bench) -> Iterator[Row]:
    """Retrain the first model in turn in one process and in Airflow; the first of each is a warm-up."""
    api, model = bench.api, catalog.by_priority()[0].name
    dag_id = f"{model}_retrain"
    first = next(r for r in api.runs(dag_id, run_id_prefix_pattern="first__") if r.state == "success")
    as_of = api.xcom(dag_id, first.dag_run_id, "snapshot", key="plan")["as_of"]
    plain: list[Mapping[str, float]] = []
    dag: list[dict[str, Any]] = []
    with bench.plain() as process:
        for number in range(bench.rounds(ROUNDS) + 1):
            one = process.ask("retrain", model=model, as_of=as_of, seed=100 + 2 * number)
            other = in_airflow(api, model, as_of, 101 + 2 * number)
            bench.say(
                f"retraining {number}: one process {sum(one['seconds'].values()):.1f} s ({one['verdict']}), "
                f"DAG {other['wall']:.1f} s"
            )
            if number:
                plain.append(one["seconds"])
                dag.append(other)
    yield from rows(model, plain, dag)


def in_airflow(api: Api, model: str, as_of: str, seed: int) -> dict[str, Any]:
    """Retrain in a DAG run; its wall time, and for each task when it was queued, began to work and ended."""
    dag_id, run_id = f"{model}_retrain", f"bench__{os.getpid()}__{seed}"
    run = api.trigger_and_wait(dag_id, run_id, {"as_of": as_of, "seed": seed})
    if run.state != "success":
        raise RuntimeError(f"{dag_id} {run_id} has failed: {api.states(dag_id, run_id)}")
    tasks = [t for t in api.tasks(dag_id, run_id) if t.state == "success"]
    found: dict[str, Any] = {"tasks": []}
    found["wall"] = seconds_between(run.start_date, max(t.end_date or "" for t in tasks))
    for task in tasks:
        work = first_line(api, task)
        found["tasks"].append(
            {
                "task": task.task_id,
                "start": seconds_between(task.queued_when, work),
                "seconds": seconds_between(work, task.end_date),
                "queued": seconds_between(run.start_date, task.queued_when),
                "work": seconds_between(run.start_date, work),
                "end": seconds_between(run.start_date, task.end_date),
            }
        )
    if api.states(dag_id, run_id).get("release") == "success":
        api.wait(f"{model}_release", api.xcom(dag_id, run_id, "release", key="trigger_run_id"))
    return found


def first_line(api: Api, task: Task) -> str:
    """When the operator began: the end of Airflow's *Pre Execute* group in the task's log."""
    path = f"/dags/{task.dag_id}/dagRuns/{task.dag_run_id}/taskInstances/{task.task_id}/logs/{task.try_number}"
    content = api._send("GET", path, params={"map_index": task.map_index, "full_content": True}).json()["content"]
    return next(
        str(line["timestamp"])
        for line in content
        if isinstance(line, dict) and line.get("event") == "::endgroup::" and line.get("timestamp")
    )


def rows(model: str, plain: list[Mapping[str, float]], dag: list[dict[str, Any]]) -> Iterator[Row]:
    """The lines of the table; plain processes and runs in the order of the rounds."""
    tasks = [task for run in dag for task in run["tasks"]]
    yield Row(
        f"retrain DAG of {model}, start of its run to end of its last task",
        [run["wall"] for run in dag],
        "s",
        "the same functions in one process",
        [sum(seconds.values()) for seconds in plain],
        bar=BAR_RATIO,
        details=by_step(plain, dag),
    )
    starts = [task["start"] for task in tasks]
    yield Row(
        "start of a task, queued to the first line of its operator",
        starts,
        "s",
        bar=BAR_START,
        details=f"{len(starts)} tasks; tasks that train start at the same time",
    )
    yield Row(
        "from the end of a task to the first line of the next one",
        [gap for run in dag for gap in gaps(run["tasks"])],
        "s",
    )


def gaps(tasks: list[dict[str, Any]]) -> Iterator[float]:
    """The seconds between the end of all tasks before a task and its own first line."""
    for task in tasks:
        before = [other["end"] for other in tasks if other["end"] <= task["queued"]]
        if before:
            yield task["work"] - max(before)


def by_step(plain: list[Mapping[str, float]], dag: list[dict[str, Any]]) -> str:
    """Median seconds of each step in the DAG (the longest of mapped tasks) and in one process, and without any task."""
    seconds: dict[str, list[float]] = defaultdict(list)
    for run in dag:
        for step in {task["task"] for task in run["tasks"]}:
            seconds[step].append(max(t["seconds"] for t in run["tasks"] if t["task"] == step))
    texts = []
    for step in STEPS:
        if step in seconds:
            alone = [p[step] for p in plain if step in p]
            texts.append(f"{step} {median(seconds[step]):.1f}{f' / {median(alone):.1f}' if alone else ''}")
    idle = median([run["wall"] - active(run["tasks"]) for run in dag])
    return f"{', '.join(texts)}; no task {idle:.1f}"


def active(tasks: list[dict[str, Any]]) -> float:
    """The seconds in which at least one task was queued or running."""
    busy, at = 0.0, 0.0
    for task in sorted(tasks, key=lambda t: float(t["queued"])):
        busy += max(0.0, task["end"] - max(at, task["queued"]))
        at = max(at, task["end"])
    return busy
