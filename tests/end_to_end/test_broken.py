"""A folder that breaks on a running stack: `<model>_broken` is red by itself, once for each reason."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from include import files
from include.stack.airflow_answers import Run
from tests.end_to_end.conftest import models_folder
from tests.end_to_end.journeys import Journey
from tests.end_to_end.stack_runner import Api, Running

pytestmark = [pytest.mark.end_to_end, pytest.mark.usefixtures("settings")]
NAME = "halfway"
DAG = f"{NAME}_broken"
PARSES = 25.0  # seconds in which Airflow reads the file once more


def begin(running: Running, items: list[pytest.Function]) -> dict[str, Journey[Path, list[Run]]]:
    api = Api(running.stack)
    return {"broken": Journey(lambda: models_folder(running.home) / NAME, {"twice": lambda at: twice(api, at)}).start()}


def twice(api: Api, folder: Path) -> list[Run]:
    """Break a folder, break it in another way, repair nothing; return its runs, newest first."""
    try:
        unfinished = folder.with_name(f".{NAME}")
        unfinished.mkdir()
        (unfinished / "model.py").write_text("MODEL = 1\n")
        unfinished.rename(folder)  # at once, because each state that Airflow sees has its run
        until(api, 1)
        files.write(folder / "model.py", b"MODEL = unknown_name\n")
        until(api, 2)
        time.sleep(PARSES)
        return list(api.runs(DAG))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def until(api: Api, runs: int) -> None:
    """Wait until the DAG has this many runs, all of them ended."""
    deadline = time.monotonic() + 600
    while True:
        found = list(api.runs(DAG)) if api.dag(DAG) else []
        if len(found) >= runs and all(run.state in ("success", "failed") for run in found):
            return
        assert time.monotonic() < deadline, found
        time.sleep(1)


def test_each_broken_state_is_one_red_run_with_its_reason(journeys: dict[str, Journey[Any, list[Run]]]) -> None:
    runs = journeys["broken"].outcome("twice")
    second, first = runs[0], runs[-1]
    assert {run.state for run in runs} == {"failed"}
    assert len(runs) <= 3, "a state can have two runs if the folder changes while Airflow plans the first, not more"
    assert first.note.startswith("BROKEN: ") and "source.py is missing" in first.note
    assert second.note.startswith("BROKEN: ") and "unknown_name" in second.note
