"""The table `replays`: a day is replaced whole, whoever replays it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from include.data import replays
from include.data.lake import Lake
from include.partitions import partition

DAY, NEXT = "2026-05-03", "2026-05-04"


def scored(key: str, scores: list[float | None], version: int = 1) -> pa.Table:
    rows = [
        {
            "partition": key, "key": f'{{"number": {at}}}', "event_time": partition(key, "America/New_York").start,
            "version": version, "digest": "d" * 64, "score": score, "scores": None, "early": False, "fitted": False,
            "batch": "b1",
        }
        for at, score in enumerate(scores)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=replays.COLUMNS)


def test_a_day_is_replaced_whole_and_others_stay(lake: Lake) -> None:
    replays.write(lake, DAY, scored(DAY, [0.1, 0.2, None]))
    replays.write(lake, NEXT, scored(NEXT, [0.9]))
    for _ in range(2):
        replays.write(lake, DAY, scored(DAY, [0.5, 0.25], version=2))
    assert replays.read(lake, DAY, DAY).sort_by("key").equals(scored(DAY, [0.5, 0.25], version=2))
    assert replays.read(lake, DAY, NEXT).num_rows == 3
    replays.write(lake, DAY, replays.COLUMNS.empty_table())
    assert replays.read(lake, DAY, NEXT).column("partition").to_pylist() == [NEXT]


def test_two_replays_of_one_day_end_in_the_rows_of_one(lake: Lake) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda version: replays.write(lake, DAY, scored(DAY, [0.1, 0.2], version)), range(1, 5)))
    found = replays.read(lake, DAY, DAY)
    assert found.num_rows == 2 and len(set(found.column("version").to_pylist())) == 1


def test_only_the_files_of_the_days_are_opened(lake: Lake) -> None:
    for key in (DAY, NEXT):
        replays.write(lake, key, scored(key, [0.1]))
    for file in (lake.root / replays.NAME / f"partition={NEXT}").glob("*.parquet"):
        file.unlink()
    assert replays.read(lake, DAY, DAY).num_rows == 1
