"""The task of `perennial_predictions` in Airflow's task runner: its note, its result, and how it fails."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from include import catalog
from include.data.lake import Lake
from include.data.spools import LoadedSpools
from include.errors import IntegrityError
from include.partitions import utc_now
from tests.data.spooled import line, spool
from tests.plugins.in_process import Ended, dag, run_task


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PERENNIAL_HOME", str(tmp_path))
    return tmp_path


def run(patch: pytest.MonkeyPatch) -> Ended:
    return run_task(dag("perennial_predictions"), "load_predictions", patch=patch, run_type="scheduled", user=None)


def now() -> dict[str, object]:
    """The moments of a line of an hour ago."""
    moment = (utc_now() - timedelta(hours=1)).isoformat()
    return {"event_time": moment, "predicted_at": moment}


def sent(name: str) -> str:
    return line(1, key={"id": name}, **now())


def test_the_note_and_the_result_name_what_was_loaded(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool(here / "spool", 1, [sent("a"), sent("b"), "no JSON"], model="toy")
    spool(here / "spool", 1, [sent("a")], model="toy_that_was_removed")
    ended = run(monkeypatch)
    assert ended.state == "success", ended.error
    assert ended.note.startswith(
        "LOADED 2 predictions of toy from 1 spool segment. **1 rejected line of toy** (line 3: "
    )
    assert "Waiting: 1 segment of toy_that_was_removed. no model" in ended.note
    result = LoadedSpools.of(ended.xcoms["return_value"])
    assert [(one.model, one.rows, one.rejected) for one in result.loaded] == [("toy", 2, 1)]
    assert [one.model for one in result.waiting] == ["toy_that_was_removed"]


def test_a_run_without_anything_to_load_has_no_note(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = run(monkeypatch)
    assert (ended.state, ended.note) == ("success", "")
    assert LoadedSpools.of(ended.xcoms["return_value"]) == LoadedSpools()


def test_a_model_that_cannot_be_loaded_fails_the_task_after_the_others_were_loaded(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool(here / "spool", 1, [sent("a")], model="toy")
    lake = Lake.of(catalog.load("toy"))
    lake.create()
    for path in (lake.root / "predictions" / "_delta_log").glob("*.json"):
        path.write_bytes(b"no JSON\n")
    spool(here / "spool", 1, [line(1, key={"market_date": "2026-05-03", "half_hour": 3}, **now())], model="electricity")
    ended = run(monkeypatch)
    assert ended.state == "failed" and isinstance(ended.error, IntegrityError), "the next run tries it again"
    assert ended.note.startswith("FAILED in `load_predictions`: the predictions of toy could not all be loaded. toy: ")
    assert Lake.of(catalog.load("electricity")).table("predictions").count() == 1
