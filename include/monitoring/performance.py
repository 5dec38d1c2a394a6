"""How good the scores that count were: of a day, and of the newest days together, with intervals by blocks of days.

Performance is shown and never judged: it has no limit, so its state is unknown. (Measured: an alarm on the loss against
the promise fired on 70 % of healthy spans of 60 days, because days differ more than models do.) What is judged is the
paired rule, in which two fits are compared on the same days (`include.monitoring.pairing`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from include.data.monitoring import Kind, Measured, Source
from include.gate import comparison
from include.gate.evaluation import finite
from include.spec import Model
from include.statistics import uncertainty
from include.statistics.metrics import Metric
from include.statistics.results import Cause, Result, State
from include.training import measures

FORMULA = 1

Promise = Callable[[int, str], float | None]
"""A metric of a version's twin on its holdout, by version and name of the metric; None if it is not known."""


@dataclass(frozen=True)
class Scored:
    """Rows with a label and with a score that counts, of one day or of several.

    Attributes
    ----------
    partitions : of shape (rows,): the day of each row. ``labels`` : as `dataset.labels` gives them.
    scores : as `measures.score` gives them. ``version``, ``live`` : as in `matching.Matched`.
    baseline : the scores of the trivial candidate; nan in rows of versions whose baseline is not known.
    slices : the values of the columns of ``gate.slices``, by column.
    """

    partitions: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    version: np.ndarray
    live: np.ndarray
    baseline: np.ndarray
    slices: dict[str, np.ndarray]

    @property
    def rows(self) -> int:
        return len(self.labels)

    @property
    def days(self) -> int:
        return len(np.unique(self.partitions))

    def where(self, these: np.ndarray) -> Scored:
        """The rows of a boolean mask."""
        return Scored(
            self.partitions[these],
            self.labels[these],
            self.scores[these],
            self.version[these],
            self.live[these],
            self.baseline[these],
            {column: values[these] for column, values in self.slices.items()},
        )


def of_day(model: Model, key: str, batch: str | None, day: Scored, promise: Promise) -> list[Measured]:
    """Every metric of the rows of one day, by version and source of the scores; without intervals.

    If the scores of a day are of several versions or sources, there is also a row of them together, without a version
    or without a source.
    """
    groups = sorted(set(zip(day.version.tolist(), day.live.tolist(), strict=True)))
    parts = [(_only(day.version), _source(day.live), np.ones(day.rows, dtype=bool))]
    if len(groups) > 1:
        parts += [
            (version, Source.LIVE if live else Source.REPLAYED, (day.version == version) & (day.live == live))
            for version, live in groups
        ]
    metrics = measures.metrics_of(model)
    return [
        _measured(model, key, batch, name, metric, day.where(these), promise, version, source, intervals=False)
        for version, source, these in parts
        for name, metric in metrics.items()
    ]


def of_window(model: Model, key: str, batch: str | None, window: Scored, promise: Promise) -> list[Measured]:
    """Every metric of the newest days together, and the metrics of the gate by declared slice.

    The interval is two-sided, at ``2 x gate.alpha``, by the jackknife over blocks of days (`uncertainty`). The promise
    of scores of several versions is the mean of their promises, weighted by their rows.
    """
    version, source = _only(window.version), _source(window.live)
    metrics = measures.metrics_of(model)
    found = [
        _measured(model, key, batch, name, metric, window, promise, version, source) for name, metric in metrics.items()
    ]
    wanted = dict.fromkeys((model.training.metric, model.gate.baseline_metric or model.training.metric))
    for column, value, part in _slices(model, window):
        found += [
            _measured(model, key, batch, name, metrics[name], part, promise, version, source, slice=f"{column}={value}")
            for name in wanted
        ]
    return found


def unknown(model: Model, key: str, batch: str | None, why: str) -> Measured:
    """The row of a day whose performance is not known."""
    result = Result(
        subject="",
        measure=model.training.metric,
        formula=FORMULA,
        value=None,
        state=State.UNKNOWN,
        cause=Cause.STALE,
        sentence=f"{model.training.metric} of {key} is not known: {why}",
    )
    return Measured(partition=key, kind=Kind.PERFORMANCE, rows=0, batch=batch, result=result)


def _slices(model: Model, window: Scored) -> Iterator[tuple[str, str, Scored]]:
    """The rows of each value of the declared columns, those with the most rows first."""
    for column in model.gate.slices:
        values = window.slices[column]
        names, counts = np.unique(values.astype(str), return_counts=True)
        for name in names[np.argsort(-counts, kind="stable")]:
            yield column, str(name), window.where(values.astype(str) == name)


def _measured(
    model: Model,
    key: str,
    batch: str | None,
    name: str,
    metric: Metric,
    rows: Scored,
    promise: Promise,
    version: int | None,
    source: Source | None,
    slice: str = "",
    intervals: bool = True,
) -> Measured:
    value = finite(metric.compute(rows.labels, rows.scores)) if rows.rows else None
    low = high = None
    if intervals and value is not None:
        low, high = interval(model, metric, rows.labels, rows.scores, rows.partitions)
    promised, trivial = None if slice else _promised(rows, promise, name), _trivial(metric, rows)
    days = rows.days if intervals else 1
    return Measured(
        partition=key,
        kind=Kind.PERFORMANCE,
        version=version,
        slice=slice,
        source=source,
        rows=rows.rows,
        days=max(days, 1),
        low=low,
        high=high,
        promise=promised,
        baseline=trivial,
        batch=batch,
        result=Result(
            subject="",
            measure=name,
            formula=FORMULA,
            value=value,
            state=State.UNKNOWN,
            cause=Cause.STALE,
            sentence=_sentence(name, value, rows, days, slice, promised, trivial),
        ),
    )


def interval(
    model: Model, metric: Metric, y: np.ndarray, scores: np.ndarray, partitions: np.ndarray
) -> tuple[float | None, float | None]:
    """The interval of a metric by blocks of days, at ``gate.alpha`` on either side; None if it is not known."""
    block, alpha = uncertainty.blocks(partitions, model.gate.block_days), model.gate.alpha
    if metric.by_row is not None:
        found = uncertainty.jackknife_of_means(metric.by_row(y, scores), block, alpha)
    else:
        found = uncertainty.jackknife(lambda at: metric.compute(y[at], scores[at]), block, alpha)
    return (finite(found.lower), finite(found.upper)) if found.known else (None, None)


def _only(versions: np.ndarray) -> int | None:
    """The version, if it is one."""
    found = np.unique(versions)
    return int(found[0]) if len(found) == 1 else None


def _source(live: np.ndarray) -> Source | None:
    """The source, if it is one."""
    if live.all():
        return Source.LIVE
    return None if live.any() else Source.REPLAYED


def _promised(rows: Scored, promise: Promise, metric: str) -> float | None:
    versions, counts = np.unique(rows.version, return_counts=True)
    found = [promise(int(version), metric) for version in versions]
    known = [one for one in found if one is not None]
    if not known or len(known) < len(found):
        return None
    return float(np.average(known, weights=counts))


def _trivial(metric: Metric, rows: Scored) -> float | None:
    """The metric of the trivial candidate; None if its score of any of the rows is not known."""
    if not rows.rows or not np.isfinite(rows.baseline).all():
        return None
    return finite(metric.compute(rows.labels, rows.baseline))


def _sentence(
    name: str,
    value: float | None,
    rows: Scored,
    days: int,
    slice: str,
    promised: float | None,
    trivial: float | None,
) -> str:
    where = f"on {rows.rows:,} rows" + (f" of {days} days" if days > 1 else "") + (f" with {slice}" if slice else "")
    if value is None:
        return f"{name} {where} is not defined"
    next_to = [f"promised {promised:.4g}"] if promised is not None else []
    next_to += [f"trivial baseline {trivial:.4g}"] if trivial is not None else []
    return f"{name} is {value:.4g} {where}" + (f" ({', '.join(next_to)})" if next_to else "")


def joined(parts: Sequence[Scored]) -> Scored:
    """The rows of several days together; there is at least one."""

    def all_of(name: str) -> np.ndarray:
        return np.concatenate([getattr(one, name) for one in parts])

    return Scored(
        partitions=all_of("partitions"),
        labels=all_of("labels"),
        scores=all_of("scores"),
        version=all_of("version"),
        live=all_of("live"),
        baseline=all_of("baseline"),
        slices={column: np.concatenate([one.slices[column] for one in parts]) for column in parts[0].slices},
    )


def groups_of(model: Model, rows: object) -> dict[str, np.ndarray]:
    """The values of the columns of ``gate.slices``, by column, as the gate names them."""
    return {column: comparison.groups(rows[column]) for column in model.gate.slices}  # type: ignore[index]
