"""The interface for notebooks on a real lake and ledger: what it returns, its errors, and what importing it costs."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest

from include import catalog, perennial
from include.data import predictions
from include.data.lake import Lake
from include.data.predictions import Part
from include.data.segments import Accepted
from include.data.segments import read as read_segment
from include.errors import ConfigurationError, DataError
from include.partitions import partition
from include.perennial import __main__ as command
from include.perennial import printing
from include.scoring.record import Segment
from include.settings import PROJECT
from tests.data.spooled import spool
from tests.training import toy_days

DAYS = ("2026-05-01", "2026-05-02")
HEAVY = {"pandas", "numpy", "pyarrow", "deltalake", "onnxruntime", "sqlalchemy", "mlflow", "sklearn", "pydantic"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home without a stack: two days of the toy, three rows in quarantine, four predictions of three events."""
    folder = tmp_path_factory.mktemp("home")
    model = catalog.load("toy")
    lake = Lake(model, folder / "lake" / "toy")
    toy_days.fill(lake, model, *DAYS)
    bad = pd.DataFrame(
        {
            "_expectation": ["x goes up to 9", "x goes up to 9", "items is never negative"],
            "_column": ["x", "x", "items"],
            "_key": ['{"id": "a"}', '{"id": "b"}', '{"id": "c"}'],
            "_row": ['{"id": "a", "x": 12.5}', '{"id": "b", "x": 99}', '{"id": "c", "items": -1}'],
        }
    )
    lake.quarantine(partition(DAYS[0], "UTC"), bad.head(1), "b" * 64)
    lake.quarantine(partition(DAYS[1], "UTC"), bad.tail(2), "c" * 64)
    rows = toy_days.day(model, DAYS[1]).head(2)
    known, doubled = rows.to_dict("records")
    segment = Segment("one/toy", 1, spool(folder, 1, [
        line(known, 1, 0.25), line(doubled, 2, 0.5), line(doubled, 3, 0.75, timedelta(minutes=1)),
        line({**known, "id": "unknown"}, 4, 0.125),
    ], model="toy"))  # fmt: skip
    content = read_segment(segment, Accepted.of(model, partition(DAYS[1], "UTC").end))
    assert not content.rejected, content.rejected
    predictions.append(lake, [Part(segment.app_id, segment.number, content.rows)])
    return folder


def line(row: dict[str, object], number: int, score: float, after: timedelta = timedelta()) -> str:
    """A line of a spool: a prediction five minutes before the event, or ``after`` that."""
    at = row["at"]
    assert isinstance(at, pd.Timestamp)
    return json.dumps({
        "request_id": f"r{number}", "row": 0, "key": {"id": row["id"]}, "event_time": at.isoformat(), "version": 3,
        "digest": "d" * 64, "features": {}, "score": score, "scores": None,
        "predicted_at": (at - timedelta(minutes=5) + after).isoformat(),
    })  # fmt: skip


@pytest.fixture(autouse=True)
def environment(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only ``PERENNIAL_HOME`` names the home; the notebook lies in another folder."""
    monkeypatch.setenv("PERENNIAL_HOME", str(home))
    monkeypatch.delenv("PERENNIAL_DATABASE_URL", raising=False)
    monkeypatch.chdir(tmp_path)


def test_importing_it_loads_nothing_heavy_from_any_folder(tmp_path: Path) -> None:
    code = "import sys; from include import perennial; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path, env={"PYTHONPATH": str(PROJECT)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert set(done.stdout.split()) & HEAVY == set() and "include" in done.stdout.split()


def test_rows_are_those_of_the_days_in_their_types(home: Path) -> None:
    both, one = perennial.rows("toy", *DAYS), perennial.rows("toy", DAYS[1])
    expected = toy_days.day(catalog.load("toy"), DAYS[1])
    assert set(both["partition"]) == set(DAYS) and set(one["id"]) == set(expected["id"])
    assert str(one["at"].dtype).endswith("UTC]") and set(one["late"].dropna()) == {0, 1}
    with pytest.raises(DataError, match="no rows from 2026-06-01 to 2026-06-01: published are days from 2026-05-01 to"):
        perennial.rows("toy", "2026-06-01")
    with pytest.raises(ConfigurationError, match="2026-05-02, is after the last one, 2026-05-01"):
        perennial.rows("toy", DAYS[1], DAYS[0])
    with pytest.raises(ConfigurationError, match="'toi'.*did you mean 'toy'"):
        perennial.rows("toi", DAYS[0])
    with pytest.raises(ConfigurationError, match="not a partition key"):
        perennial.rows("toy", "May 1")


def test_quarantine_has_reason_and_value_newest_day_first() -> None:
    found = perennial.quarantine("toy")
    assert found[["partition", "column", "value"]].to_numpy().tolist() == [
        [DAYS[1], "x", "99"], [DAYS[1], "items", "-1"], [DAYS[0], "x", "12.5"],
    ]  # fmt: skip
    assert len(perennial.quarantine("toy", DAYS[0])) == 1
    nothing = perennial.quarantine("toy", "2026-06-01")
    assert nothing.empty and list(nothing) == list(found)


def test_the_prediction_that_counts_has_its_label() -> None:
    found = perennial.predictions("toy")
    pd.testing.assert_frame_equal(found, perennial.predictions("toy", *DAYS))
    rows = perennial.rows("toy", DAYS[1]).set_index("id")
    by_id = found.assign(id=[json.loads(key)["id"] for key in found["key"]]).set_index("id")
    assert sorted(by_id["score"]) == [0.125, 0.25, 0.75], "the last prediction before the event counts"
    assert pd.isna(by_id.loc["unknown", "label"])
    for name in set(by_id.index) - {"unknown"}:
        label = rows.loc[name, "late"]
        assert by_id.loc[name, "label"] == label or (pd.isna(by_id.loc[name, "label"]) and pd.isna(label))
    assert by_id["label"].notna().any() and by_id["predictions"].sum() == 4


def test_what_cannot_be_loaded_is_said_with_the_nearest() -> None:
    with pytest.raises(ConfigurationError, match="no model 'toyy'; did you mean 'toy'"):
        perennial.load("toyy")
    with pytest.raises(ConfigurationError, match="no version of toy serves"):
        perennial.load("toy")
    with pytest.raises(ConfigurationError, match="version 'latest': give a number or 'champion'"):
        perennial.load("toy", "latest")
    with pytest.raises(ConfigurationError, match="no packaged version 3"):
        perennial.load("toy", 3)
    with pytest.raises(ConfigurationError, match="no stack runs on .*make run"):
        perennial.decisions("toy")


def test_the_commands_print_the_newest_rows(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(command, "MOST", 2)
    assert command.main(["quarantine", "--model", "toy"]) == 0
    head, first, second, _, more = capsys.readouterr().out.splitlines()
    assert head.split() == ["partition", "expectation", "column", "value", "key"]
    assert first.split()[0] == second.split()[0] == DAYS[1] and "99" in first and "-1" in second
    assert more.startswith("1 more row in quarantine, of 2 days")
    assert command.main(["quarantine", "--model", "toy", "--day", DAYS[0]]) == 0
    assert "12.5" in (printed := capsys.readouterr().out) and "These are all" in printed
    assert command.main(["quarantine", "--model", "toy", "--day", "2026-06-01"]) == 0
    assert "No row of 2026-06-01 is in quarantine. Days that have some: 2026-05-02 (2), 2026-05-01 (1)." in (
        capsys.readouterr().out
    )
    assert command.main(["predictions", "--model", "toy"]) == 0
    head, *shown, _, more, _ = capsys.readouterr().out.splitlines()
    assert head.split()[:2] == ["key", "event_time"] and len(shown) == 2 and more.startswith("2 more predictions")
    assert all(len(line) <= 100 for line in (head, *shown))
    assert command.main(["predictions", "--model", "toyy"]) == 1
    assert "did you mean 'toy'" in capsys.readouterr().err


@pytest.mark.parametrize("width", [30, 60, 200])
def test_a_table_is_aligned_and_never_wider_than_the_terminal(width: int) -> None:
    frame = pd.DataFrame({"name": ["short", "long " * 40], "number": [1.5, None], "text": ["a\nb", None]})
    head, first, second = printing.table(frame, width)
    assert max(map(len, (head, first, second))) <= width
    assert first.split()[:2] == ["short", "1.5"] and "a b" in first and "\N{HORIZONTAL ELLIPSIS}" in second
    end = head.index("number") + len("number")
    assert first[:end].endswith("1.5") and second[:end].endswith("-"), "numbers are aligned to the right"
