"""`make bench`: what Airflow adds to a retraining, as ratios measured in one run.

Starts a separate stack on free ports, loads the models as `make run` does, and then measures in turn, five times:

- the functions of a retraining, called one after the other in one plain Python process (imports are not timed);
- the DAG ``<model>_retrain`` of the first model, from the start of its run to the end of its last task.

Both use the same snapshot of the same days and the same services. The latency of a task is the time from *queued* to
the first line in its log after Airflow's own preparation.

Then it measures the memory and time of a night on 1.4 million rows (`tests.bench.memory`), without a stack.

Usage: ``python -m tests.bench [--part dag|memory] [--rounds 5] [--home FOLDER]``. An existing home has its models
already.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from include import catalog
from include.stack import confidential, environment
from include.stack.airflow_answers import Task
from tests.bench import memory
from tests.end_to_end.stack_runner import ROOT, Api, Running
from tests.services import free_port

MODEL = catalog.by_priority()[0].name
BAR_RATIO, BAR_START = 1.25, 0.3
STEPS = ("snapshot", "train", "select", "evaluate", "gate", "package")

# One plain process. It imports everything first, then runs once for each line on its standard input (JSON).
PLAIN = """
import json, sys
from include import catalog
from include.stack.environment import PRELOAD
import importlib
for name in PRELOAD:
    importlib.import_module(name)
from include.retraining.in_process import in_one_process
model = catalog.load({model!r})
for line in sys.stdin:
    request = json.loads(line)
    done = in_one_process(model, request["as_of"], {{"seed": request["seed"]}})
    print("RESULT", json.dumps({{"seconds": done.seconds, "verdict": done.decision.verdict}}), flush=True)
"""


def seconds_between(earlier: str | None, later: str | None) -> float:
    """Return the seconds between two ISO times."""
    first, second = (datetime.fromisoformat(t or "") for t in (earlier, later))
    return (second - first).total_seconds()


def in_airflow(api: Api, as_of: str, seed: int, round_: int) -> dict[str, Any]:
    """Retrain in a DAG run; return its wall time, and for each task when it was queued, began to work and ended."""
    dag_id, run_id = f"{MODEL}_retrain", f"bench__{os.getpid()}__{round_}"
    run = api.trigger_and_wait(dag_id, run_id, {"as_of": as_of, "seed": seed}, seconds=300)
    assert run.state == "success", api.states(dag_id, run_id)
    tasks = [t for t in api.tasks(dag_id, run_id) if t.state == "success"]
    last = max(t.end_date or "" for t in tasks)
    found: dict[str, Any] = {"wall": seconds_between(run.start_date, last), "tasks": []}
    for task in tasks:
        work = first_line(api, task)
        found["tasks"].append(
            {
                "task": task.task_id,
                "start": seconds_between(task.queued_when, work),
                "work": seconds_between(work, task.end_date),
                "begin": seconds_between(run.start_date, task.queued_when),
                "end": seconds_between(run.start_date, task.end_date),
            }
        )
    if api.states(dag_id, run_id).get("release") == "success":
        api.wait(f"{MODEL}_release", api.xcom(dag_id, run_id, "release", key="trigger_run_id"))
    return found


def first_line(api: Api, task: Task) -> str:
    """Return when the operator began: the end of Airflow's *Pre Execute* group in the task's log."""
    path = f"/dags/{task.dag_id}/dagRuns/{task.dag_run_id}/taskInstances/{task.task_id}/logs/{task.try_number}"
    content = api._send("GET", path, params={"map_index": task.map_index, "full_content": True}).json()["content"]
    return next(
        str(line["timestamp"])
        for line in content
        if isinstance(line, dict) and line.get("event") == "::endgroup::" and line.get("timestamp")
    )


def report(plain: list[dict[str, Any]], dag: list[dict[str, Any]]) -> None:
    """Print the ratios with their bars, and the seconds of each task."""
    totals = [sum(p["seconds"].values()) for p in plain]
    walls = [float(d["wall"]) for d in dag]
    ratios = [wall / total for wall, total in zip(walls, totals, strict=True)]
    starts = [t["start"] for d in dag for t in d["tasks"]]
    print()
    for name, values, bar in (
        ("plain process", totals, ""),
        ("retrain DAG", walls, ""),
        ("ratio", ratios, f"(bar {BAR_RATIO})"),
    ):
        print(f"{name:<15}{' '.join(f'{v:6.2f}' for v in values)}   median {median(values):6.2f}   {bar}")
    print(f"{'task start':<15}median {median(starts):.2f} s, largest {max(starts):.2f} s   (bar {BAR_START} s)")
    print("\nmedian seconds   plain    work   start   (work: first line to end; the longest of mapped tasks)")
    by_step: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for done in dag:
        for step in {t["task"] for t in done["tasks"]}:
            mine = [t for t in done["tasks"] if t["task"] == step]
            by_step[step]["work"].append(max(t["work"] for t in mine))
            by_step[step]["start"].append(max(t["start"] for t in mine))
    for step in (*STEPS, "release"):
        if step in by_step:
            alone = median([p["seconds"].get(step, 0.0) for p in plain])
            print(f"  {step:<12}{alone:8.2f}{median(by_step[step]['work']):8.2f}{median(by_step[step]['start']):8.2f}")
    idle = median([done["wall"] - active(done["tasks"]) for done in dag])
    print(f"  {'no task':<12}{'':8}{idle:8.2f}           (the scheduler sees one task's end and queues the next)")


def active(tasks: list[dict[str, Any]]) -> float:
    """Return the seconds in which at least one task was queued or running."""
    busy, at = 0.0, 0.0
    for task in sorted(tasks, key=lambda t: float(t["begin"])):
        busy += max(0.0, task["end"] - max(at, task["begin"]))
        at = max(at, task["end"])
    return busy


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--part", choices=("dag", "memory"), help="only this part")
    parser.add_argument("--rows", type=int, default=memory.ROWS, help="rows of the table for the memory part")
    options = parser.parse_args()
    if options.part != "memory":
        of_the_dag(options.rounds, options.home)
    if options.part != "dag":
        memory.measure(options.rows)
    return 0


def of_the_dag(rounds: int, home: Path | None) -> None:
    """Compare the DAG with one plain process, on a separate stack."""
    temporary = None if home else Path(tempfile.mkdtemp(prefix="prn-bench-", dir="/tmp"))
    home = home or temporary / "home"  # type: ignore[operator]
    running = Running(
        home, (free_port(), free_port(), free_port()), [sys.executable, "-m", "include.stack", "run"]
    ).start()
    plain_process = None
    try:
        print(f"the stack was ready after {running.until_all_serve(900):.0f} s")
        api = Api(running.stack)
        variables = environment.child_environment(running.stack, sys.executable, confidential.SCHEDULER)
        plain_process = subprocess.Popen(
            [sys.executable, "-c", PLAIN.format(model=MODEL)],
            cwd=ROOT,
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert plain_process.stdin is not None and plain_process.stdout is not None
        first = next(r for r in api.runs(f"{MODEL}_retrain", run_id_prefix_pattern="first__") if r.state == "success")
        as_of = api.xcom(f"{MODEL}_retrain", first.dag_run_id, "snapshot", key="plan")["as_of"]
        plain, dag = [], []
        for round_ in range(rounds + 1):  # the first of each is a warm-up
            plain_process.stdin.write(json.dumps({"as_of": as_of, "seed": 100 + 2 * round_}) + "\n")
            plain_process.stdin.flush()
            line = next(text for text in plain_process.stdout if text.startswith("RESULT"))
            one = json.loads(line.removeprefix("RESULT"))
            other = in_airflow(api, as_of, 101 + 2 * round_, round_)
            if round_:
                plain.append(one)
                dag.append(other)
            alone = sum(one["seconds"].values())
            print(f"round {round_}: plain {alone:.2f} s ({one['verdict']}), DAG {other['wall']:.2f} s", flush=True)
        report(plain, dag)
    finally:
        if plain_process is not None:
            plain_process.kill()
        running.end()
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
