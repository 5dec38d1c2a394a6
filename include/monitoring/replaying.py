"""Replay scoring: a closed day scored with the version that served when it began, with the predictor of the server."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from include.data import keys, replays
from include.data.lake import Lake
from include.errors import PerennialError, TransientError
from include.monitoring.releases import Releases, known
from include.partitions import partition
from include.registry.in_service import InService, Service
from include.spec import Model
from include.training import dataset

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Day:
    """The rows of a published day, as the lake has them.

    Attributes
    ----------
    table : of the columns of `include.data.rows.columns_of`. ``frame`` : the same. ``batch`` : the digest of the rows.
    """

    key: str
    table: pa.Table
    frame: pd.DataFrame
    batch: str


@dataclass(frozen=True)
class Replay:
    """The scores of a day, in the order of its rows.

    Attributes
    ----------
    service : the version that served when the day began; None if nothing did.
    scores : nan for a row that it cannot score; None if the day could not be scored.
    fitted : whether the version was fitted on the day, so that its scores do not show how good it is.
    lack : why there are no scores, as a sentence; None if there are.
    """

    key: str
    service: Service | None
    scores: np.ndarray | None
    fitted: bool
    lack: str | None = None

    @property
    def honest(self) -> np.ndarray | None:
        """The scores, if the version has not seen the day."""
        return None if self.fitted else self.scores


class Replaying:
    """Replays days of one model, and keeps them in its lake; a day that is there already is read."""

    def __init__(self, model: Model, lake: Lake, releases: Releases, in_service: InService) -> None:
        self.model, self.lake, self.releases, self.in_service = model, lake, releases, in_service

    def served(self, key: str) -> Service | None:
        """The version that served when a day began."""
        return self.in_service.at(partition(key, self.model.timezone).start)

    def replay(self, days: list[Day]) -> dict[str, Replay]:
        """The replays of some days, by key; those that the lake lacks, or of other rows, are made and kept."""
        if not days:
            return {}
        there = replays.read(self.lake, min(day.key for day in days), max(day.key for day in days))
        kept = {key: rows for (key,), rows in there.to_pandas().groupby(["partition"])} if there.num_rows else {}
        return {day.key: self._of_day(day, kept.get(day.key)) for day in days}

    def _of_day(self, day: Day, kept: pd.DataFrame | None) -> Replay:
        service = self.served(day.key)
        if service is None:
            if kept is not None:
                replays.write(self.lake, day.key, replays.COLUMNS.empty_table())
            return Replay(day.key, None, None, False, f"nothing served {self.model.name} when {day.key} began")
        try:
            release = self.releases.of(service.version, service.digest)
            fitted = release.fitted_on(day.key, unknown=service.early)
            scores = self._kept(day, kept, service, fitted)
            if scores is None:
                scores = release.scores(day.frame)
                replays.write(self.lake, day.key, self._rows(day, service, scores, fitted))
                log.info("Replayed %s with version %d: %d rows.", day.key, service.version, len(scores))
        except TransientError:
            raise
        except PerennialError as problem:
            log.warning("%s cannot be replayed with version %d: %s", day.key, service.version, problem)
            return Replay(day.key, service, None, False, f"version {service.version} cannot score {day.key}: {problem}")
        return Replay(day.key, service, scores, fitted)

    def _kept(self, day: Day, kept: pd.DataFrame | None, service: Service, fitted: bool) -> np.ndarray | None:
        """The scores of an earlier replay, in the order of the day's rows; None if it is of other rows."""
        if kept is None or len(kept) != len(day.frame):
            return None
        wanted = (day.batch, service.version, service.digest, service.early, fitted)
        marks = kept[["batch", "version", "digest", "early", "fitted"]].drop_duplicates()
        if len(marks) != 1 or tuple(marks.iloc[0]) != wanted:
            return None
        place = {key: at for at, key in enumerate(kept["key"])}
        order = [place.get(key) for key in keys.canonical(self.model, day.table).to_pylist()]
        if len(set(order)) != len(order) or None in order:
            return None
        found = scores_of(self.model, kept["score"], kept["scores"])
        return found[np.array(order, dtype=np.int64)]

    def _rows(self, day: Day, service: Service, scores: np.ndarray, fitted: bool) -> pa.Table:
        """The rows of the table `replays`, by key, so that the same day gives the same file."""
        rows = len(scores)
        there = known(scores)
        names = dataset.class_names(self.model)
        texts = [
            json.dumps(dict(zip(names, row, strict=True))) if fine else None
            for row, fine in zip(scores.tolist(), there, strict=True)
        ] if names else [None] * rows  # fmt: skip
        numbers = (
            [None] * rows
            if names
            else [one if fine else None for one, fine in zip(scores.tolist(), there, strict=True)]
        )
        values = {
            "partition": [day.key] * rows,
            "key": keys.canonical(self.model, day.table),
            "event_time": day.table.column(self.model.data.event_time),
            "version": [service.version] * rows,
            "digest": [service.digest] * rows,
            "score": numbers,
            "scores": texts,
            "early": [service.early] * rows,
            "fitted": [fitted] * rows,
            "batch": [day.batch] * rows,
        }
        arrays = [_array(values[field.name], field.type) for field in replays.COLUMNS]
        return pa.Table.from_arrays(arrays, schema=replays.COLUMNS).sort_by("key")


def scores_of(model: Model, score: pd.Series, scores: pd.Series) -> np.ndarray:
    """Stored scores as an array of shape (rows,), or (rows, classes) in the order of today's classes; nan without."""
    names = dataset.class_names(model)
    if not names:
        return score.to_numpy(dtype=np.float64, na_value=np.nan)
    found = np.full((len(scores), len(names)), np.nan)
    for at, text in enumerate(scores):
        by_name = json.loads(text) if isinstance(text, str) else None
        if by_name:
            found[at] = [by_name.get(name, 0.0) for name in names]
    return found


def _array(values: object, kind: pa.DataType) -> pa.Array:
    if isinstance(values, pa.ChunkedArray):
        return values.combine_chunks().cast(kind)
    return values.cast(kind) if isinstance(values, pa.Array) else pa.array(values, kind)
