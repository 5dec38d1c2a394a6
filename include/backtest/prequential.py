"""Scores every day by what each policy had in service on it: fitted on days before, and never on the day itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
import pandas as pd

from include.backtest.history import History
from include.backtest.store import Kept
from include.errors import IntegrityError
from include.partitions import earlier, keys_between
from include.progress import Advance
from include.spec import Model
from include.training import dataset, measures
from include.training.candidates import Fitted

DAYS_AT_ONCE = 28


@dataclass(frozen=True, order=True)
class Release:
    """A release model: the as-of of its night, its key there, and the night (whose folder tells it from
    another fit of the same as-of)."""

    as_of: str
    side: str
    folder: str = field(init=False)
    night: Kept = field(compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", str(self.night.folder))


@dataclass(frozen=True)
class Served:
    """One policy on one day: the as-of of the night that it served, the last day of its fit, the scores."""

    as_of: str
    fitted_to: str
    scores: np.ndarray


@dataclass(frozen=True)
class Day:
    """One day with labels, of shape (rows,), and the scores of each policy."""

    key: str
    labels: np.ndarray
    served: Mapping[str, Served]


def lag_days(model: Model) -> int:
    """Days from an as-of to the first day that its release model serves: it is made when the labels are final."""
    return 1 + model.data.label.delay // timedelta(days=1)


def in_service(releases: Sequence[str], day: str, lag: int) -> str | None:
    """The as-of of the newest release that serves on ``day``, or None."""
    newest = earlier(day, lag)
    there = [as_of for as_of in releases if as_of <= newest]
    return there[-1] if there else None


def score(
    model: Model,
    history: History,
    releases: Mapping[str, Sequence[Release]],
    last: str,
    advance: Advance,
) -> list[Day]:
    """Score all days from the first that a model served to ``last``; days without a label are left out.

    Parameters
    ----------
    releases : by policy, in the order of their as-ofs.

    Raises
    ------
    IntegrityError : a model would score a day that it has seen.
    """
    lag = lag_days(model)
    first = min(ones[0].as_of for ones in releases.values())
    of = {policy: {one.as_of: one for one in ones} for policy, ones in releases.items()}
    days = keys_between(earlier(first, -lag), last)
    loaded: dict[Release, Fitted] = {}
    found = []
    for at in range(0, len(days), DAYS_AT_ONCE):
        portion = days[at : at + DAYS_AT_ONCE]
        snapshot = history.snapshot(portion[0], portion[-1])
        rows = dataset.sort(model, dataset.labelled(model, history.read_snapshot(snapshot)))
        for day in portion:
            here = dataset.between(rows, (day, day))
            serving: dict[str, Release] = {}
            for policy, ones in of.items():
                as_of = in_service(list(ones), day, lag)
                if as_of:
                    serving[policy] = ones[as_of]
            wanted = sorted(set(serving.values()))
            loaded = {one: loaded.get(one) or one.night.fitted(one.side) for one in wanted}
            if len(here):
                found.append(_day(model, day, here, serving, loaded))
            advance(day)
    return found


def _day(
    model: Model, day: str, rows: pd.DataFrame, serving: Mapping[str, Release], loaded: Mapping[Release, Fitted]
) -> Day:
    features = dataset.features_frame(model, rows)
    served = {}
    for one, fitted in loaded.items():
        if fitted.last >= day:
            raise IntegrityError(f"the release model of {one.as_of} was fitted up to {fitted.last}: it has seen {day}.")
        scores = measures.score_features(model, fitted.pipeline, features)
        served[one] = Served(one.as_of, fitted.last, scores)
    return Day(day, dataset.labels(model, rows), {policy: served[one] for policy, one in serving.items()})
