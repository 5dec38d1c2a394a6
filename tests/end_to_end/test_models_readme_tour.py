"""The tour of `include/models/README.md` on a real stack, as written: to a champion, and to a second version."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from include.registry.ledger import Ledger
from include.stack.airflow_answers import Run
from tests.docs.readme import BLOCKS, TOUR, Block, UsersFolder, needs_stack, resembles
from tests.end_to_end.conftest import models_folder
from tests.end_to_end.journeys import Journey
from tests.end_to_end.stack_runner import ROOT, Api, Running

pytestmark = pytest.mark.end_to_end
START = "make run"
# The reader looks at the quarantine with a script from the text, so the script is put in place first.
AFTERWARDS = [b for b in BLOCKS if b not in TOUR and (needs_stack(b) or b.text.startswith("# show_quarantine.py"))]
DONE = [*TOUR, *AFTERWARDS]


class VersionsServed(NamedTuple):
    """The version of `parcels` that serves, and the promoted versions in order."""

    serving: int | None
    promoted: list[int | None]


@dataclass
class Reader:
    """A person in a second terminal, with a copy of the project. The running stack sees the models made there."""

    folder: UsersFolder
    running: Running


def begin(running: Running, items: list[pytest.Function]) -> dict[str, Journey[Reader, Any]]:
    """Start the tour and the steps after it."""

    def prepare() -> Reader:
        airflow, mlflow, serving = map(str, running.ports)
        ports = {"AIRFLOW_PORT": airflow, "MLFLOW_PORT": mlflow, "SERVING_PORT": serving}
        home = tempfile.mkdtemp(prefix="reader-", dir=running.home.parent)
        return Reader(UsersFolder(Path(home), {"PERENNIAL_HOME": str(running.home), **ports}), running)

    return {"reader": Journey(prepare, {"tour": tour, "afterwards": afterwards}).start()}


def tour(reader: Reader) -> VersionsServed:
    do(reader.folder, reader.running, TOUR)
    ledger = Ledger.default()
    serving = ledger.champion("parcels")
    promoted = [a.version for a in ledger.history("parcels") if a.action == "promote"]
    return VersionsServed(serving.version if serving else None, promoted)


def afterwards(reader: Reader) -> list[Run]:
    """Do the steps after the tour; return the loads that they have started, once they have ended."""
    api = Api(reader.running.stack)
    before = {run.dag_run_id for run in api.runs("parcels_load")}
    do(reader.folder, reader.running, AFTERWARDS)
    again = [run for run in api.runs("parcels_load") if run.dag_run_id not in before]
    return [api.wait("parcels_load", run.dag_run_id) for run in again]


def do(reader: UsersFolder, running: Running, wanted: list[Block]) -> None:
    """Do what the blocks say on the running stack, and check the output that they show."""
    last = ""
    for block in wanted:
        if block.kind == "python":
            reader.put(block, "parcels")
        elif block.text.strip() == START:
            # The stack of this session was started by the command that `make run` runs.
            assert " ".join(running.command[1:4]) in reader.sh("make -n run")
        elif block.kind == "sh":
            last = reader.sh(block.text)
            print(f"$ {block.text}{last}")
            show_new_models(reader, running.home)
        elif last:
            assert resembles(block.text, last), f"{block}\nis not what was printed:\n{last}"


def show_new_models(reader: UsersFolder, home: Path) -> None:
    """Link the models that the reader has made into the models folder of the running stack."""
    shown = models_folder(home)
    shown.mkdir(exist_ok=True)
    for folder in (reader.project / "include" / "models").iterdir():
        theirs = (folder / "model.py").is_file() and not (ROOT / "include" / "models" / folder.name).exists()
        if theirs and not (shown / folder.name).exists():
            os.symlink(folder, shown / folder.name)


def test_the_tour_leads_to_a_champion_and_a_better_feature_to_the_next(journeys: dict[str, Journey[Any, Any]]) -> None:
    assert journeys["reader"].outcome("tour") == VersionsServed(2, [1, 2])


def test_the_load_and_the_quarantine_commands_work_as_written(journeys: dict[str, Journey[Any, Any]]) -> None:
    again = journeys["reader"].outcome("afterwards")
    assert again, "no day was collected again"
    assert {run.state for run in again} == {"success"}
