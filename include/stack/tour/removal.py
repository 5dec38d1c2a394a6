"""Removes what a tour has made: its folder, DAGs, runs, logs, rows, bundles, and its versions in MLflow.

The ledger keeps what happened to the model, because its audit is append-only; the model is out of service there.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path

from include import files
from include.errors import PerennialError, TransientError
from include.partitions import utc_now
from include.progress import Progress, Report
from include.settings import Settings
from include.stack.following import Runs
from include.stack.layout import Stack
from include.stack.tour import place

KINDS = ("collect", "load", "retrain", "release", "rollback", "monitor", "broken")
BY, ENDED = "make tour", "the tour has ended"
PARSED_SECONDS = 120.0  # until Airflow has read its DAG files again; it does so every 20 s
ALIVE_SECONDS = 30.0  # until the tasks of the runs that were ended have ended, too


def begin(stack: Stack, name: str) -> None:
    """Record a tour that begins, so that the next one removes what a killed one has left."""
    files.write(stack.run / "tour.json", json.dumps([*left_over(stack), name]).encode())


def left_over(stack: Stack) -> list[str]:
    """The tours that have begun and were not removed."""
    try:
        found = json.loads((stack.run / "tour.json").read_text())
    except (OSError, ValueError):
        return []
    return [name for name in found if isinstance(name, str) and place.is_tour(name)] if isinstance(found, list) else []


def remove(stack: Stack, runs: Runs, name: str, progress: Progress) -> None:
    """Remove everything of a tour. What cannot be removed now is reported, and removed by the next tour."""
    problems: list[str] = []
    with progress.step(f"{name} is removed") as report:
        moment = utc_now()
        parts: tuple[tuple[str, Callable[[], None]], ...] = (
            ("its folder", lambda: _delete_folder(stack.tours / name)),
            ("its runs", lambda: _end_runs(runs, name)),
            ("what serves", lambda: _out_of_service(name)),
            ("its incidents", lambda: _close_incidents(name)),
            ("MLflow", lambda: _forget_in_mlflow(stack, name)),
            ("its DAGs", lambda: _delete_dags(runs, name, moment, report)),
            ("its files", lambda: _delete_files(stack, name)),
        )
        for part, action in parts:
            report(part)
            try:
                action()
            except (PerennialError, OSError) as error:
                problems.append(f"{part}: {error}")
        report("")
    if problems:
        progress.say("\n".join(["warning: not removed:", *problems, "The next `make tour` removes it."]))
    else:
        left = [other for other in left_over(stack) if other != name]
        files.write(stack.run / "tour.json", json.dumps(left).encode())


def _delete_folder(folder: Path) -> None:
    """Remove the folder of the model at once: Airflow would show one that is half removed as broken."""
    hidden = folder.with_name(f".{folder.name}")
    if folder.exists():
        shutil.rmtree(hidden, ignore_errors=True)
        folder.rename(hidden)
    shutil.rmtree(hidden, ignore_errors=True)


def _end_runs(runs: Runs, name: str) -> None:
    """End the runs of the model; Airflow ends their tasks."""
    for dag_id in _dag_ids(name):
        if runs.patiently(partial(runs.api.dag, dag_id)) is not None:
            for run_id in runs.patiently(partial(_active, runs, dag_id)):
                runs.patiently(partial(runs.api.end_run, dag_id, run_id))


def _active(runs: Runs, dag_id: str) -> list[str]:
    return [run.dag_run_id for run in runs.api.runs(dag_id, state=["queued", "running"])]


def _dag_ids(name: str) -> list[str]:
    return [f"{name}_{kind}" for kind in KINDS]


def _out_of_service(name: str) -> None:
    from include.registry.ledger import Ledger
    from include.release.promotion import project

    ledger = Ledger.default()
    now = ledger.standing(name)
    if now.frozen:
        ledger.unfreeze(name, BY, ENDED)
    if now.version is not None:
        ledger.withdraw(name, now.epoch, BY, "tour__end", ENDED)
    if now.epoch:
        project(name, alias_required=False)


def _close_incidents(name: str) -> None:
    from include.registry.incidents import Incidents

    incidents = Incidents.default()
    for row in incidents.open(name):
        incidents.close(row.number, BY, ENDED)


def _forget_in_mlflow(stack: Stack, name: str) -> None:
    from include.registry import tracking

    experiment = tracking.delete(name)
    if experiment is not None:
        shutil.rmtree(stack.home / "mlflow" / "artifacts" / experiment, ignore_errors=True)


def _delete_dags(runs: Runs, name: str, since: datetime, report: Report) -> None:
    """Delete the DAGs with their runs, once Airflow has read its DAG files without the folder.

    A reading that began before the folder was removed would make them again.
    """
    for kind in KINDS:
        deadline = time.monotonic() + PARSED_SECONDS
        while not runs.patiently(partial(_read_since, runs, kind, since)) and time.monotonic() < deadline:
            report(f"Airflow reads its DAG files ({kind})")
            runs.pause()
    for dag_id in _dag_ids(name):
        deadline = time.monotonic() + ALIVE_SECONDS
        while not runs.patiently(partial(runs.api.delete_dag, dag_id)):
            if time.monotonic() > deadline:
                raise TransientError(f"tasks of {dag_id} still run")
            runs.pause()


def _read_since(runs: Runs, kind: str, moment: datetime) -> bool:
    """Whether Airflow has read the DAG file of a kind since; True if no other model shows it."""
    ending = f"_{kind}"
    read = [at for dag_id, at in runs.api.parsed(ending).items() if not place.is_tour(dag_id.removesuffix(ending))]
    return not read or any(datetime.fromisoformat(at) > moment for at in read)


def _delete_files(stack: Stack, name: str) -> None:
    settings = Settings.from_environment()
    logs = (stack.logs / "airflow").glob(f"dag_id={name}_*")
    for folder in (settings.lake / name, settings.bundles / name, *settings.spool.glob(f"*/{name}"), *logs):
        shutil.rmtree(folder, ignore_errors=True)
