"""`new-model` refuses bad input with a reason and leaves nothing behind."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from include.authoring.__main__ import main
from include.authoring.findings import Request
from include.authoring.new import new_model
from include.errors import PerennialError
from include.spec import Task

TODAY = date(2024, 6, 1)


def table(days: int = 60, a_day: int = 40, first: str = "2023-01-02", step: int = 1) -> pd.DataFrame:
    random = np.random.default_rng(0)
    at = [
        pd.Timestamp(first) + pd.Timedelta(days=step * day, hours=8, minutes=minute * 10)
        for day in range(days)
        for minute in range(a_day)
    ]
    x = random.normal(size=len(at))
    late = (x + random.normal(size=len(at)) > 0.5).astype(int)
    return pd.DataFrame({"id": np.arange(len(at)), "at": at, "x": x.round(3), "late": late})


def rare(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(late=np.where(np.arange(len(frame)) < 5, "odd", np.where(frame.late == 1, "yes", "no")))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PERENNIAL_HOME", str(tmp_path / "home"))
    return tmp_path


def request_for(folder: Path, frame: pd.DataFrame | None = None, **changed: Any) -> Request:
    path = folder / "orders.csv"
    (table() if frame is None else frame).to_csv(path, index=False)
    request = Request("orders_x", str(path), "late", "at", into=folder / "models")
    return dataclasses.replace(request, **changed)


def refusal(request: Request) -> str:
    """Check that `new-model` refuses and writes nothing; return the error message."""
    with pytest.raises(PerennialError) as caught:
        new_model(request, TODAY)
    into = request.into
    assert into is not None and (not into.exists() or not [p for p in into.iterdir() if p.name != "kept"])
    return str(caught.value)


def test_the_unchanged_table_is_accepted(home: Path) -> None:
    assert "orders_x: written to" in new_model(request_for(home), TODAY)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda f: f.assign(late=1), "has one value only"),
        (lambda f: f.assign(late=np.nan), "there is nothing to learn from"),
        (lambda f: f.assign(late=[f"k{n % 40}" for n in range(len(f))]), "has 40 classes"),
        (rare, "'odd' (5 rows)"),
        (lambda f: f.assign(late=f["at"]), "is a time"),
        (lambda f: f.assign(at="soon"), "does not contain readable times, e.g. 'soon'"),
        (lambda f: f.assign(at=f["at"].where(np.arange(len(f)) % 5 > 0)), "belong to no day"),
        (lambda f: f.assign(at=pd.to_datetime(f["at"]).dt.normalize().dt.strftime("01/02/%Y")), "in several ways"),
        (lambda f: f.iloc[:0], "rows"),
        (lambda f: f.head(200), "too few or too short"),
        (lambda f: f.head(3), "too few rows of the target"),
    ],
)
def test_data_that_cannot_train_a_model_are_refused(
    home: Path, change: Callable[[pd.DataFrame], pd.DataFrame], reason: str
) -> None:
    assert reason in refusal(request_for(home, change(table())))


def test_one_row_a_month_is_too_sparse_and_the_message_names_the_minimum(home: Path) -> None:
    message = refusal(request_for(home, table(days=90, a_day=1, first="2016-01-04", step=30)))
    assert "too few or too short" in message and "labelled rows on 7 + 3 + 5 different days would be enough" in message


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"target": "lat"}, "TARGET=lat: {folder}/orders.csv has no such column; did you mean 'late'?"),
        ({"time": "att"}, "TIME=att: {folder}/orders.csv has no such column; did you mean 'at'?"),
        ({"key": ("idd",)}, "KEY=idd: {folder}/orders.csv has no such column; did you mean 'id'?"),
        ({"key": ("late",)}, "KEY names late, which cannot be part of a key"),
        ({"key": ("x",)}, "KEY=x does not identify a row"),
        ({"target": "at"}, "TARGET and TIME are both at"),
        ({"name": "Late Orders"}, "NAME='Late Orders' is not a model name"),
        ({"name": ""}, "NAME is missing"),
        ({"name": "bike_demand"}, "there is a model 'bike_demand' already"),
        ({"timezone": "Mars/Base"}, "TIMEZONE=Mars/Base is not an IANA timezone"),
        ({"positive": "2"}, "POSITIVE=2 is not a value of late; known: 0, 1"),
        ({"task": Task.REGRESSION, "target": "x", "source": "nowhere.csv"}, "there is no file or folder"),
        ({"source": "{folder}/order.csv"}, "did you mean 'orders.csv'?"),
        ({"source": "orders.xlsx"}, "there is no file or folder"),
        ({"source": "s3://bucket/orders.csv"}, "is not a known kind of source"),
        ({"source": "sql:orders"}, "does not name a table: use sql:<connection>/<schema.table>"),
        ({"source": "sql:nowhere/orders"}, "set AIRFLOW_CONN_NOWHERE to its URI"),
    ],
)
def test_invalid_arguments_are_refused(home: Path, changed: dict[str, Any], reason: str) -> None:
    changed = {k: v.format(folder=home) if isinstance(v, str) else v for k, v in changed.items()}
    assert reason.format(folder=home) in refusal(request_for(home, **changed))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("a,b\n", "no rows below a header"),
        ("just words\nand more of them, with a comma\n\nthen, two, of them\n", "same number of fields"),
        ("1,2,3\n4,5,6\n7,8,9\n", "contains values (1, 2, 3), not names"),
        ("id,at,late\n" + "1,2023-01-02,0\n" * 50 + "2,2023-01-02\n", "Expected 3 columns, got 2"),
    ],
)
def test_files_that_are_not_tables_are_refused(home: Path, text: str, reason: str) -> None:
    request = request_for(home)
    Path(request.source).write_text(text)
    assert reason in refusal(request)


def test_a_file_of_another_kind_is_refused(home: Path) -> None:
    request = dataclasses.replace(request_for(home), source=str(home / "orders.xlsx"))
    (home / "orders.xlsx").write_bytes(b"PK")
    assert "is not a known kind of file: give .csv" in refusal(request)
    (home / "orders.parquet").write_bytes(b"PAR1 no more")
    assert "cannot be read as Parquet" in refusal(dataclasses.replace(request, source=str(home / "orders.parquet")))


def test_a_password_is_neither_printed_nor_stored(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = "postgresql://reader:s3cret@db.example/sales"
    arguments = ["new", "--name", "orders_x", "--target", "late", "--time", "at", "--into", str(home / "models")]
    assert main([*arguments, "--source", source]) == 1
    printed = capsys.readouterr()
    assert "AIRFLOW_CONN_WAREHOUSE" in printed.err and "s3cret" not in printed.err + printed.out
    assert not (home / "models").exists()


def test_nothing_is_ever_overwritten(home: Path) -> None:
    request = request_for(home)
    new_model(request, TODAY)
    assert request.into is not None
    before = {p: p.read_bytes() for p in request.into.rglob("*") if p.is_file()}
    with pytest.raises(PerennialError, match="exists already and is not overwritten"):
        new_model(request, TODAY)
    assert {p: p.read_bytes() for p in request.into.rglob("*") if p.is_file()} == before


def test_a_failure_while_writing_leaves_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from include.authoring import writing

    def full(folder: Path) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(writing, "formatted", full)
    request = request_for(home)
    with pytest.raises(OSError, match="No space left"):
        new_model(request, TODAY)
    assert request.into is not None and not list(request.into.iterdir())
