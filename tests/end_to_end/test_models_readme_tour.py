"""The tour of `include/models/README.md` on a real stack, as it is typed: to a champion, and to a second version."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from include.registry.ledger import Ledger
from tests.docs.readme import BLOCKS, TOUR, Block, UsersFolder, needs_stack, resembles
from tests.end_to_end.conftest import models_folder
from tests.end_to_end.stack_runner import ROOT, Api, Running

pytestmark = [pytest.mark.end_to_end, pytest.mark.usefixtures("settings")]
START = "make run"
# The quarantine is looked at with a script that the text has made before.
AFTERWARDS = [b for b in BLOCKS if b not in TOUR and (needs_stack(b) or b.text.startswith("# show_quarantine.py"))]
DONE = [*TOUR, *AFTERWARDS]


@pytest.fixture(scope="module")
def reader(running: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[UsersFolder]:
    """Somebody in the second terminal: a copy of the project whose new models the running stack sees, too."""
    airflow, mlflow, serving = map(str, running.ports)
    ports = {"AIRFLOW_PORT": airflow, "MLFLOW_PORT": mlflow, "SERVING_PORT": serving}
    folder = UsersFolder(tmp_path_factory.mktemp("reader"), {"PERENNIAL_HOME": str(running.home), **ports})
    yield folder
    for link in models_folder(running.home).iterdir():
        link.unlink()


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


def test_the_tour_leads_to_a_champion_and_a_better_feature_to_the_next(reader: UsersFolder, running: Running) -> None:
    do(reader, running, TOUR)
    serving = Ledger.default().champion("parcels")
    assert serving is not None and serving.version == 2
    promoted = [a.version for a in Ledger.default().history("parcels") if a.action == "promote"]
    assert promoted == [1, 2]


def test_a_back_fill_and_the_quarantine_as_they_are_typed(reader: UsersFolder, running: Running, api: Api) -> None:
    before = {run["dag_run_id"] for run in api.runs("parcels_collect", run_type="backfill")}
    do(reader, running, AFTERWARDS)
    again = [run for run in api.runs("parcels_collect", run_type="backfill") if run["dag_run_id"] not in before]
    assert again, "the last days have been collected again"
    assert all(api.wait("parcels_collect", run["dag_run_id"])["state"] == "success" for run in again)
