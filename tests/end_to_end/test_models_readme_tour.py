"""The tour of `include/models/README.md` on a real stack, as it is typed: to a champion, and to a second version."""

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
# The quarantine is looked at with a script that the text has made before.
AFTERWARDS = [b for b in BLOCKS if b not in TOUR and (needs_stack(b) or b.text.startswith("# show_quarantine.py"))]
DONE = [*TOUR, *AFTERWARDS]


class VersionsServed(NamedTuple):
    """The version of `parcels` that serves, and those that were promoted in order."""

    serving: int | None
    promoted: list[int | None]


@dataclass
class Reader:
    """Somebody in the second terminal: a copy of the project whose new models the running stack sees, too."""

    folder: UsersFolder
    running: Running


def begin(running: Running, items: list[pytest.Function]) -> dict[str, Journey[Reader, Any]]:
    """The tour, and what the text does afterwards, under way."""

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
    """The back-fill runs that what is typed after the tour leads to, at their end."""
    api = Api(reader.running.stack)
    before = {run.dag_run_id for run in api.runs("parcels_collect", run_type="backfill")}
    do(reader.folder, reader.running, AFTERWARDS)
    again = [run for run in api.runs("parcels_collect", run_type="backfill") if run.dag_run_id not in before]
    return [api.wait("parcels_collect", run.dag_run_id) for run in again]


def do(reader: UsersFolder, running: Running, wanted: list[Block]) -> None:
    """Do what the blocks say on the running stack, and compare what is shown as output."""
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
    """Let the running stack see the models that the reader has made, at the place where they are."""
    shown = models_folder(home)
    shown.mkdir(exist_ok=True)
    for folder in (reader.project / "include" / "models").iterdir():
        theirs = (folder / "model.py").is_file() and not (ROOT / "include" / "models" / folder.name).exists()
        if theirs and not (shown / folder.name).exists():
            os.symlink(folder, shown / folder.name)


def test_the_tour_leads_to_a_champion_and_a_better_feature_to_the_next(journeys: dict[str, Journey[Any, Any]]) -> None:
    assert journeys["reader"].outcome("tour") == VersionsServed(2, [1, 2])


def test_a_back_fill_and_the_quarantine_as_they_are_typed(journeys: dict[str, Journey[Any, Any]]) -> None:
    again = journeys["reader"].outcome("afterwards")
    assert again, "the last days have been collected again"
    assert {run.state for run in again} == {"success"}
