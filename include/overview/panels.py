"""What a monitor has measured, as the panels of a model's page: performance, drift, counters, staleness. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from include.overview.watched import (
    CounterOf,
    DriftCell,
    DriftMap,
    DriftRow,
    Performance,
    Scored,
    SliceScored,
    Staleness,
)
from include.partitions import keys_between

if TYPE_CHECKING:
    from include.data.monitoring import Measured

WEIGHTED, SCORE = "weighted_drift", "score"
"""The measure of the whole model, and the subject of the score (``score.<class>`` of several classes)."""
NEXT_TO_IT = "psi"
"""Shown in tables elsewhere; it decides nothing, so it is not in the map."""
ORDER = {"violated": 0, "unknown": 1, "healthy": 2}
"""The states, the worst first."""


def performance_of(
    rows: Iterable[Measured], first_metric: str | None, larger: Mapping[str, bool]
) -> tuple[Performance, ...]:
    """The metrics over time, that of training first.

    Parameters
    ----------
    rows : of the kind ``performance``. ``larger`` : whether a larger value is better, by metric.
    """
    found: dict[str, list[Measured]] = {}
    for row in rows:
        found.setdefault(row.result.measure, []).append(row)
    names = sorted(found, key=lambda name: (name != first_metric, name))
    return tuple(_performance(name, found[name], larger.get(name)) for name in names)


def _performance(metric: str, rows: Sequence[Measured], larger: bool | None) -> Performance:
    ordered = sorted(rows, key=lambda row: (row.partition, row.version or 0))
    whole = [_scored(row) for row in ordered if not row.slice]
    newest: dict[str, Scored] = {}
    for row in ordered:
        if row.slice:
            newest[row.slice] = _scored(row)
    slices = [SliceScored(name, scored) for name, scored in newest.items()]
    sign = 1 if larger else -1
    slices.sort(
        key=lambda one: (
            ORDER.get(one.scored.state, 1),
            one.scored.value is None,
            sign * (one.scored.value or 0.0),
            one.slice,
        )
    )
    return Performance(
        metric=metric,
        larger=larger,
        singles=tuple(one for one in whole if one.days == 1),
        windows=tuple(one for one in whole if one.days > 1),
        slices=tuple(slices),
    )


def _scored(row: Measured) -> Scored:
    return Scored(
        day=row.partition,
        days=row.days,
        version=row.version,
        source=None if row.source is None else row.source.value,
        rows=row.rows,
        value=row.result.value,
        low=row.low,
        high=row.high,
        promise=row.promise,
        baseline=row.baseline,
        state=row.result.state.value,
        sentence=row.result.sentence,
    )


def drift_of(rows: Iterable[Measured], last: str | None = None) -> DriftMap | None:
    """Drift over time; ``None`` if none was measured.

    If several versions served on a day, the newest one's figures are shown: the others are history by then.

    Parameters
    ----------
    rows : of the kind ``drift``. ``last`` : the last day of the map; ``None``: the newest measured one.
    """
    cells: dict[tuple[int, str], dict[str, Measured]] = {}
    for row in sorted(rows, key=lambda row: (row.partition, row.version or 0)):
        if row.result.measure != NEXT_TO_IT:
            cells.setdefault((_level(row), row.result.subject), {})[row.partition] = row
    if not cells:
        return None
    days = {day for by_day in cells.values() for day in by_day}
    shown = tuple(keys_between(min(days), max(last or "", *days)))
    found = [
        _drift_row(level == FEATURE, subject, [by_day.get(day) for day in shown])
        for (level, subject), by_day in cells.items()
    ]
    levels = {id(row): level for row, (level, _) in zip(found, cells, strict=True)}
    found.sort(key=lambda row: (levels[id(row)], -(row.importance or 0.0), row.importance is None, row.subject))
    return DriftMap(shown, tuple(found))


MODEL, OF_SCORE, FEATURE = range(3)


def _level(row: Measured) -> int:
    if row.result.measure == WEIGHTED:
        return MODEL
    subject = row.result.subject
    # a feature can have the name of the score; only features have an importance
    return OF_SCORE if row.importance is None and subject.partition(".")[0] == SCORE else FEATURE


def _drift_row(feature: bool, subject: str, rows: Sequence[Measured | None]) -> DriftRow:
    there = [row for row in rows if row is not None]
    importance = next((row.importance for row in reversed(there) if row.importance is not None), None)
    return DriftRow(subject, there[-1].result.measure, feature, importance, tuple(_cell(row) for row in rows))


def _cell(row: Measured | None) -> DriftCell | None:
    if row is None:
        return None
    of = row.result
    return DriftCell(row.partition, of.state.value, of.value, of.high, of.sentence)


def chosen_feature(drift: DriftMap | None, wanted: str | None) -> str | None:
    """The feature whose distributions are shown: the wanted one, else the most important one that drifts on its newest
    day, else that has drifted on any day, else the most important one."""
    features = [row for row in drift.rows if row.feature] if drift else []
    if wanted in {row.subject for row in features}:
        return wanted
    drifting = [row for row in features if row.newest is not None and row.newest.state == "violated"]
    return next((row.subject for row in (*drifting, *(row for row in features if row.beyond), *features)), None)


def counters_of(rows: Iterable[Measured]) -> tuple[CounterOf, ...]:
    """The newest figure of each counter, those beyond a limit first, then the unknown ones."""
    found: dict[tuple[str, str], list[Measured]] = {}
    for row in sorted(rows, key=lambda row: (row.partition, row.version or 0)):
        found.setdefault((row.result.measure, row.result.subject), []).append(row)
    counters = [_counter(of) for of in found.values()]
    return tuple(sorted(counters, key=lambda one: (ORDER.get(one.state, 1), one.measure, one.subject)))


def _counter(rows: Sequence[Measured]) -> CounterOf:
    newest = rows[-1]
    of = newest.result
    return CounterOf(
        measure=of.measure,
        subject=of.subject,
        day=newest.partition,
        value=of.value,
        low=of.low,
        high=of.high,
        state=of.state.value,
        cause=of.cause.value,
        sentence=of.sentence,
        beyond=len({row.partition for row in rows if row.result.violated}),
    )


def staleness_of(rows: Sequence[Measured]) -> Staleness | None:
    """The newest comparison of the champion with a newer fit; ``None`` if there was none."""
    if not rows:
        return None
    newest = max(rows, key=lambda row: (row.partition, row.version or 0))
    of = newest.result
    return Staleness(
        day=newest.partition,
        version=newest.version,
        days=newest.days,
        value=of.value,
        low=newest.low,
        high=newest.high,
        limit=of.high,
        state=of.state.value,
        sentence=of.sentence,
    )
