"""Where a day's half-hours come from: Elec2, New South Wales 1996 to 1998, replayed in whole weeks.

The file has no dates: row i belongs to day i // 48. Its 944 days are the 943 from 7 May 1996 to 5 December 1998, one
of them twice: days 362 and 363 have the same demand to the last digit, and both are a Sunday. Where the two deliveries
that the file is made of meet (before, the figures of Victoria are constant), each has 4 May 1997. The later one is
left out; with it, all public holidays after it would lie a day off.

So that "last night" exists every night, the history begins again on Tuesday, 7 May 2024 (28 years later: in the first
pass date and weekday are both true) and again every 938 days: then weekdays stay true and the season jumps from
November to May, a break that a model has to survive like any other. The last five days are never replayed. The first
half-hour of the history has none before it: there, `previous_*` is missing, at every beginning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.csv as pcsv

from include.models.electricity.model import MODEL
from include.partitions import Partition, partitions_between
from include.sources.replay import Replay, instants

REPLAY = Replay(first=date(1996, 5, 7), last=date(1998, 12, 5), anchor=date(2024, 5, 7))
FILE = Path(__file__).parent / "data" / "electricity_elec2.csv.gz"
PERIODS = 48
DOUBLED = 363  # day of the file
COLUMNS = {
    "feat_2": "nsw_price",
    "feat_3": "nsw_demand",
    "feat_4": "vic_price",
    "feat_5": "vic_demand",
    "feat_6": "transfer",
    "target": "up",
}


def fetch(partition: Partition, connections: Mapping[str, str]) -> pd.DataFrame:
    """The 48 half-hours of this local day, in order."""
    frame = half_hours_of(REPLAY.original(partition.date))
    minutes = frame["half_hour"].to_numpy() * 30
    frame = frame.assign(
        market_date=partition.key,
        began_at=pd.DatetimeIndex(instants(partition.date, minutes, MODEL.timezone)).as_unit("us").tz_localize("UTC"),
    )
    return frame[[column.name for column in MODEL.data.columns]]


def fetch_range(
    first: Partition, last: Partition, connections: Mapping[str, str]
) -> Iterator[tuple[Partition, pd.DataFrame]]:
    """Each day from ``first`` to ``last`` with its half-hours; the file is read once."""
    for about in partitions_between(first, last, MODEL.timezone):
        yield about, fetch(about, connections)


def half_hours_of(original: date) -> pd.DataFrame:
    """One day of the history, each half-hour with the figures of the one before, over midnight."""
    first = (original - REPLAY.first).days * PERIODS
    rows = history()
    here = rows.iloc[first : first + PERIODS].reset_index(drop=True)
    before = rows.iloc[max(0, first - 1) : first + PERIODS - 1]
    before = before.set_axis(range(PERIODS - len(before), PERIODS)).reindex(range(PERIODS))  # the first has none
    return here.join(before.add_prefix("previous_")).assign(half_hour=np.arange(PERIODS))


@cache
def history() -> pd.DataFrame:
    """The 943 days in order, one row each half-hour. Reading it takes 25 ms, so every task reads it again."""
    frame = pcsv.read_csv(FILE, convert_options=pcsv.ConvertOptions(include_columns=list(COLUMNS))).to_pandas()
    kept = np.arange(len(frame)) // PERIODS != DOUBLED
    return frame.loc[kept].reset_index(drop=True).rename(columns=COLUMNS)
