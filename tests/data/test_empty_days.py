"""A day without rows: it is published if the model expects empty days, and fails otherwise."""

from __future__ import annotations

from pathlib import Path

from include.data import quality
from include.data.lake import Lake
from include.partitions import partition
from tests.data.sensors import NOW, rows, small_model

DAY = partition("2026-05-03", "America/New_York")
NEXT = partition("2026-05-04", "America/New_York")


def test_an_empty_day_is_critical_unless_the_model_expects_empty_days() -> None:
    empty = rows(DAY).iloc[:0]
    assert quality.validate(small_model(), DAY, empty, []).critical == ["the batch is empty: 0 rows"]
    found = quality.validate(small_model(empty_days=True), DAY, empty, [])
    assert not found.critical and found.good.empty
    assert [c.sentence for c in found.failed] == ["the batch is empty: 0 rows"]


def test_an_empty_day_counts_as_published_until_rows_come(tmp_path: Path) -> None:
    lake = Lake(small_model(empty_days=True), tmp_path / "lake")
    lake.create()
    lake.publish(DAY, rows(DAY).iloc[:0], "nothing", NOW)
    lake.publish(NEXT, rows(NEXT), "some", NOW)
    assert {key: there.rows for key, there in lake.published().items()} == {DAY.key: 0, NEXT.key: 20}
    assert lake.published()[DAY.key].collected_at == NOW
    frozen = lake.snapshot(DAY.key, NEXT.key)
    assert frozen.rows == 20 and frozen.missing == (DAY.key,)

    lake.publish(DAY, rows(DAY), "late", NOW)
    assert lake.published()[DAY.key].rows == 20
    lake.publish(DAY, rows(DAY).iloc[:0], "withdrawn", NOW)
    assert lake.published()[DAY.key].rows == 0
