"""The task of `perennial_maintenance` in Airflow's task runner: its note, its result, and how it fails."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from include import catalog
from include.data.lake import Lake
from include.data.maintenance import MaintainedLakes
from include.data.spools import load_all
from include.errors import IntegrityError
from include.partitions import utc_now
from tests.data.spooled import line, spool
from tests.plugins.in_process import Ended, dag, run_task


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PERENNIAL_HOME", str(tmp_path))
    return tmp_path


def run(patch: pytest.MonkeyPatch) -> Ended:
    return run_task(dag("perennial_maintenance"), "maintain", patch=patch, run_type="scheduled", user=None)


def load(here: Path) -> Lake:
    """Load two segments of predictions that were made three days ago."""
    moment = (utc_now() - timedelta(days=3)).isoformat()
    for number in (1, 2):
        text = line(1, key={"id": f"k{number}"}, event_time=moment, predicted_at=moment)
        spool(here / "spool", number, [text], model="toy")
        load_all(utc_now())
    return Lake.of(catalog.load("toy"))


def test_the_note_and_the_result_name_what_was_done(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = load(here)
    assert len(lake.table("predictions").file_uris()) == 2
    ended = run(monkeypatch)
    assert ended.state == "success", ended.error
    assert ended.note == "COMPACTED 1 day of predictions of 1 model: 2 files before."
    (one,) = MaintainedLakes.of(ended.xcoms["return_value"]).models
    assert (one.model, one.days, one.files) == ("toy", 1, 2)
    assert len(lake.table("predictions").file_uris()) == 1 and lake.table("predictions").count() == 2
    again = run(monkeypatch)
    assert (again.state, again.note) == ("success", "")


def test_a_table_that_cannot_be_read_fails_the_task(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = load(here)
    for path in (lake.root / "predictions" / "_delta_log").glob("*.json"):
        path.write_bytes(b"no JSON\n")
    ended = run(monkeypatch)
    assert ended.state == "failed" and isinstance(ended.error, IntegrityError)
    assert ended.note.startswith("FAILED in `maintain`: the tables of toy could not all be maintained. toy: ")
