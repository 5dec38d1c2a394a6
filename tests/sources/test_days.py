"""The rows that `fetch` makes from raw rows: declared types, re-dated days, row numbers if there is no key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from include.data.schema import conform
from include.partitions import partition
from include.sources import EventTime, rows_of_day
from include.sources.replay import Replay
from include.sources.times import days_between
from include.spec import Column, ColumnType, Data, Known, Label, Model, Task

ZONE = "Europe/Berlin"


@dataclass(frozen=True)
class Raw:
    """A source that has already been read."""

    table: pa.Table
    time: EventTime = EventTime("at", "iso", ZONE)
    decimal: str = "."

    def between(self, first: date, last: date, connections: Mapping[str, str]) -> pa.Table:
        return self.table

    def by_day(self, first: date, last: date, connections: Mapping[str, str]) -> Iterator[tuple[date, pa.Table]]:
        return ((day, self.table) for day in days_between(first, last))

    def counts(self, connections: Mapping[str, str]) -> dict[date, int]:
        return {}

    def without_time(self, connections: Mapping[str, str]) -> int:
        return 0


def model(*key: str, **types: ColumnType) -> Model:
    key = key or ("at", "row")
    columns = [Column(name=name, type=kind, nullable=name not in key) for name, kind in types.items()]
    columns += [Column(name=n, type=ColumnType.INTEGER, nullable=False) for n in key if n not in (*types, "at")]
    return Model(
        name="orders",
        owner="tests",
        description="of the tests",
        start=date(2024, 1, 1),
        timezone=ZONE,
        data=Data(
            columns=(
                Column(name="at", type=ColumnType.TIMESTAMP, nullable=False),
                *columns,
                Column(name="y", type=ColumnType.INTEGER, known=Known.AFTER),
            ),
            key=key,
            event_time="at",
            label=Label(column="y", task=Task.CLASSIFICATION),
        ),
    )


def raw(**columns: list[Any]) -> pa.Table:
    return pa.table({"y": ["0"] * len(columns["at"]), **columns})


def test_texts_get_their_declared_types() -> None:
    table = raw(
        at=["2024-05-03 10:00", "2024-05-03 11:00"],
        whole=["3", "4,0"],
        number=["1.234,5", None],
        flag=["True", "no"],
        code=["007", "x"],
    )
    kinds = {"whole": ColumnType.INTEGER, "number": ColumnType.NUMBER, "flag": ColumnType.BOOLEAN}
    declared = model(**kinds, code=ColumnType.STRING)
    frame = rows_of_day(Raw(table, decimal=","), declared, partition("2024-05-03", ZONE), {}, row_number="row")
    assert frame["at"].dt.tz_convert("UTC").dt.hour.tolist() == [8, 9]
    assert frame["whole"].tolist() == [3, 4] and frame["number"].iloc[0] == 1234.5 and pd.isna(frame["number"].iloc[1])
    assert frame["flag"].tolist() == [True, False] and frame["code"].tolist() == ["007", "x"]
    assert not conform(declared, frame).problems


def test_validation_names_a_value_that_does_not_fit() -> None:
    table = raw(at=["2024-05-03 10:00"], whole=["three"])
    declared = model(whole=ColumnType.INTEGER)
    frame = rows_of_day(Raw(table), declared, partition("2024-05-03", ZONE), {}, row_number="row")
    assert "column 'whole' changed its type" in conform(declared, frame).problems[0]


@pytest.mark.parametrize("day", ["2025-03-30", "2025-10-26", "2025-07-01"])
def test_a_replayed_day_keeps_its_clock_times_even_if_the_clocks_change(day: str) -> None:
    about = partition(day, ZONE)
    replay = Replay(date(2024, 1, 1), date(2024, 12, 29), date(2024, 12, 30))
    original = replay.original(about.date)
    table = raw(
        at=[f"{original} {clock}" for clock in ("00:00", "02:30", "23:59")], seen=["2024-01-01 12:00", None, None]
    )
    source = Raw(table)
    frame = rows_of_day(source, model(seen=ColumnType.TIMESTAMP), about, {}, row_number="row", replay=replay)
    assert ((frame["at"] >= about.start) & (frame["at"] < about.end)).all()
    local = frame["at"].dt.tz_convert(ZONE)
    assert (local.dt.hour.iloc[0], local.dt.hour.iloc[2]) == (0, 23)
    moved = (about.date - replay.original(about.date)).days
    seen = frame["seen"].dropna().dt.tz_convert(ZONE).dt.tz_localize(None)
    assert seen.tolist() == [pd.Timestamp("2024-01-01 12:00") + pd.Timedelta(days=moved)]


def test_a_replay_moves_dates_and_leaves_other_values_unchanged() -> None:
    replay, about = Replay(date(2024, 1, 1), date(2024, 12, 29), date(2024, 12, 30)), partition("2025-05-04", ZONE)
    moved = about.date - replay.original(about.date)
    days, declared = ["2024-02-28", " 2024-02-29 ", "2024-02-30", None], model(seen=ColumnType.DATE)
    at = [f"{replay.original(about.date)} 10:00"] * 4
    parsed = [date(2024, 2, 28), date(2024, 2, 29), date(2024, 3, 1), None]
    typed = pa.table({"at": at, "seen": pa.array(parsed, pa.date32())})
    for table, wanted in (
        (raw(at=at, seen=days), [str(d + moved) for d in parsed[:2] if d] + ["2024-02-30"]),
        (typed, [str(d + moved) for d in parsed if d]),
    ):
        frame = rows_of_day(Raw(table), declared, about, {}, row_number="row", replay=replay)
        assert sorted(frame["seen"].dropna()) == sorted(wanted) and frame["seen"].isna().sum() == 1
    frame = rows_of_day(Raw(raw(at=at[:1], seen=["2024-02-30"])), declared, partition("2024-05-04", ZONE), {})
    assert frame["seen"].tolist() == ["2024-02-30"]


def test_a_repeated_hour_is_distinguished_if_possible_and_dropped_from_a_replay() -> None:
    table = raw(at=["2024-10-27T00:30:00Z", "2024-10-27T01:30:00Z"], sensor=["a", "a"])
    source = Raw(table, EventTime("at", "iso_offset", ZONE))
    declared = model("at", "sensor", sensor=ColumnType.STRING)
    kept = rows_of_day(source, declared, partition("2024-10-27", ZONE), {})
    assert len(kept) == 2 and kept["at"].is_unique
    replay = Replay(date(2024, 1, 1), date(2024, 12, 29), date(2024, 12, 30))
    assert len(rows_of_day(source, declared, partition("2025-05-04", ZONE), {}, replay=replay)) == 1


def test_row_numbers_do_not_depend_on_the_order_of_the_rows() -> None:
    at, code = ["2024-05-03 10:00"] * 3 + ["2024-05-03 09:00"], ["b", "a", "c", "z"]
    declared, day = model(code=ColumnType.STRING), partition("2024-05-03", ZONE)
    first = rows_of_day(Raw(raw(at=at, code=code)), declared, day, {}, row_number="row")
    again = rows_of_day(Raw(raw(at=at[::-1], code=code[::-1])), declared, day, {}, row_number="row")
    assert first["code"].tolist() == ["z", "a", "b", "c"] and first["row"].tolist() == [0, 1, 2, 3]
    pd.testing.assert_frame_equal(first[sorted(first)], again[sorted(again)])
