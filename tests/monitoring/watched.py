"""A made-up model that is watched day by day: judged, written down, and looked at, as its monitor does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import cache
from typing import Any

import numpy as np

from include.data.monitoring import Kind, Measured
from include.monitoring import counters, drift, findings, policy
from include.monitoring.counters import DayFacts
from include.monitoring.findings import Findings
from include.monitoring.policy import Action, Labels, Newest
from include.registry.incident_rows import IncidentKind, Seen
from include.spec import Column, ColumnType, Data, Gate, Known, Label, Model, Monitoring, Task, Training
from include.statistics.reference import DayProfile, Reference
from include.statistics.results import Cause, Result, State
from tests.statistics import made

WEEKLY = "0 3 * * 0"
FRESH = Labels(learned_until=made.key(100), matured_until=made.key(150))


def model(trains: str = WEEKLY, gate: Gate | None = None, **monitoring: Any) -> Model:
    """A model that is not retrained every night, unless ``trains`` says so."""
    data = Data(
        columns=(
            Column(name="number", type=ColumnType.INTEGER, nullable=False),
            Column(name="at", type=ColumnType.TIMESTAMP, nullable=False),
            Column(name="late", type=ColumnType.INTEGER, known=Known.AFTER),
        ),
        key=("number",),
        event_time="at",
        label=Label(column="late", task=Task.CLASSIFICATION),
    )
    return Model(
        name="toy",
        owner="ada",
        description="Whether it is late.",
        start=date(2026, 1, 1),
        data=data,
        training=Training(schedule=trains),
        gate=gate or Gate(),
        monitoring=Monitoring(**monitoring),
    )


@cache
def reference(days: int = 90, seed: int = 1) -> Reference:
    return made.of(made.days(seed, days))


class Watched:
    """One model and what was measured of it so far."""

    def __init__(self, of: Model | None = None, known: Reference | None = None, first: int = 200) -> None:
        self.model, self.reference = of or model(), known or reference()
        self.rows: list[Measured] = []
        self.at = first
        self.before: DayProfile | None = None

    def day(
        self,
        columns: made.Columns | None,
        facts: DayFacts | None = None,
        duplicates: int = 0,
        stale: Result | None = None,
        newest: Newest | None = None,
        labels: Labels = FRESH,
    ) -> tuple[Action, Findings]:
        """The next day; ``None``: it has no published rows."""
        profile = None if columns is None else made.profile(self.reference, columns, self.at, duplicates)
        return self.profiled(profile, facts, stale, newest, labels)

    def profiled(
        self,
        profile: DayProfile | None,
        facts: DayFacts | None = None,
        stale: Result | None = None,
        newest: Newest | None = None,
        labels: Labels = FRESH,
        also: Sequence[Result] = (),
    ) -> tuple[Action, Findings]:
        """The next day, of which the profile is known; ``also`` are further counters."""
        key = made.key(self.at)
        known = facts or DayFacts(rows=0 if profile is None else profile.rows, quarantined=0, late=False)
        declared = self.model.monitoring.leave_out
        identity = (*self.model.data.key, self.model.data.event_time)
        counted = counters.judge(
            self.reference, profile, known, previous=self.before, leave_out=declared, identity=identity
        )
        counted = (*counted, *also)
        self._write(key, Kind.COUNTER, counted, None)
        if profile is not None:
            distances = drift.judge(self.reference, profile, declared, counters.damaged(counted))
            self._write(key, Kind.DRIFT, distances, 1)
        if stale is not None:
            self._write(key, Kind.STALENESS, [stale], 1)
        self.at, self.before = self.at + 1, profile
        state = newest or Newest()
        rows = [one for one in self.rows if one.partition > made.key(self.at - 1 - policy.days_needed(self.model))]
        action = policy.decide(self.model, key, rows, labels, state)
        return action, findings.find(self.model, key, rows, action, state)

    def _write(self, key: str, kind: Kind, results: Sequence[Result], version: int | None) -> None:
        weights = self.reference.importance.weights(self.model.monitoring.leave_out)
        for one in results:
            share = weights.get(one.subject, 0.0) if kind is Kind.DRIFT and one.subject in self._features() else None
            self.rows.append(Measured(partition=key, kind=kind, version=version, rows=1, importance=share, result=one))

    def _features(self) -> set[str]:
        return {one.name for one in self.reference.features}


def names(found: Findings) -> set[tuple[str, str, str]]:
    """Kind, cause and severity of each finding."""
    return {(one.kind.value, one.cause, one.severity.value) for one in found.seen}


def the(found: Findings, kind: IncidentKind, cause: str) -> Seen:
    """The finding of a kind and cause."""
    return next(one for one in found.seen if one.kind is kind and one.cause == cause)


def measured(key: str, state: State, subject: str = "x", measure: str = "wasserstein", **changes: Any) -> Measured:
    """A row of the table with a state."""
    value = {State.HEALTHY: 0.1, State.VIOLATED: 2.0, State.UNKNOWN: None}[state]
    values = {"partition": key, "kind": Kind.DRIFT, "version": 1, "rows": 100}
    result = Result(
        subject=subject,
        measure=measure,
        formula=1,
        value=value,
        high=1.0,
        state=state,
        cause=changes.pop("cause", Cause.DRIFT),
        sentence=f"{subject or 'the model'} is {value} (limit 1)",
    )
    return Measured.model_validate({**values, **changes, "result": result})


def stale(state: State = State.VIOLATED) -> Result:
    """What the paired rule has found."""
    value = {State.HEALTHY: 0.001, State.VIOLATED: 0.031, State.UNKNOWN: None}[state]
    return Result(
        subject="",
        measure="paired_gain",
        formula=1,
        value=value,
        high=0.002,
        state=state,
        cause=Cause.STALE,
        sentence=f"a newer fit is {value} better" if value else "whether the champion is stale is not known: no pair",
    )


def shifted(columns: made.Columns, by: float) -> made.Columns:
    """A day whose ``x``, and the score with it, is larger by so many standard deviations."""
    x = columns["x"] + by
    return columns | {"x": x, "score": 1 / (1 + np.exp(-x))}
