"""CSV and Parquet files by day: every compression and time format; a file is read once for all days."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from include.errors import ConfigurationError, DataError
from include.settings import PROJECT
from include.sources import CsvFile, EventTime, ParquetFiles, Source

DAYS = [date(2024, 3, 29), date(2024, 3, 30), date(2024, 3, 31), date(2024, 4, 2)]  # the clocks change in between
BERLIN = "Europe/Berlin"


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERENNIAL_HOME", str(tmp_path / "home"))


def rows() -> pd.DataFrame:
    at = [pd.Timestamp(day) + pd.Timedelta(hours=h, minutes=30) for day in DAYS for h in (0, 8, 23)]
    order = np.random.default_rng(0).permutation(len(at))
    frame = pd.DataFrame({"at": at, "n": range(len(at)), "text": [f"a, „{n}“\nline" for n in range(len(at))]})
    return frame.iloc[order].reset_index(drop=True)


def check(source: Source) -> None:
    """Each day has its three rows, and other days have none."""
    assert source.counts({}) == dict.fromkeys(DAYS, 3)
    for position, day in enumerate(DAYS):
        found = source.between(day, day, {})
        assert sorted(int(n) for n in found["n"].to_pylist()) == [3 * position, 3 * position + 1, 3 * position + 2]
    assert source.between(date(2024, 4, 1), date(2024, 4, 1), {}).num_rows == 0
    assert source.between(DAYS[0], DAYS[-1], {}).num_rows == 12


ZSTD = pa.Codec("zstd")


@pytest.mark.parametrize(
    ("ending", "compress"),
    [
        ("csv", bytes),
        ("csv.gz", gzip.compress),
        ("csv.bz2", bz2.compress),
        ("csv.xz", lzma.compress),
        ("csv.zst", lambda data: ZSTD.compress(data, asbytes=True)),
    ],
)
def test_a_csv_file_of_every_compression(tmp_path: Path, ending: str, compress: Callable[[bytes], bytes]) -> None:
    path = tmp_path / f"rows.{ending}"
    path.write_bytes(compress(rows().to_csv(index=False).encode()))
    check(CsvFile(path, EventTime("at", "iso", BERLIN)))


def test_only_the_owner_can_read_a_cache(tmp_path: Path) -> None:
    """This holds for every umask of the terminal in which a person lints or creates a model."""
    path = tmp_path / "rows.csv.xz"
    path.write_bytes(lzma.compress(rows().to_csv(index=False).encode()))
    before = os.umask(0o022)
    try:
        CsvFile(path, EventTime("at", "iso", BERLIN)).counts({})
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)
    cache = tmp_path / "home" / "cache"
    made = [cache, *cache.rglob("*")]
    assert len(made) > 3 and [p for p in made if p.stat().st_mode & 0o077] == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_a_csv_file_of_every_encoding_and_separator(tmp_path: Path, encoding: str, separator: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(rows().to_csv(index=False, sep=separator).encode(encoding))
    source = CsvFile(path, EventTime("at", "iso", BERLIN), separator=separator, encoding=encoding)
    check(source)
    assert "a, „0“\nline" in source.between(DAYS[0], DAYS[0], {})["text"].to_pylist()


@pytest.mark.parametrize(
    ("format", "write"),
    [
        ("iso", lambda t: t.dt.strftime("%Y-%m-%d %H:%M:%S")),
        ("iso_offset", lambda t: t.dt.tz_localize(BERLIN).dt.tz_convert("UTC").dt.strftime("%Y-%m-%dT%H:%M:%SZ")),
        ("%d.%m.%Y %H:%M", lambda t: t.dt.strftime("%d.%m.%Y %H:%M")),
        ("epoch_s", lambda t: t.dt.tz_localize(BERLIN).dt.as_unit("s").astype("int64").astype(str)),
        ("epoch_ms", lambda t: t.dt.tz_localize(BERLIN).dt.as_unit("ms").astype("int64")),
        ("timestamp", lambda t: t),
        ("timestamp", lambda t: t.dt.tz_localize(BERLIN).dt.tz_convert("UTC")),
        ("timestamp", lambda t: t.dt.date),
    ],
)
def test_a_parquet_file_with_every_kind_of_time(
    tmp_path: Path, format: str, write: Callable[[pd.Series], pd.Series]
) -> None:
    frame = rows()
    frame.assign(at=write(frame["at"])).to_parquet(tmp_path / "rows.parquet")
    check(ParquetFiles(tmp_path / "rows.parquet", EventTime("at", format, BERLIN)))


def test_a_folder_of_parquet_files_and_a_compressed_one(tmp_path: Path) -> None:
    frame = rows()
    (tmp_path / "parts").mkdir()
    frame.head(5).to_parquet(tmp_path / "parts" / "a.parquet")
    frame.tail(7).to_parquet(tmp_path / "parts" / "b.parquet")
    check(ParquetFiles(tmp_path / "parts", EventTime("at", "timestamp", BERLIN)))
    packed = tmp_path / "rows.parquet.gz"
    packed.write_bytes(gzip.compress(frame.to_parquet()))
    check(ParquetFiles(packed, EventTime("at", "timestamp", BERLIN)))


def test_a_csv_file_is_read_once_and_again_when_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rows.csv"
    rows().to_csv(path, index=False)
    source = CsvFile(path, EventTime("at", "iso"))
    read: list[int] = []
    original = CsvFile._batches

    def counted(self: CsvFile) -> Iterator[pa.RecordBatch]:
        read.append(1)
        return original(self)

    monkeypatch.setattr(CsvFile, "_batches", counted)
    check(source)
    assert read == [1]
    with open(path, "a") as file:
        file.write("2024-04-03 10:00:00,12,new\nnot a time,13,lost\n")
    assert source.counts({})[date(2024, 4, 3)] == 1 and source.without_time({}) == 1
    assert read == [1, 1]
    for day in range(4, 7):
        with open(path, "a") as file:
            file.write(f"2024-04-0{day} 10:00:00,{day + 10},new\n")
        source.counts({})
    left = [p for p in (tmp_path / "home" / "cache").glob("rows-*/*") if p.is_dir()]
    assert len(left) <= 2, "a file that grows daily must not leave one cache per day"


def test_another_list_of_missing_values_makes_another_cache(tmp_path: Path) -> None:
    """The file has not changed, but the option has."""
    path, day = tmp_path / "rows.csv", date(2024, 3, 29)
    path.write_text("at,n\n2024-03-29 10:00:00,-9\n2024-03-29 11:00:00,\n")
    at = EventTime("at", "iso")
    usual, ours = CsvFile(path, at), CsvFile(path, at, nulls=("-9",))
    for _ in range(2):
        assert usual.between(day, day, {})["n"].to_pylist() == ["-9", None]
        assert ours.between(day, day, {})["n"].to_pylist() == [None, ""]


def test_many_processes_create_one_cache(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    rows().to_csv(path, index=False)
    script = (
        "import sys; from pathlib import Path; from datetime import date; "
        "from include.sources import CsvFile, EventTime; "
        "source = CsvFile(Path(sys.argv[1]), EventTime('at', 'iso')); "
        "print(source.between(date(2024, 3, 29), date(2024, 4, 2), {}).num_rows)"
    )
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    started = [
        subprocess.Popen([sys.executable, "-c", script, str(path)], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    assert [p.communicate(timeout=120)[0].strip() for p in started] == ["12"] * 3
    assert len([p for p in (tmp_path / "home" / "cache").glob("rows-*/*") if p.is_dir()]) == 1


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    rows().to_csv(path, index=False)
    with pytest.raises(ConfigurationError, match=r"there is no file .*row\.csv; did you mean 'rows\.csv'\?"):
        CsvFile(tmp_path / "row.csv", EventTime("at", "iso")).counts({})
    with pytest.raises(ConfigurationError, match="has no column 'a_t'; did you mean 'at'"):
        CsvFile(path, EventTime("a_t", "iso")).counts({})
    with open(path, "a") as file:
        file.write("2024-04-03 10:00:00,12\n")
    with pytest.raises(DataError, match=r"rows\.csv cannot be read: .*Expected 3 columns, got 2"):
        CsvFile(path, EventTime("at", "iso")).counts({})
    assert not list((tmp_path / "home" / "cache").glob("rows-*/.building-*"))
