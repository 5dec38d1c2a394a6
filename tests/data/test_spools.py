"""The spools of all models are loaded exactly once, whatever is killed, and no model or row stops the others."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

import include.models
from include import catalog, files
from include.data import predictions, spools
from include.data.lake import Lake
from include.data.spools import LoadedModel, LoadedSpools, Problem, load_all
from include.errors import IntegrityError, TransientError
from include.scoring.record import closed_segments
from include.settings import PROJECT
from tests.data.sensors import NOW
from tests.data.spooled import line, model_folder, spool


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose only models are those in its folder `models`; the small model is one of them."""
    monkeypatch.setenv("PERENNIAL_HOME", str(tmp_path))
    monkeypatch.setattr(include.models, "__path__", [str(tmp_path / "models")])
    model_folder(tmp_path / "models", "sensors")
    return tmp_path


def rows(name: str = "sensors") -> list[str]:
    """The requests in a model's table."""
    found = Lake.of(catalog.load(name)).table("predictions").to_pyarrow_table()
    return sorted(found.column("request_id").to_pylist())


def version(name: str = "sensors") -> int:
    return int(Lake.of(catalog.load(name)).table("predictions").version())


def left(home: Path) -> list[Path]:
    """The closed segments that are still in the spool."""
    return sorted((home / "spool").glob("*/*/*.jsonl"))


def test_segments_of_all_models_and_servers_are_loaded_in_one_commit_each(here: Path) -> None:
    model_folder(here / "models", "zoo")
    kept = spool(here / "spool", 3, [line(9)], ".open")
    for number in (2, 1):
        spool(here / "spool", number, [line(number), line(number + 10)])
    spool(here / "spool", 1, [line(50)], server="two")
    spool(here / "spool", 1, [line(60)], model="zoo")
    found = load_all(NOW)
    assert found == LoadedSpools(
        loaded=(LoadedModel(model="zoo", segments=1, rows=1), LoadedModel(model="sensors", segments=3, rows=5))
    )
    assert found.note == "LOADED 6 predictions of 2 models from 4 spool segments."
    assert LoadedSpools.of(json.loads(json.dumps(found.as_dict()))) == found
    found.require_complete()
    assert left(here) == [] and kept.exists()
    assert rows() == ["r1", "r11", "r12", "r2", "r50"] and rows("zoo") == ["r60"]
    assert (version(), version("zoo")) == (1, 1)
    assert load_all(NOW) == LoadedSpools() and LoadedSpools().note == ""


def test_a_thousand_segments_are_one_commit(here: Path) -> None:
    for number in range(1, 251):
        for server in ("one", "two", "three", "four"):
            spool(here / "spool", number, [line(number, request_id=f"{server}{number}")], server=server)
    (loaded,) = load_all(NOW).loaded
    assert (loaded.segments, loaded.rows) == (1000, 1000) and version() == 1
    table = Lake.of(catalog.load("sensors")).table("predictions")
    assert [table.transaction_version(f"{server}/sensors") for server in ("one", "two", "three", "four")] == [250] * 4
    assert len(set(rows())) == 1000 and left(here) == []


def test_rows_beyond_the_memory_for_a_commit_are_the_next_commit(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    segments = [spool(here / "spool", number, [line(number)] * 20) for number in range(1, 8)]
    size = spools.read(closed_segments(here / "spool", "sensors")[0], spools.Accepted.of(catalog.load("sensors"), NOW))
    monkeypatch.setattr(spools, "COMMIT_BYTES", 3 * size.rows.nbytes)
    (loaded,) = load_all(NOW).loaded
    assert (loaded.segments, loaded.rows, version()) == (7, 140, 3)
    assert not any(path.exists() for path in segments)


def test_a_line_that_cannot_be_loaded_is_kept_with_its_reason_and_blocks_nothing(here: Path) -> None:
    bad = [line(2, event_time="2026-05-04T02:30:00"), '{"request_id": "r3"', line(6, request_id="\ud800")]
    path = spool(here / "spool", 7, [line(1), *bad, line(8)])
    spool(here / "spool", 8, [line(20, key={})], server="two")
    spool(here / "spool", 9, [line(21)], server="two")
    found = load_all(NOW)
    folders = [path.parent / "rejected", here / "spool" / "two" / "sensors" / "rejected"]
    assert found.loaded == (
        LoadedModel(
            model="sensors",
            segments=3,
            rows=3,
            rejected=4,
            kept=tuple(map(str, folders)),
            reason="line 2: ValueError: 2026-05-04T02:30:00 has no timezone",
        ),
    )
    found.require_complete()
    assert "**4 rejected lines of sensors** (line 2: ValueError" in found.note and str(folders[1]) in found.note
    kept = [json.loads(text) for text in (folders[0] / path.name).read_bytes().splitlines()]
    assert [(one["line"], one["text"]) for one in kept] == list(zip([2, 3, 4], bad, strict=True))
    assert all(one["reason"] for one in kept)
    assert left(here) == [] and rows() == ["r1", "r21", "r8"] and load_all(NOW) == LoadedSpools()


def test_a_segment_of_another_models_shape_is_rejected_whole_and_makes_no_commit(here: Path) -> None:
    foreign = [line(n, key={"parcel": n}, features={"weight": 1.5}) for n in range(3)]
    spool(here / "spool", 1, foreign)
    (loaded,) = load_all(NOW).loaded
    assert (loaded.rows, loaded.rejected, version()) == (0, 3, 0)
    assert "key column 'number', declared integer: it is missing" in loaded.reason
    spool(here / "spool", 2, [line(1)])
    load_all(NOW)
    assert rows() == ["r1"]


def test_a_segment_that_another_loader_has_removed_is_passed_over(here: Path) -> None:
    for number in (1, 2, 3):
        spool(here / "spool", number, [line(number)])
    segments = closed_segments(here / "spool", "sensors")
    segments[1].path.unlink()
    (commit,) = spools.load(catalog.load("sensors"), segments, NOW)
    assert (commit.segments, commit.rows) == (2, 2) and rows() == ["r1", "r3"]


# -- one model does not stop the others


def damage(name: str) -> None:
    """Overwrite the log of a model's table."""
    lake = Lake.of(catalog.load(name))
    lake.create()
    for path in (lake.root / "predictions" / "_delta_log").glob("*.json"):
        path.write_bytes(b"no JSON\n")


def test_a_model_whose_table_is_damaged_does_not_stop_the_others(here: Path) -> None:
    for name in ("aardvark", "zebra"):
        model_folder(here / "models", name)
        spool(here / "spool", 1, [line(1)], model=name)
    waits = spool(here / "spool", 1, [line(1)])
    damage("sensors")
    found = load_all(NOW)
    assert [one.model for one in found.loaded] == ["aardvark", "zebra"] and rows("zebra") == ["r1"]
    assert {one.model for one in found.problems} == {"sensors"}
    with pytest.raises(
        IntegrityError, match=r"predictions of sensors could not all be loaded\. sensors: .* LOADED 2 pre"
    ):
        found.require_complete()
    assert left(here) == [waits]
    shutil.rmtree(here / "lake" / "sensors" / "predictions")  # repaired
    assert [one.model for one in load_all(NOW).loaded] == ["sensors"] and rows() == ["r1"]


def test_a_problem_that_can_pass_is_tried_again() -> None:
    lasting, passing = (Problem(model=name, reason="it is full.", retry=name == "b") for name in "ab")
    with pytest.raises(
        TransientError, match=r"predictions of 2 models could not all be loaded\. a: it is full\. b: it"
    ):
        LoadedSpools(problems=(lasting, passing)).require_complete()
    with pytest.raises(IntegrityError, match="predictions of a could not"):
        LoadedSpools(problems=(lasting,)).require_complete()


def test_a_segment_that_cannot_be_read_does_not_stop_the_others_and_is_not_lost(here: Path) -> None:
    for number in (1, 3):
        spool(here / "spool", number, [line(number)])
    broken = here / "spool" / "one" / "sensors" / "000000000002.jsonl"
    broken.mkdir()
    found = load_all(NOW)
    assert [(one.segments, one.rows) for one in found.loaded] == [(2, 2)]
    assert "000000000002.jsonl" in found.problems[0].reason and rows() == ["r1", "r3"]
    broken.rmdir()
    spool(here / "spool", 2, [line(2)])
    assert load_all(NOW).problems == () and rows() == ["r1", "r2", "r3"]
    spool(here / "spool", 2, [line(2)])  # as if it had been killed before it was removed
    assert load_all(NOW).loaded[0].rows == 0 and rows() == ["r1", "r2", "r3"]


def test_segments_of_a_model_that_does_not_load_wait_until_it_does(here: Path) -> None:
    (model_folder(here / "models", "halfway") / "source.py").unlink()
    for name in ("gone", "halfway", "sensors"):
        spool(here / "spool", 1, [line(1)], model=name)
    found = load_all(NOW)
    assert [(one.model, one.segments) for one in found.waiting] == [("gone", 1), ("halfway", 1)]
    assert [one.model for one in found.loaded] == ["sensors"] and found.problems == ()
    found.require_complete()
    assert "Waiting: 1 segment of gone. no model 'gone'" in found.note and "source.py is missing" in found.note
    assert load_all(NOW).note.startswith("NOTHING TO load. Waiting: 1 segment of gone. ")
    model_folder(here / "models", "gone")
    model_folder(here / "models", "halfway")
    assert [one.model for one in load_all(NOW).loaded] == ["gone", "halfway"] and left(here) == []


def test_where_no_segment_is_closed_no_model_and_no_table_is_opened(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(20):
        name = f"m{n}"
        spool(here / "spool", 2, [line(1)], ".open", model=name)
        spool(here / "spool", 1, [], ".jsonl.note", server="two", model=name)
        (here / "lake" / name / "predictions").mkdir(parents=True)
        model_folder(here / "models", name)
    assert load_all(NOW) == LoadedSpools()  # looks once whether anything is too old

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("opened")

    monkeypatch.setattr(catalog, "load", refuse)
    monkeypatch.setattr(DeltaTable, "__init__", refuse)
    monkeypatch.setattr(DeltaTable, "is_deltatable", refuse)
    assert load_all(NOW + timedelta(hours=11)) == LoadedSpools()
    shutil.rmtree(here / "spool")
    shutil.rmtree(here / "lake")
    assert load_all(NOW) == LoadedSpools()


# -- days that are too old


def old_and_new(home: Path, days: int) -> None:
    """Load a prediction of each of these days up to 31 May; the model keeps 10 days."""
    model_folder(home / "models", "sensors", keep_days=400)
    moments = [NOW - timedelta(days=n + 1) for n in range(days)]
    spool(home / "spool", 1, [line(n, predicted_at=moment.isoformat()) for n, moment in enumerate(moments)])
    assert load_all(NOW - timedelta(days=1)).loaded[0].rows == days
    model_folder(home / "models", "sensors", keep_days=10)


def test_predictions_older_than_they_are_kept_are_deleted_once_a_day_in_one_commit(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_and_new(here, 15)
    before = version()
    found = load_all(NOW)
    assert [(one.model, one.days) for one in found.expired] == [("sensors", 5)] and version() == before + 1
    assert rows() == sorted(f"r{n}" for n in range(10)), "22 May, of which the last hours are 10 days old, is kept"
    assert found.note == "" and load_all(NOW + timedelta(hours=11)) == LoadedSpools()
    (tomorrow,) = load_all(NOW + timedelta(days=1)).expired
    assert tomorrow.days == 1 and version() == before + 2
    with monkeypatch.context() as patch:  # a day on which nothing has become too old
        patch.setattr(predictions, "expire", lambda *args: pytest.fail("the table was opened"))
        model_folder(here / "models", "sensors", keep_days=11)
        assert load_all(NOW + timedelta(days=2)) == LoadedSpools()


def test_a_process_killed_between_the_commit_and_the_note_changes_nothing(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_and_new(here, 15)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", lambda *args: (_ for _ in ()).throw(SystemExit("killed")))
        with pytest.raises(SystemExit):
            load_all(NOW)
    after = version()
    assert len(rows()) == 10 and load_all(NOW) == LoadedSpools() and version() == after


def test_a_line_that_is_too_old_is_not_loaded_to_be_deleted(here: Path) -> None:
    model_folder(here / "models", "sensors", keep_days=10)
    spool(here / "spool", 1, [line(1, predicted_at=(NOW - timedelta(days=11)).isoformat())])
    (loaded,) = load_all(NOW).loaded
    assert (loaded.rows, loaded.rejected) == (0, 1) and "monitoring.keep" in loaded.reason


def test_rejected_lines_are_kept_as_long_as_predictions(here: Path) -> None:
    spool(here / "spool", 1, [line(1), "x"])
    load_all(NOW - timedelta(days=1))
    (kept,) = (here / "spool").glob("*/*/rejected/*")
    for day, age, there in ((0, 399, True), (1, 402, False)):
        moment = (NOW - timedelta(days=age)).timestamp()
        os.utime(kept, (moment, moment))
        load_all(NOW + timedelta(days=day))
        assert kept.exists() is there


# -- killed at any point, and two at once


class Killed(BaseException):
    """Ends the loader where a SIGKILL could."""


WRITES = (
    (files, "write"),
    (predictions, "write_deltalake"),
    (DeltaTable, "delete"),
    (Path, "unlink"),
    (Path, "write_text"),
)


def kill_at(patch: pytest.MonkeyPatch, number: int) -> list[str]:
    """End the process before or after one of its writes, counted from 0; returns the list that the writes go to."""
    made: list[str] = []

    def wrap(owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def write(*args: Any, **kwargs: Any) -> Any:
            made.append(f"before {name}")
            if len(made) == number + 1:
                raise Killed
            result = real(*args, **kwargs)
            made.append(f"after {name}")
            if len(made) == number + 1:
                raise Killed
            return result

        patch.setattr(owner, name, write)

    for owner, name in WRITES:
        wrap(owner, name)
    return made


def state(home: Path) -> tuple[Any, ...]:
    """The rows by model, and the rejected lines; which segment of the spool a line came from does not matter."""
    rejected = {
        str(path.relative_to(home)): path.read_bytes() for path in (home / "spool").glob("*/*/rejected/*.jsonl")
    }
    return rows(), rows("others"), rejected, left(home)


@pytest.mark.parametrize("size", [1, spools.COMMIT_BYTES], ids=["a commit for each segment", "one commit"])
def test_killed_before_or_after_any_write_and_run_again_the_state_is_the_same(
    here: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(spools, "COMMIT_BYTES", size)
    old_and_new(here, 12)
    model_folder(here / "models", "others")
    spool(here / "spool", 1, [line(1)], model="others")
    recent = [line(n, predicted_at=(NOW - timedelta(hours=1)).isoformat()) for n in (102, 103, 104)]
    spool(here / "spool", 2, [recent[0], "x", recent[1]])
    spool(here / "spool", 3, [recent[2]])
    spool(here / "spool", 1, ["y"], server="two")
    template = here / "template"
    for part in ("lake", "spool"):
        shutil.copytree(here / part, template / part)
    load_all(NOW)
    wanted = state(here)
    assert wanted[0] == sorted([*(f"r{n}" for n in range(10)), "r102", "r103", "r104"]) and len(wanted[2]) == 2
    for number in range(1000):
        for part in ("lake", "spool"):
            shutil.rmtree(here / part)
            shutil.copytree(template / part, here / part)
        with monkeypatch.context() as patch:
            made = kill_at(patch, number)
            with contextlib.suppress(Killed):
                load_all(NOW)
        again = load_all(NOW)
        assert state(here) == wanted, made
        assert again.problems == (), made
        if len(made) <= number:
            break
    assert {"before write_deltalake", "after delete", "after unlink", "after write"} <= set(made) and number > 15


def start(script: str, home: Path) -> subprocess.Popen[str]:
    """Start a process that prepares, waits for the file ``gate`` and runs a script."""
    preamble = """
        import sys
        from pathlib import Path
        from include.data import spools
        from tests.data.sensors import NOW
        while not Path(sys.argv[1]).exists():
            pass
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(preamble) + textwrap.dedent(script), str(home / "gate")],
        cwd=PROJECT,
        env={
            **os.environ,
            "PYTHONPATH": str(PROJECT),
            "PERENNIAL_HOME": str(home),
            "PERENNIAL_MODELS": str(home / "models"),
        },
        text=True,
        stderr=subprocess.PIPE,
    )


def test_several_loaders_at_once_load_each_row_once(here: Path) -> None:
    Lake.of(catalog.load("sensors")).create()
    count = 60
    for number in range(1, count + 1):
        spool(here / "spool", number, [line(number), "x"], server=("one", "two", "three")[number % 3])
    script = "spools.COMMIT_BYTES = 5_000\nspools.load_all(NOW).require_complete()"
    loaders = [start(script, here) for _ in range(3)]
    (here / "gate").touch()
    for loader in loaders:
        _, error = loader.communicate(timeout=300)
        # Delta's runtime sometimes aborts at exit after success (134), so only a raised error counts.
        assert loader.returncode in (0, -signal.SIGABRT, 134) and "Traceback" not in error, error
    assert rows() == sorted(f"r{n}" for n in range(1, count + 1)) and left(here) == []
    assert len(list((here / "spool").glob("*/sensors/rejected/*.jsonl"))) == count


def test_sigkill_while_loading_neither_loses_nor_doubles_a_row(here: Path) -> None:
    lake = Lake.of(catalog.load("sensors"))
    lake.create()
    count = 400
    for number in range(1, count + 1):
        spool(here / "spool", number, [line(number)])
    (here / "gate").touch()
    loader = start("spools.COMMIT_BYTES = 1\nspools.load_all(NOW)", here)
    while lake.table("predictions").version() < 5:
        assert loader.poll() is None, loader.stderr and loader.stderr.read()
    loader.kill()
    loader.communicate()
    there = lake.table("predictions").count()
    assert 5 <= there < count and len(left(here)) in (count - there, count - there + 1)
    load_all(NOW)
    assert rows() == sorted(f"r{n}" for n in range(1, count + 1)) and left(here) == []
