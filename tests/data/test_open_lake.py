"""A lake whose tables stay open: the same rows as one that opens them each time, also while others write."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from deltalake import DeltaTable

from include.data import monitoring, predictions
from include.data.lake import Lake
from include.data.monitoring import Kind, Measured
from include.data.open_lake import OpenLake
from include.data.predictions import Part
from include.statistics.results import Cause, Result, State
from tests.data.sensors import small_model


def measured(key: str, value: float) -> Measured:
    result = Result(
        subject="",
        measure="rows",
        formula=1,
        value=value,
        high=9.0,
        state=State.HEALTHY,
        cause=Cause.DATA,
        sentence="s",
    )
    return Measured(partition=key, kind=Kind.COUNTER, rows=1, result=result)


@pytest.fixture
def lakes(tmp_path: Path) -> tuple[OpenLake, Lake]:
    model = small_model()
    found = OpenLake(model, tmp_path / "lake"), Lake(model, tmp_path / "lake")
    found[0].create()
    return found


def write(lake: Lake, day: int, value: float) -> None:
    key = f"2026-05-{day:02d}"
    monitoring.write(lake, {(key, Kind.COUNTER): [measured(key, value)]}, "code")


def values(lake: Lake) -> list[float | None]:
    return [one.result.value for one in monitoring.read(lake, "2026-05-01", "2026-05-31")]


def test_what_others_write_is_seen(lakes: tuple[OpenLake, Lake]) -> None:
    mine, theirs = lakes
    write(mine, 1, 1.0)
    assert values(mine) == [1.0]
    write(theirs, 2, 2.0)
    write(mine, 3, 3.0)
    write(theirs, 1, 4.0)
    assert values(mine) == values(theirs) == [4.0, 2.0, 3.0]
    before = mine.table(monitoring.NAME).to_pyarrow_dataset()
    write(theirs, 4, 5.0)
    assert values(mine) == [4.0, 2.0, 3.0, 5.0] and before.count_rows() == 3


def test_the_table_is_opened_once(lakes: tuple[OpenLake, Lake], monkeypatch: pytest.MonkeyPatch) -> None:
    mine, _ = lakes
    opened: list[str] = []
    ours = Lake.table

    def table(lake: Lake, name: str) -> DeltaTable:
        opened.append(name)
        return ours(lake, name)

    monkeypatch.setattr(Lake, "table", table)
    for day in (1, 2):
        write(mine, day, float(day))
    assert values(mine) == [1.0, 2.0] and opened == [monitoring.NAME]


def test_a_table_that_was_replaced_is_opened_again(lakes: tuple[OpenLake, Lake]) -> None:
    """As predictions of an older layout are."""
    mine, theirs = lakes
    predictions.append(mine, [Part("one/sensors", 1, predictions.COLUMNS.empty_table())])
    shutil.rmtree(mine.root / "predictions")
    mine.create()
    assert mine.table("predictions").version() == theirs.table("predictions").version() == 0
