"""One daily run of a model's monitor with a month and with a year of history: seconds, and bytes that are read.

Both homes have the same champion, the same newer twin and the same newest days. In the longer one, a year of days is
in the lake, with the predictions of a year of spool segments, replays and measures, one commit for each as in service.
Both were maintained, as every night. Each run is in a fresh copy of its home.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

import include.models
from include import catalog
from include.cards import plots
from include.data import maintenance, monitoring, predictions, replays
from include.data.lake import Lake
from include.data.monitoring import Kind
from include.data.predictions import Part
from include.monitoring import run
from include.monitoring.days import PublishedDays
from include.partitions import earlier, keys_between
from include.registry.ledger import Ledger
from include.settings import PROJECT
from include.spec import Model
from tests import homes
from tests.bench.figures import Row
from tests.bench.shared import Bench
from tests.monitoring import championed
from tests.monitoring.championed import FIRST, LAST, night_after
from tests.services import EMPTY_LEDGER, services
from tests.training import toy_days

FEW, MANY, ROUNDS, BAR = 30, 365, 5, 1.2
SEGMENTS, LINES = 8, 20
"""Spool segments of a day, one commit each, and their rows."""


def measure(bench: Bench) -> Iterator[Row]:
    rounds = bench.rounds(ROUNDS)
    path = str(PROJECT / "tests" / "models_for_tests")
    include.models.__path__.append(path)
    bench.callback(include.models.__path__.remove, path)
    toy, seconds, read = catalog.load("toy"), {FEW: [], MANY: []}, {FEW: [], MANY: []}  # type: ignore[var-annotated]
    with services() as running, pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "draw", lambda *_: {})
        Ledger(running.new_database(EMPTY_LEDGER)).migrate()
        Ledger(running.database_url).migrate()
        bench.say(f"filling a home with {FEW} days of history, and one with {MANY} ...")
        few = championed.make(running, bench.folder / "monitor-few", toy, patch)
        many = few.copy(bench.folder / "monitor-many")
        for home, days in ((few, FEW), (many, MANY)):
            filled(home, toy, days, patch)
        for number in range(rounds + 1):  # the first ones import what they need
            for home, days in ((few, FEW), (many, MANY)):
                spent, of_it = look(home.copy(bench.folder / f"monitor-{number}-{days}"), toy, patch)
                if number:
                    seconds[days].append(spent)
                    read[days].append(of_it)
    what = f"a daily run of a monitor, {MANY} days of history"
    peer = f"the same with {FEW} days"
    segments = f"{MANY * SEGMENTS:,} segments of predictions"
    yield Row(f"{what}: time", seconds[MANY], "s", peer, seconds[FEW], BAR, details=segments)
    yield Row(f"{what}: read", read[MANY], "MB", peer, read[FEW], BAR)


def look(home: homes.Home, toy: Model, patch: pytest.MonkeyPatch) -> tuple[float, float]:
    """The seconds of one run, and the megabytes that it reads."""
    home.enter(patch)
    began, before = time.perf_counter(), bytes_read()
    found = run.monitor(toy, LAST, "bench", night_after(LAST, toy))
    spent, of_it = time.perf_counter() - began, bytes_read() - before
    assert found.newest and found.again == () and found.measures > 20, found
    return spent, of_it / 1e6


def bytes_read() -> int:
    """By this process until now, from the page cache or not."""
    line = next(one for one in Path("/proc/self/io").read_text().splitlines() if one.startswith("rchar"))
    return int(line.split()[1])


def filled(home: homes.Home, toy: Model, days: int, patch: pytest.MonkeyPatch) -> None:
    """Give a home so many days of predictions, replays and measures before its newest day, and rows of these days."""
    home.enter(patch)
    lake = Lake.of(toy)
    keys = keys_between(earlier(LAST, days), earlier(LAST, 1))
    for key in keys:
        if key < FIRST:
            toy_days.publish(lake, toy, key, toy_days.day(toy, key))
    for number, key in enumerate([*keys, LAST]):
        served(lake, key, number * SEGMENTS)
    run.monitor(toy, keys[-1], "bench", night_after(keys[-1], toy))
    made = monitoring.read(lake, keys[-1], keys[-1], profiles=True)
    rows = replays.read(lake, keys[-1], keys[-1])
    window = keys[-toy.monitoring.paired_days :]
    published = PublishedDays(toy, lake)
    published.count_predictions(earlier(keys[0], 60), LAST)
    stamps = {Kind.PERFORMANCE: published.scores_stamp, Kind.STALENESS: published.window_stamp}
    for key in keys:
        if key not in window:
            replays.write(lake, key, rows.set_column(0, "partition", pa.array([key] * rows.num_rows, replays.TEXT)))
        of_day = {
            (key, kind): [
                one.replace(partition=key, batch=stamps.get(kind, published.stamp)(key))
                for one in made
                if one.kind is kind
            ]
            for kind in Kind
        }
        monitoring.write(lake, of_day, run.code_digest())
    assert len(monitoring.batches(lake)) == len(Kind) * len(keys)
    maintenance.maintain(toy, night_after(LAST, toy) - timedelta(hours=2))


def served(lake: Lake, key: str, first: int) -> None:
    """Load the segments of a day: predictions of its rows an hour before each."""
    frame = toy_days.day(lake.model, key).head(SEGMENTS * LINES)
    for number in range(SEGMENTS):
        some = frame.iloc[number::SEGMENTS]
        moments = pa.array(some["at"] - timedelta(hours=1)).cast(predictions.INSTANT)
        of_all = {
            "partition": [f"{moment:%Y-%m-%d}" for moment in some["at"] - timedelta(hours=1)],
            "request_id": [f"{key}-{number}"] * len(some),
            "row": list(range(len(some))),
            "key": [f'{{"id": "{name}"}}' for name in some["id"]],
            "event_time": pa.array(some["at"]).cast(predictions.INSTANT),
            "version": [1] * len(some),
            "digest": ["d" * 64] * len(some),
            "features": [f'{{"id": "{name}"}}' for name in some["id"]],
            "score": [0.5] * len(some),
            "scores": [None] * len(some),
            "predicted_at": moments,
            "_segment": [predictions.segment_id("one/toy", first + number + 1)] * len(some),
        }
        arrays = [pa.array(of_all[field.name], field.type) for field in predictions.COLUMNS]
        part = Part("one/toy", first + number + 1, pa.Table.from_arrays(arrays, schema=predictions.COLUMNS))
        predictions.append(lake, [part])
