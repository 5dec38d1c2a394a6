"""A load leaves the lake as one collect run a day does."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from include import catalog
from include.data import collection, loading
from include.data.lake import Lake
from include.errors import PerennialError
from include.partitions import keys_between, partition
from include.spec import Model

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def one_by_one(model: Model, keys: Sequence[str], lake: Lake, connections: Mapping[str, str] | None = None) -> None:
    """What a collect run does for each day."""
    for key in keys:
        about = partition(key, model.timezone)
        try:
            raw = collection.collect(model, about, connections or {}, NOW, lake)
            collection.publish(model, about, collection.validate(model, about, raw, lake), lake=lake)
        except PerennialError:
            continue


def contents(lake: Lake) -> dict[str, Any]:
    """All that a lake holds, apart from staged rows and from the order of commits."""
    found: dict[str, Any] = {}
    for table in ("rows", "quarantine"):
        rows = pa.table(lake.table(table).to_pyarrow_table())
        rows = rows.select(sorted(rows.column_names))
        found[table] = sorted(json.dumps(row, default=str, sort_keys=True) for row in rows.to_pylist())
    for folder in ("raw", "validation", "empty"):
        files = {str(p.relative_to(lake.root)): p.read_bytes() for p in (lake.root / folder).rglob("*") if p.is_file()}
        found[folder] = files
    found["collecting"] = sorted(p.name for p in (lake.root / "collecting").glob("*"))
    return found


def assert_same(mine: Lake, theirs: Lake) -> None:
    found, wanted = contents(mine), contents(theirs)
    assert {name: len(part) for name, part in found.items()} == {name: len(part) for name, part in wanted.items()}
    for name in ("rows", "quarantine", "raw", "empty", "collecting"):
        assert found[name] == wanted[name], name
    for path, content in wanted["validation"].items():
        if path.endswith(".json"):
            mine_of_day, theirs_of_day = json.loads(found["validation"][path]), json.loads(content)
            for ours, of_collect in zip(mine_of_day.pop("results"), theirs_of_day.pop("results"), strict=True):
                assert ours == of_collect, path
            assert mine_of_day == theirs_of_day, path
        assert found["validation"][path] == content, path


@pytest.mark.parametrize("name", ["flight_delays", "bike_demand", "electricity"])
def test_a_load_leaves_the_lake_as_collect_runs_do(name: str, tmp_path: Path) -> None:
    model = catalog.load(name)
    keys = keys_between("2026-10-26", "2026-11-06")  # with a change of clocks, and bad rows in flight_delays
    mine, theirs = Lake(model, tmp_path / "load"), Lake(model, tmp_path / "collect")
    one_by_one(model, keys, theirs)
    loaded = loading.load(model, keys, {}, lambda: NOW, mine)
    assert {day.partition for day in loaded.left_out} == set(keys) - set(theirs.published())
    assert loaded.rows == theirs.table("rows").to_pyarrow_table().num_rows
    assert_same(mine, theirs)
    assert mine.table("rows").version() == 1, "one commit"
