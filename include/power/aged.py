"""Fits of one recipe that end on different days, and their scores of the days after; no fit is made twice.

A fit has the window of its candidate and ends on a day of its own, as a release model does. A fit of boosting with
early stopping finds its own number of iterations.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from include import files
from include.backtest.history import History
from include.backtest.store import settings_of
from include.errors import DataError, IntegrityError
from include.partitions import keys_between
from include.spec import Model
from include.training import candidates, dataset, measures

VERSION = 1  # of the files


@dataclass(frozen=True)
class Fit:
    """One fit, made or not: ``candidate`` fitted on ``days`` and judged on ``judged``, both spans of keys."""

    candidate: str
    days: dataset.Span
    judged: dataset.Span
    path: Path

    @property
    def last(self) -> str:
        """The last day that it learns from."""
        return self.days[1]


@dataclass(frozen=True)
class Scored:
    """The scores of a fit on days that it has not seen.

    Attributes
    ----------
    labels, scores : by day, as `dataset.labels` and `measures.score` give them.
    refused : why there is no fit, or None.
    """

    labels: dict[str, np.ndarray]
    scores: dict[str, np.ndarray]
    refused: str | None


def planned(model: Model, history: History, name: str, last: str, reach: int, code: str, root: Path) -> Fit:
    """The fit of candidate ``name`` that ends on ``last`` and is judged on the ``reach`` days after it.

    Parameters
    ----------
    code : `store.code_digest`. ``root``: the folder of the files.
    """
    end = date.fromisoformat(last)
    window = candidates.window_of(candidates.load(model)[name], model.training.window_days)
    until = end + timedelta(days=reach)
    first = max(model.start, date.fromisoformat(min(history.published())))
    if isinstance(window, int):
        first = max(first, end - timedelta(days=window - 1))
    if model.data.repeats_after is not None:  # the copies of the days that it is judged on are not learned from
        first = max(first, until - timedelta(days=model.data.repeats_after - 1))
    days, judged = (first.isoformat(), last), ((end + timedelta(days=1)).isoformat(), until.isoformat())
    document = {
        "version": VERSION,
        "code": code,
        "settings": settings_of(model),
        "candidate": name,
        "days": days,
        "judged": judged,
        "rows": history.snapshot(days[0], judged[1]).digest,
    }
    key = files.sha256(json.dumps(document, sort_keys=True).encode())
    return Fit(name, days, judged, root / f"{last}-{name}-{key[:16]}.npz")


def make(model: Model, history: History, fit: Fit) -> str:
    """Fit, score and keep; a refusal is kept, too. The day that it ends on."""
    try:
        rows, scores = _scores(model, history, fit)
    except DataError as refused:
        _keep(fit, refused=np.array(str(refused)))
    else:
        days, counts = np.unique(np.asarray(rows["partition"], dtype=str), return_counts=True)
        _keep(fit, days=days, counts=counts, labels=dataset.labels(model, rows), scores=scores)
    return fit.last


def read(fit: Fit) -> Scored:
    """What `make` has kept."""
    with np.load(fit.path) as kept:
        if "refused" in kept:
            return Scored({}, {}, str(kept["refused"]))
        ends = np.cumsum(kept["counts"])[:-1]
        days = [str(day) for day in kept["days"]]
        labels, scores = (dict(zip(days, np.split(kept[name], ends), strict=True)) for name in ("labels", "scores"))
    return Scored(labels, scores, None)


def _scores(model: Model, history: History, fit: Fit) -> tuple[Any, np.ndarray]:
    """The rows with labels of the judged days in their order, and their scores."""
    _refuse_missing(model, history, fit)
    learned = history.read_snapshot(history.snapshot(*fit.days))
    fitted = candidates.fit(model, candidates.load(model)[fit.candidate], learned, model.training.seed)
    rows = dataset.sort(model, dataset.labelled(model, history.read_snapshot(history.snapshot(*fit.judged))))
    if rows.empty:
        raise DataError(f"no row from {fit.judged[0]} to {fit.judged[1]} has a label.")
    if fitted.last >= str(rows["partition"].iloc[0]):
        raise IntegrityError(
            f"the fit of {fit.candidate} has seen {fitted.last}, and is judged on days from {fit.judged[0]}."
        )
    return rows, measures.score(model, fitted.pipeline, rows)


def _refuse_missing(model: Model, history: History, fit: Fit) -> None:
    """Raises as a night would (`training.max_missing_days`), for the days that every window has."""
    end, length = date.fromisoformat(fit.last), model.training.window_days
    first = max(fit.days[0], (end - timedelta(days=length - 1)).isoformat())
    there = history.published()
    missing = [key for key in keys_between(first, fit.last) if key not in there]
    if len(missing) > model.training.max_missing_days:
        raise DataError(f"{len(missing)} of the days from {first} to {fit.last} are not in the lake.")


def _keep(fit: Fit, **arrays: Any) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    files.write(fit.path, buffer.getvalue())


def paired(newer: Scored, older: Scored, days: Sequence[str]) -> tuple[np.ndarray, ...]:
    """Labels, the scores of both and the day of each row, on those of ``days`` that have labels.

    Raises
    ------
    IntegrityError : the two were not scored on the same rows.
    """
    there = [day for day in days if day in newer.labels]
    for day in there:
        if day not in older.labels or not np.array_equal(newer.labels[day], older.labels[day]):
            raise IntegrityError(f"two fits were judged on different rows of {day}.")
    if not there:
        return np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0, dtype=str)
    block = np.repeat(there, [len(newer.labels[day]) for day in there])
    joined = [np.concatenate([of[day] for day in there]) for of in (newer.labels, newer.scores, older.scores)]
    return (*joined, block)
