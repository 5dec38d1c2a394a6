"""The scores that count of the rows of some days: a prediction of the server, or else the replay, by canonical key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from include.data import keys
from include.monitoring.releases import empty_scores, known
from include.monitoring.replaying import Day, Replay, scores_of
from include.spec import Model

NO_VERSION = -1


@dataclass(frozen=True)
class Matched:
    """The rows of one day with the scores that count.

    Attributes
    ----------
    scores : of shape (rows,) or (rows, classes), in the order of the day's rows; nan without a score that counts.
    version : of shape (rows,): the version that gave it; `NO_VERSION` without one.
    live : whether a server gave it.
    predictions : events of the day that a server has predicted. ``unmatched`` : those of which there is no row.
    doubled : predictions that do not count, because another one of the same event does. ``late`` : events of which
        every prediction was made after the event.
    """

    day: Day
    scores: np.ndarray
    version: np.ndarray
    live: np.ndarray
    predictions: int
    unmatched: int
    doubled: int
    late: int

    @property
    def scored(self) -> np.ndarray:
        """Which rows have a score that counts."""
        return self.version != NO_VERSION


def match(model: Model, days: Sequence[Day], replays: Mapping[str, Replay], counted: pa.Table) -> dict[str, Matched]:
    """The scores that count, by day.

    Parameters
    ----------
    replays : of these days.
    counted : the predictions that count, of the schema `include.data.counted.COLUMNS`, for these days and maybe others.
    """
    return {
        day.key: _of_day(model, day, replays[day.key], counted.filter(pc.equal(counted["partition"], day.key)))
        for day in days
    }


def _of_day(model: Model, day: Day, replay: Replay, live: pa.Table) -> Matched:
    rows = len(day.frame)
    scores, version = empty_scores(model, rows), np.full(rows, NO_VERSION, dtype=np.int64)
    if replay.honest is not None and replay.service is not None:
        fine = known(replay.honest)
        scores[fine], version[fine] = replay.honest[fine], replay.service.version
    served = live.to_pandas()
    place = pd.Index(served["key"], dtype=object).get_indexer(
        pd.Index(keys.canonical(model, day.table).to_pylist(), dtype=object)
    )
    predicted = scores_of(model, served["score"], served["scores"])
    there = place >= 0
    there[there] = known(predicted)[place[there]]
    scores[there], version[there] = predicted[place[there]], served["version"].to_numpy()[place[there]]
    made = int(served["predictions"].sum())
    return Matched(
        day=day,
        scores=scores,
        version=version,
        live=there,
        predictions=len(served),
        unmatched=len(served) - len(set(place[place >= 0].tolist())),
        doubled=made - len(served),
        late=int(served["late"].sum()),
    )
