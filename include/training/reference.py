"""Makes the reference of a version: the newest days of its training data, profiled, with what its inputs matter."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from include.data.snapshots import Snapshot
from include.errors import DataError
from include.partitions import keys_between
from include.spec import Model
from include.statistics import reference
from include.statistics.reference import ENOUGH_DAYS, LAYOUT, FeatureReference, Importance, Reference
from include.training import dataset, importance, out_of_fold, profiling
from include.training.plan import Windows
from include.training.rows import Rows

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Origin:
    """What a reference is made of: the training data of a version, and its twin.

    Attributes
    ----------
    windows : the days of its fits. ``seed`` : that of the run.
    twin : its fitted pipeline; None if there is none that can be used, and ``lack`` says why.
    build : its features code; None: that of the model's folder.
    """

    snapshot: Snapshot
    windows: Windows
    seed: int
    twin: Any | None
    lack: str = ""
    build: dataset.Build | None = None


def make(model: Model, origin: Origin, lake: Rows) -> Reference:
    """The reference of a version: the same snapshot, twin and code give the same one.

    Its days are the newest ``monitoring.reference_days`` of the snapshot. Those that are older than the window of the
    release model count as well: a window of 60 days alone would leave no day to spare for a limit.

    What only scores and importance lack (a fit without some days fails, the twin cannot be scored) is recorded in the
    reference and logged: such a version can be monitored by its inputs.

    Raises
    ------
    IntegrityError : the snapshot is missing or damaged.
    DataError : an input does not have its declared type.
    """
    days = days_of(model, origin.snapshot)
    release = origin.windows.release
    rows = lake.read_snapshot(origin.snapshot, first=min(days[0], release[0]), last=release[1])
    rows = dataset.sort(model, rows)
    partitions = rows["partition"].to_numpy(dtype=object).astype(str)
    starts = np.searchsorted(partitions, np.array(days))
    here = rows.iloc[starts[0] :]  # no copy: the days are the newest ones
    places = [np.arange(*pair) for pair in pairwise([*(starts - starts[0]), len(here)])]
    scores, lack = _scores(model, origin, rows, days, places)
    made = Reference(
        layout=LAYOUT,
        snapshot=origin.snapshot.digest,
        days=tuple(days),
        rows=tuple(len(place) for place in places),
        duplicates=tuple(_sums(profiling.duplicated(model, here), places)),
        features=tuple(reference.of_feature(n, values, places) for n, values in profiling.columns(model, here)),
        scores=scores,
        scores_lack=lack,
        importance=_importance(model, origin, rows),
    )
    log.info("The reference of %s has %s, %d inputs and %s.", model.name, made.span, len(made.features), _told(made))
    return made


def days_of(model: Model, snapshot: Snapshot) -> list[str]:
    """The days of the reference, ascending: the newest ones of the snapshot that were published."""
    missing = set(snapshot.missing)
    there = [key for key in keys_between(snapshot.first, snapshot.last) if key not in missing]
    return there[-model.monitoring.reference_days :]


def encoded(made: Reference) -> bytes:
    """The document, `reference.FILE` in a bundle: on one line, because its thousands of numbers are read by code."""
    return (json.dumps(made.as_dict(), separators=(",", ":"), ensure_ascii=False, allow_nan=False) + "\n").encode()


def _scores(
    model: Model, origin: Origin, rows: pd.DataFrame, days: list[str], places: list[np.ndarray]
) -> tuple[tuple[FeatureReference, ...], str | None]:
    if len(days) < ENOUGH_DAYS:
        # without a limit the scores would be compared with nothing, and the fits are most of the cost
        return (), f"the reference has {len(days)} days, and {ENOUGH_DAYS} are needed for a limit"
    if origin.twin is None:
        return (), origin.lack
    first, last = origin.windows.release
    length = len(set(keys_between(first, last)) - set(origin.snapshot.missing))
    recipe = out_of_fold.Recipe(origin.twin, origin.windows.holdout, length, origin.seed, origin.build)
    try:
        found = out_of_fold.score(model, recipe, rows, days)
    except DataError as problem:
        log.warning("The score of %s cannot be monitored for drift: %s", model.name, problem)
        return (), str(problem)
    named = profiling.scores(model, found)
    return tuple(reference.of_feature(name, values, places) for name, values in named.items()), None


def _importance(model: Model, origin: Origin, rows: pd.DataFrame) -> Importance:
    if origin.twin is None:
        metric = model.training.metric
        return Importance(metric=metric, rows=0, repeats=0, seed=origin.seed, by_input={}, lack=origin.lack)
    holdout = dataset.between(rows, origin.windows.holdout)
    return importance.of_inputs(model, origin.twin, holdout, origin.seed, origin.build)


def _sums(flags: np.ndarray, places: list[np.ndarray]) -> list[int]:
    return [int(np.count_nonzero(flags[place])) for place in places]


def _told(made: Reference) -> str:
    scored = f"no score ({made.scores_lack})" if made.scores_lack else f"{len(made.scores)} columns of the score"
    weights = sorted(made.importance.weights().items(), key=lambda pair: -pair[1])[:3]
    what = ", ".join(f"{name} {share:.0%}" for name, share in weights)
    return f"{scored}; what matters: {made.importance.lack or what or 'no input alone'}"
