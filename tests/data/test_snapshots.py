"""Snapshots of training data: their name depends on the values only, not on the files of the table."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd
import pyarrow.parquet as pq
import pytest

from include.data import snapshots
from include.data.lake import Lake
from include.data.snapshots import Snapshot
from include.errors import DataError, IntegrityError
from include.partitions import partition
from include.spec import Column, ColumnType, Model
from tests.data.sensors import NOW, rows, small_model

DAYS = ["2026-05-01", "2026-05-02", "2026-05-04"]


@pytest.fixture
def filled(lake: Lake, model: Model) -> Lake:
    for seed, key in enumerate(DAYS):
        day = partition(key, model.timezone)
        lake.publish(day, rows(day, seed=seed), key, NOW)
    return lake


def test_a_snapshot_names_what_it_has_and_what_is_missing(filled: Lake) -> None:
    found = filled.snapshot("2026-05-01", "2026-05-05")
    assert (found.rows, found.table_version) == (60, 3)
    assert found.missing == ("2026-05-03", "2026-05-05") and found.immature == ()
    assert found.path == f"snapshots/{found.digest}.parquet"
    assert Snapshot.of(found.as_dict()) == found


def test_rows_are_sorted_and_days_and_columns_can_be_chosen(filled: Lake) -> None:
    found = filled.snapshot(DAYS[0], DAYS[-1])
    frame = filled.read_snapshot(found)
    assert frame.columns.tolist() == [
        "partition",
        "sensor",
        "number",
        "at",
        "heat",
        "count",
        "on",
        "installed",
        "broke",
    ]
    order = ["partition", "sensor", "number"]
    pd.testing.assert_frame_equal(frame, frame.sort_values(order, ignore_index=True))
    part = filled.read_snapshot(found.digest, first="2026-05-02", last="2026-05-03", columns=["heat", "partition"])
    assert part.columns.tolist() == ["heat", "partition"] and part["partition"].unique().tolist() == ["2026-05-02"]
    assert filled.read_snapshot(found, first="2027-01-01").empty
    with pytest.raises(DataError, match="did you mean 'heat'"):
        filled.read_snapshot(found, columns=["heta"])


def test_the_digest_depends_on_values_only(filled: Lake, model: Model) -> None:
    before = filled.snapshot(DAYS[0], DAYS[-1])
    filled.table("rows").optimize.compact()
    for seed, key in reversed(list(enumerate(DAYS))):  # another order of commits and rows, another batch and time
        day = partition(key, model.timezone)
        shuffled = rows(day, seed=seed).sample(frac=1, random_state=1).assign(colour="red")
        filled.publish(day, shuffled, "other", NOW + timedelta(days=3))
    after = filled.snapshot(DAYS[0], DAYS[-1])
    assert after.digest == before.digest and after.table_version > before.table_version
    day = partition(DAYS[1], model.timezone)
    filled.publish(day, rows(day, seed=1).assign(heat=lambda f: f.heat + 1e-9), "changed", NOW)
    assert filled.snapshot(DAYS[0], DAYS[-1]).digest != before.digest
    filled.read_snapshot(before)  # the old one can still be read


def test_reading_in_portions_gives_the_same_digest(filled: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = filled.snapshot(DAYS[0], DAYS[-1])
    monkeypatch.setattr(snapshots, "ROWS_AT_ONCE", 25)
    assert filled.snapshot(DAYS[0], DAYS[-1]).digest == whole.digest


def test_days_fetched_before_their_labels_were_final_are_immature(filled: Lake, model: Model) -> None:
    day = partition("2026-05-02", model.timezone)
    filled.publish(day, rows(day), "early", day.end + timedelta(hours=5, minutes=59))
    assert filled.snapshot(DAYS[0], DAYS[-1]).immature == ("2026-05-02",)
    filled.publish(day, rows(day), "late", day.end + timedelta(hours=6))
    assert filled.snapshot(DAYS[0], DAYS[-1]).immature == ()


def test_a_column_declared_later_is_null_in_older_days(filled: Lake, model: Model) -> None:
    columns = (*model.data.columns, Column(name="colour", type=ColumnType.STRING))
    lake = Lake(small_model(columns=columns), filled.root)
    assert lake.read_snapshot(lake.snapshot(DAYS[0], DAYS[-1]))["colour"].isna().all()


def test_a_damaged_or_lost_snapshot_is_noticed(filled: Lake) -> None:
    found = filled.snapshot(DAYS[0], DAYS[-1])
    filled.verify_snapshot(found)
    path = filled.root / found.path
    whole = path.read_bytes()
    path.write_bytes(whole[:40] + bytes([whole[40] ^ 0xFF]) + whole[41:])
    with pytest.raises(IntegrityError):
        filled.read_snapshot(found)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(IntegrityError, match="damaged"):
        filled.read_snapshot(found)
    path.unlink()
    with pytest.raises(IntegrityError, match="is missing"):
        filled.read_snapshot(found)


def test_a_rewritten_snapshot_is_noticed(filled: Lake) -> None:
    found, other = filled.snapshot(DAYS[0], DAYS[-1]), filled.snapshot(DAYS[0], DAYS[0])
    (filled.root / found.path).write_bytes((filled.root / other.path).read_bytes())
    with pytest.raises(IntegrityError, match="does not match its name"):
        filled.read_snapshot(found)
    table = pq.read_table(filled.root / other.path)
    heat = table.column_names.index("heat")
    forged = table.set_column(heat, "heat", table["heat"].combine_chunks().fill_null(0.0))
    pq.write_table(forged.replace_schema_metadata(table.schema.metadata), filled.root / other.path)
    with pytest.raises(IntegrityError):
        filled.verify_snapshot(other)


def test_an_empty_span_is_an_error_that_says_what_to_do(filled: Lake) -> None:
    with pytest.raises(DataError, match="load these days"):
        filled.snapshot("2026-01-01", "2026-01-31")
