"""Which days a night must still collect."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from include.data import collection
from include.data.lake import Lake
from include.partitions import partition
from tests.data.sensors import rows, small_model

DAY = partition("2026-05-03", "America/New_York")


def test_a_day_that_was_fetched_before_its_labels_were_final_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERENNIAL_HOME", str(tmp_path))
    plain = small_model()
    label = plain.data.label.model_copy(update={"delay": timedelta(days=2)})
    model = plain.model_copy(update={"data": plain.data.model_copy(update={"label": label})})
    lake = Lake.of(model)
    lake.create()
    lake.publish(DAY, rows(DAY), "early", DAY.end + timedelta(days=2, seconds=-1))
    assert collection.missing_partitions(model, DAY, 1) == [DAY.key]
    assert collection.missing_partitions(plain, DAY, 1) == []
    lake.publish(DAY, rows(DAY), "final", DAY.end + timedelta(days=2))
    assert collection.missing_partitions(model, DAY, 1) == []
