"""The Delta tables are atomic, idempotent, strict and safe in several processes at once (all of them real)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from include.data import lake as lake_module
from include.data import schema
from include.data.lake import Lake
from include.errors import ConfigurationError, DataError, IntegrityError, TransientError
from include.partitions import Partition, partition
from include.settings import PROJECT
from include.spec import Column, ColumnType, Model
from tests.data.sensors import NOW, rows, small_model

PREAMBLE = """
import sys
from pathlib import Path
from include.data.lake import Lake
from include.partitions import partition
from tests.data.sensors import NOW, rows, small_model
model = small_model()
lake = Lake(model, Path(sys.argv[1]))
while not Path(sys.argv[2]).exists():
    pass
"""


def start(script: str, root: Path, gate: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a process that prepares, waits for the file ``gate`` and runs ``script``."""
    return subprocess.Popen(
        [sys.executable, "-c", PREAMBLE + textwrap.dedent(script), str(root), str(gate), *arguments],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        text=True,
        stderr=subprocess.PIPE,
    )


def together(script: str, root: Path, gate: Path, arguments: list[str]) -> None:
    processes = [start(script, root, gate, argument) for argument in arguments]
    gate.touch()
    for process in processes:
        _, error = process.communicate(timeout=120)
        # Delta's runtime sometimes aborts at exit after success (134), so only a raised error counts.
        assert process.returncode in (0, -signal.SIGABRT, 134) and "Traceback" not in error, error


def read(lake: Lake, key: str) -> pd.DataFrame:
    return lake.table("rows").to_pandas(filters=[("partition", "=", key)])


def test_tables_are_created_once_with_their_retention(lake: Lake) -> None:
    lake.create()
    for name in ("rows", "quarantine", "predictions"):
        table = lake.table(name)
        assert table.version() == 0
        assert table.metadata().partition_columns == ["partition"]
        settings = table.metadata().configuration
        kept = "interval 7 days" if name == "predictions" else "interval 400 days"
        assert settings["delta.logRetentionDuration"] == settings["delta.deletedFileRetentionDuration"] == kept


def test_several_processes_create_the_same_tables(tmp_path: Path, model: Model) -> None:
    # many, because a race happens only by chance
    lakes = [Lake(model, tmp_path / "lakes" / str(number)) for number in range(20)]
    script = "for number in range(20): Lake(model, Path(sys.argv[1]) / str(number)).create()"
    together(script, tmp_path / "lakes", tmp_path / "gate", ["a", "b", "c", "d"])
    assert {lake.table(n).version() for lake in lakes for n in ("rows", "quarantine", "predictions")} == {0}
    lake = lakes[0]
    day = partition("2026-05-03", model.timezone)
    assert lake.publish(day, rows(day), "a" * 64, NOW) == 1


def test_reserved_column_names_are_refused(tmp_path: Path) -> None:
    model = small_model()
    columns = (*model.data.columns, Column(name="partition", type=ColumnType.STRING))
    with pytest.raises(ConfigurationError, match="partition"):
        Lake(small_model(columns=columns), tmp_path)


def test_publishing_again_replaces(lake: Lake, day: Partition) -> None:
    assert lake.publish(day, rows(day), "a" * 64, NOW) == 1
    before = read(lake, day.key)
    assert lake.publish(day, rows(day), "a" * 64, NOW) == 2
    pd.testing.assert_frame_equal(read(lake, day.key), before)
    lake.publish(day, rows(day, 7), "b" * 64, NOW)
    assert len(read(lake, day.key)) == 7
    found = lake.published()[day.key]
    assert (found.rows, found.batch, found.collected_at) == (7, "b" * 64, NOW)


def test_published_is_empty_before_there_are_tables(tmp_path: Path, model: Model) -> None:
    assert Lake(model, tmp_path).published() == {}
    with pytest.raises(DataError, match="sensors_collect"):
        Lake(model, tmp_path).table("rows")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda f: f.assign(number=f.number + 0.5), "'number' changed its type"),
        (lambda f: f.assign(heat=f.heat.astype(str)), "'heat' changed its type"),
        (lambda f: f.assign(at=f["at"].dt.tz_localize(None)), "'at' changed its type"),
        (lambda f: f.assign(number=f.number.astype(float) + 2.0**60), "2\\^53"),
        (lambda f: f.assign(on=f.on.astype(int)), "'on' changed its type"),
        (lambda f: f.drop(columns="heat"), "'heat' is missing"),
    ],
)
def test_nothing_is_cast_with_loss_or_filled_in(lake: Lake, day: Partition, spoil: Any, words: str) -> None:
    lake.publish(day, rows(day), "a" * 64, NOW)
    before = read(lake, day.key)
    with pytest.raises(DataError, match=words):
        lake.publish(day, spoil(rows(day)), "b" * 64, NOW)
    pd.testing.assert_frame_equal(read(lake, day.key), before)


def test_lossless_casts_and_all_null_columns(lake: Lake, day: Partition) -> None:
    frame = rows(day).assign(number=lambda f: f.number.astype(float), heat=None, count=pd.NA, on=None)
    lake.publish(day, frame, "a" * 64, NOW)
    kinds = {f.name: str(f.type) for f in pa.schema(lake.table("rows").schema().to_arrow())}
    assert (kinds["number"], kinds["heat"], kinds["count"], kinds["on"]) == ("int64", "double", "int64", "bool")
    assert read(lake, day.key)[["heat", "count", "on"]].isna().all().all()


def test_a_new_column_is_added_once_and_is_null_elsewhere(lake: Lake, model: Model, day: Partition) -> None:
    other = partition("2026-05-04", model.timezone)
    lake.publish(day, rows(day), "a" * 64, NOW)
    lake.publish(other, rows(other).assign(colour="red", weight=1), "b" * 64, NOW)
    assert read(lake, other.key)["colour"].eq("red").all()
    assert read(lake, day.key)["colour"].isna().all()
    assert lake.undeclared() == {"colour": pa.large_string(), "weight": pa.int64()}
    lake.publish(day, rows(day), "c" * 64, NOW)  # and may be absent again
    with pytest.raises(DataError, match="'weight' changed its type"):
        lake.publish(other, rows(other).assign(weight="heavy"), "d" * 64, NOW)


def test_a_changed_declaration_is_refused(lake: Lake, model: Model, day: Partition) -> None:
    lake.publish(day, rows(day), "a" * 64, NOW)
    columns = tuple(
        c.model_copy(update={"type": ColumnType.NUMBER}) if c.name == "count" else c for c in model.data.columns
    )
    with pytest.raises(ConfigurationError, match="'count' is int64 in the table rows and double now"):
        Lake(small_model(columns=columns), lake.root).publish(day, rows(day), "b" * 64, NOW)


def test_different_partitions_published_at_once(tmp_path: Path, lake: Lake) -> None:
    script = """
        day = partition(sys.argv[3], model.timezone)
        for n in range(4):
            lake.publish(day, rows(day, 10 + n), sys.argv[3], NOW)
    """
    days = [f"2026-05-0{n}" for n in range(1, 5)]
    together(script, lake.root, tmp_path / "gate", days)
    assert {key: (p.rows, p.batch) for key, p in lake.published().items()} == {key: (13, key) for key in days}


def test_one_partition_published_by_several_at_once(tmp_path: Path, lake: Lake, day: Partition) -> None:
    script = """
        day = partition("2026-05-03", model.timezone)
        for n in range(4):
            lake.publish(day, rows(day).assign(colour=sys.argv[3]), sys.argv[3], NOW)
    """
    together(script, lake.root, tmp_path / "gate", ["a", "b", "c"])
    found = read(lake, day.key)
    assert len(found) == 20 and found["colour"].nunique() == 1 and found["_batch"].nunique() == 1
    assert lake.table("rows").version() >= 12


def test_endless_conflicts_are_an_error_that_is_retried_later(
    lake: Lake, day: Partition, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table handle that is always stale conflicts forever. The commits and their errors are real."""
    lake.publish(day, rows(day), "a" * 64, NOW)
    version = lake.table("rows").version()
    stale = lambda name: DeltaTable(str(lake.root / name), version=version)  # noqa: E731
    lake.publish(day, rows(day), "b" * 64, NOW)
    monkeypatch.setattr(lake, "table", stale)
    monkeypatch.setattr(lake_module, "COMMIT_TRIES", 3)
    with pytest.raises(TransientError, match="3 tries"):
        lake.publish(day, rows(day), "c" * 64, NOW)


def test_sigkill_while_publishing_leaves_whole_partitions(tmp_path: Path, lake: Lake, day: Partition) -> None:
    script = """
        day = partition("2026-05-03", model.timezone)
        for n in range(10_000):
            lake.publish(day, rows(day, 10 + n % 2), "ab"[n % 2], NOW)
    """
    (tmp_path / "gate").touch()
    process = start(script, lake.root, tmp_path / "gate")
    while lake.table("rows").version() < 15:
        assert process.poll() is None, process.stderr and process.stderr.read()
    process.kill()
    process.communicate()
    found = read(lake, day.key)
    assert (len(found), found["_batch"].unique().tolist()) in ((10, ["a"]), (11, ["b"]))
    lake.publish(day, rows(day, 12), "c", NOW)
    assert len(read(lake, day.key)) == 12


def test_raw_batches_are_named_by_their_bytes(lake: Lake, day: Partition) -> None:
    first, second = lake.keep_raw(day, rows(day)), lake.keep_raw(day, rows(day))
    assert first == second and first.rows == 20 and first.path == f"raw/{day.key}/{first.digest}.parquet"
    assert lake.keep_raw(day, rows(day, seed=1)).digest != first.digest
    pd.testing.assert_frame_equal(lake.read_raw(first), rows(day), check_dtype=False)
    path = lake.root / first.path
    path.write_bytes(path.read_bytes().replace(b"s1", b"s9", 1) + b" ")
    with pytest.raises(IntegrityError, match="was changed"):
        lake.read_raw(first)
    path.unlink()
    with pytest.raises(IntegrityError, match="is missing"):
        lake.read_raw(first)


def test_even_an_invalid_batch_is_kept(lake: Lake, day: Partition) -> None:
    odd = rows(day, 3).assign(heat=[1.5, "warm", None], extra=[{"a": 1}, [2], "x"])
    kept = lake.read_raw(lake.keep_raw(day, odd))
    assert kept["heat"].tolist() == [1.5, "warm", None] and kept["extra"].tolist() == [{"a": 1}, [2], "x"]
    twice = pd.concat([odd[["number"]], odd], axis=1)
    assert lake.read_raw(lake.keep_raw(day, twice)).columns.tolist() == twice.columns.tolist()
    assert lake.read_raw(lake.keep_raw(day, odd.iloc[:0])).empty


def test_staged_rows_are_read_back_and_damage_is_noticed(lake: Lake, day: Partition) -> None:
    table = schema.conform(lake.model, rows(day)).table
    path = lake.stage(day, "a" * 64, table)
    assert path == f"staged/{day.key}/{'a' * 64}.parquet"
    assert lake.read_staged(path).equals(table)
    file = lake.root / path
    data = bytearray(file.read_bytes())
    data[60] ^= 0xFF
    file.write_bytes(bytes(data))
    with pytest.raises(IntegrityError, match="clear the task `validate`"):
        lake.read_staged(path)


def test_staged_rows_are_published_as_they_are(
    lake: Lake, day: Partition, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Validation has already cast the rows. Publishing casts them again only if the declaration has changed."""
    table = schema.conform(model, rows(day)).table
    with monkeypatch.context() as patch:
        patch.setattr(schema, "conform", lambda *args: pytest.fail("conformed again"))
        lake.publish(day, table, "a" * 64, NOW)
    from_table = lake.table("rows").to_pandas()
    lake.publish(day, rows(day), "a" * 64, NOW)
    pd.testing.assert_frame_equal(lake.table("rows").to_pandas(), from_table)

    whole = [c.model_copy(update={"type": ColumnType.INTEGER}) if c.name == "heat" else c for c in model.data.columns]
    retyped = Lake(small_model(columns=tuple(whole)), lake.root)
    with pytest.raises(DataError, match="column 'heat' changed its type"):
        retyped.publish(day, table, "b" * 64, NOW)
    dated = [c.model_copy(update={"type": ColumnType.DATE}) if c.name == "sensor" else c for c in model.data.columns]
    with pytest.raises(DataError, match="column 'sensor' has 20 texts that are not dates"):
        Lake(small_model(columns=tuple(dated)), lake.root).publish(day, table, "b" * 64, NOW)


def test_no_temporary_files_remain(lake: Lake, day: Partition) -> None:
    lake.keep_raw(day, rows(day))
    lake.stage(day, "a" * 64, schema.conform(lake.model, rows(day)).table)
    lake.publish(day, rows(day), "a" * 64, NOW)
    lake.snapshot(day.key, day.key)
    assert not list(lake.root.rglob(".tmp-*"))


def test_collected_at_is_the_time_of_the_batch(lake: Lake, day: Partition) -> None:
    lake.publish(day, rows(day), "a" * 64, NOW - timedelta(days=1))
    assert lake.published()[day.key].collected_at == NOW - timedelta(days=1)
