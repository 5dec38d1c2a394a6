"""Where a day's hours come from: Washington's bike sharing of 2011 and 2012, replayed in whole weeks.

So that "last night" exists every night, the history begins again on Saturday, 4 January 2025 (the original began on
Saturday, 1 January 2011) and again 728 days later, for ever: weekdays stay true, and a day is at most three days away
from its original's place in the year in the first pass, five in the second. The last three days of 2012 are never
replayed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from functools import cache
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv

from include.models.bike_demand.model import MODEL
from include.partitions import Partition, partitions_between
from include.sources.replay import Replay, instants

REPLAY = Replay(first=date(2011, 1, 1), last=date(2012, 12, 31), anchor=date(2025, 1, 4))
FILE = Path(__file__).parent / "data" / "bike_sharing_hourly.csv.gz"
HOURS = {f"{(h - 1) % 12 + 1}{'am' if h < 12 else 'pm'}": h for h in range(24)}  # 12am is 0


def fetch(partition: Partition, connections: Mapping[str, str]) -> pd.DataFrame:
    """The hours of this local day, in order; an hour without rentals is absent."""
    frame = hours_of(REPLAY.original(partition.date))
    frame = frame.assign(
        ride_date=partition.key,
        began_at=pd.DatetimeIndex(instants(partition.date, frame["hour"].to_numpy() * 60, MODEL.timezone))
        .as_unit("us")
        .tz_localize("UTC"),
    )
    return frame[[column.name for column in MODEL.data.columns]]


def fetch_range(
    first: Partition, last: Partition, connections: Mapping[str, str]
) -> Iterator[tuple[Partition, pd.DataFrame]]:
    """Each day from ``first`` to ``last`` with its hours; the file is read once."""
    for about in partitions_between(first, last, MODEL.timezone):
        yield about, fetch(about, connections)


def hours_of(original: date) -> pd.DataFrame:
    """The hours of one day of 2011 or 2012, in order (the file is shuffled)."""
    rows = history()
    frame = rows.filter(pc.equal(rows["dteday"], original.isoformat())).to_pandas()
    return frame.assign(hour=frame["hr"].map(HOURS)).sort_values("hour", ignore_index=True)


@cache
def history() -> pa.Table:
    """The whole file, with Yes and No as booleans. Reading it takes 15 ms, so every task reads it again."""
    options = pcsv.ConvertOptions(
        null_values=[""],
        strings_can_be_null=True,
        column_types={"dteday": pa.string()},
        true_values=["Yes"],
        false_values=["No"],
    )
    return pcsv.read_csv(FILE, convert_options=options)
