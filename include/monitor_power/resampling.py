"""Months of monitoring over drawn days: how often an incident is opened although nothing changed, or because it did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from include.data.monitoring import Kind, Measured
from include.monitor_power.damages import Damage, applied
from include.monitor_power.stretch import Day, Stretch, key_of, profile
from include.monitoring import counters, drift, findings
from include.monitoring.counters import DayFacts
from include.monitoring.policy import Labels, Newest
from include.records import Record
from include.registry.incident_rows import Severity
from include.spec import Model
from include.statistics.reference import Reference
from include.statistics.results import Result

MONTH = 30
MONTHS = 4
"""Months that follow one drawn reference; making the reference takes as long as monitoring several of them."""
REFERENCE_DAYS = 90
CONFIDENCE = 0.95
LABELS = Labels(learned_until="2000-12-31", matured_until="9999-12-31")
"""There always are new labels, so that nothing but the measures decides."""


@dataclass(frozen=True)
class Draw:
    """What one month is made of.

    Attributes
    ----------
    block : days that stay together. ``months`` : that one reference is used for.
    damage : what is wrong from the first day on; None: nothing.
    """

    seed: int = 0
    block: int = 1
    months: int = MONTHS
    damage: Damage | None = None
    feature: str = ""
    strength: float = 0.0
    spread: float = 0.0


class Opened(Record):
    """An incident of a month: its kind and cause, whether it pages a person, and after how many days."""

    kind: str
    cause: str
    critical: bool
    after: int


class Month(Record):
    """The incidents of one month; ``retrained`` : whether the policy asked for a retraining."""

    opened: tuple[Opened, ...]
    retrained: bool

    @property
    def pages(self) -> bool:
        return any(one.critical for one in self.opened)


def months(stretch: Stretch, draw: Draw) -> list[Month]:
    """Draw a reference, and from the other days `MONTHS` months; all are monitored as `<model>_monitor` does."""
    random = np.random.default_rng(draw.seed)
    chosen = drawn(len(stretch.days), draw.block, random)
    wanted = min(REFERENCE_DAYS, len(chosen) * 3 // 4)
    made, rest = stretch.reference(chosen[:wanted]), sorted(chosen[wanted:])
    found = []
    for _ in range(draw.months):
        order = [rest[at] for at in drawn(len(rest), draw.block, random)]
        live = [stretch.days[order[at % len(order)]] for at in range(MONTH)]
        if draw.damage is not None:
            live = applied(live, draw.damage, draw.feature, draw.strength, draw.spread, random)
        found.append(monitored(stretch.model, made, live))
    return found


def monitored(model: Model, made: Reference, live: Sequence[Day]) -> Month:
    """Monitor consecutive days of a model in service."""
    rows: list[Measured] = []
    opened: dict[tuple[str, str], Opened] = {}
    retrained, previous = False, None
    for at, day in enumerate(live):
        key = key_of(at)
        today = profile(made, key, day)
        counted = counters.judge(made, today, DayFacts(rows=day.rows), previous=previous)
        drifted = drift.judge(made, today, damaged=counters.damaged(counted))
        weights = made.importance.weights()
        rows += _rows(key, day, Kind.COUNTER, counted, {}) + _rows(key, day, Kind.DRIFT, drifted, weights)
        first = findings.first_day(model, key)
        rows = [one for one in rows if one.partition >= first]
        judged = findings.judge(model, key, rows, LABELS, Newest())
        retrained |= judged.action.retrain
        for seen in judged.findings.seen:
            critical, name = seen.severity is Severity.CRITICAL, (seen.kind.value, seen.cause)
            if name not in opened or (critical and not opened[name].critical):
                opened[name] = Opened(kind=name[0], cause=name[1], critical=critical, after=at + 1)
        previous = today
    return Month(opened=tuple(opened.values()), retrained=retrained)


def drawn(days: int, block: int, random: np.random.Generator) -> list[int]:
    """The places of all days in a random order of blocks."""
    begin = int(random.integers(block))
    edges = [0, *range(begin or block, days, block), days]
    blocks = [range(low, high) for low, high in zip(edges, edges[1:], strict=False) if low < high]
    return [at for one in random.permutation(len(blocks)) for at in blocks[int(one)]]


def upper(alarms: int, runs: int, confidence: float = CONFIDENCE) -> float:
    """The upper confidence bound of a share (Clopper and Pearson 1934, Biometrika 26, 404-413)."""
    return 1.0 if alarms >= runs else float(stats.beta.ppf(confidence, alarms + 1, runs - alarms))


def _rows(key: str, day: Day, kind: Kind, results: Sequence[Result], weights: dict[str, float]) -> list[Measured]:
    return [
        Measured(
            partition=key,
            kind=kind,
            version=1,
            rows=day.rows,
            importance=weights.get(one.subject, 0.0) if kind is Kind.DRIFT and one.subject else None,
            result=one,
        )
        for one in results
    ]
