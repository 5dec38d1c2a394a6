"""Days of the toy model, in a lake or as a frame, for the tests of training."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pandas as pd

from include import catalog
from include.data import schema
from include.data.lake import Day, Lake
from include.partitions import keys_between, partition
from include.spec import Model

FIRST, LAST = "2026-04-01", "2026-05-14"
AS_OF = "2026-05-13"


def day(model: Model, key: str) -> pd.DataFrame:
    frame: pd.DataFrame = catalog.module("toy", "source").rows_of(partition(key, model.timezone))
    return frame


def days(model: Model, first: str, last: str) -> pd.DataFrame:
    """Rows as in a snapshot, without a lake."""
    return pd.concat([day(model, key).assign(partition=key) for key in keys_between(first, last)], ignore_index=True)


def publish(lake: Lake, model: Model, key: str, frame: pd.DataFrame, after: timedelta = timedelta(hours=2)) -> None:
    """Put a day into the lake as the collect tasks do, without their checks, which other tests cover."""
    about = partition(key, model.timezone)
    batch = lake.keep_raw(about, frame)
    lake.publish(about, lake.read_raw(batch), batch.digest, about.end + after)


def fill(lake: Lake, model: Model, first: str = FIRST, last: str = LAST) -> None:
    """Put days into a new lake, in one commit."""
    publish_days(lake, model, {key: day(model, key) for key in keys_between(first, last)})


def publish_days(lake: Lake, model: Model, frames: Mapping[str, pd.DataFrame]) -> None:
    """`publish` of many days into a new lake, in one commit."""
    lake.create()
    found = []
    for key, frame in frames.items():
        about = partition(key, model.timezone)
        batch = lake.keep_raw(about, frame)
        rows = schema.conform(model, lake.read_raw(batch), {}).table
        found.append(Day(about, rows, batch.digest, about.end + timedelta(hours=2)))
    lake.publish_days(found)
