"""What a monitor would have measured of a model: real profiles of made-up days, in a real table and a real bundle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from deltalake import DeltaTable

from include.data import monitoring
from include.data.monitoring import Kind, Measured, Source
from include.registry.ledger import Ledger
from include.statistics.drift import deciding
from include.statistics.reference import FeatureReference, Importance, Reference, of_feature
from include.statistics.results import Cause, Result, State

NUMBER, CATEGORY, STEADY = "distance", "carrier", "wind"
IMPORTANCE = {NUMBER: 0.5, CATEGORY: 0.3, STEADY: 0.2}
LAST = date(2026, 5, 9)
ROWS = 80


def key(ago: int = 0, last: date = LAST) -> str:
    """The day so many days before the last one."""
    return (last - timedelta(days=ago)).isoformat()


@dataclass
class Tables:
    """The required part of a lake, without a model's folder."""

    root: Path
    model: Any = None

    def table(self, name: str) -> DeltaTable:
        return DeltaTable(str(self.root / name))

    def committing(self, name: str, attempt: Callable[[DeltaTable], Any]) -> Any:
        return attempt(self.table(name))


def columns(seed: int, shift: float = 0.0) -> dict[str, np.ndarray]:
    """The inputs of a day. With a shift, distances grow by so many standard deviations, and one carrier vanishes."""
    of = np.random.default_rng(seed)
    carriers = np.array(["AA", "UA", "DL", "B6"], dtype=object)
    return {
        NUMBER: of.normal(900 + 300 * shift, 300, ROWS),
        CATEGORY: of.choice(carriers[: 3 if shift else 4], ROWS),
        STEADY: of.gamma(2, 5, ROWS),
    }


def reference(days: int = 60, names: Mapping[str, str] | None = None) -> Reference:
    """The reference of so many days; ``names``: other names of the features."""
    by_day = [columns(seed) for seed in range(days)]
    at = [np.arange(ROWS) + n * ROWS for n in range(days)]
    called = names or {}
    features = []
    for name in (NUMBER, CATEGORY, STEADY):
        every = np.concatenate([one[name] for one in by_day])
        features.append(of_feature(called.get(name, name), every, at))
    shares: dict[str, float | None] = {called.get(name, name): share for name, share in IMPORTANCE.items()}
    return Reference(
        layout=1,
        snapshot="s" * 64,
        days=tuple(key(200 + days - n) for n in range(days)),
        rows=(ROWS,) * days,
        duplicates=(0,) * days,
        features=tuple(features),
        scores=(),
        scores_lack="made up",
        importance=Importance(metric="log_loss", rows=ROWS, repeats=1, seed=0, by_input=shares),
    )


def result(
    measure: str, subject: str = "", value: float | None = 0.5, high: float | None = None, **more: Any
) -> Result:
    """A result whose state follows from its value and its upper limit, unless it is given."""
    state = State.UNKNOWN
    if value is not None and (high is not None or more.get("low") is not None):
        state = State.VIOLATED if high is not None and value > high else State.HEALTHY
    values: dict[str, Any] = {"state": state, "cause": Cause.DRIFT, "sentence": f"{measure} of {subject or 'all'}."}
    return Result(subject=subject, measure=measure, formula=1, value=value, high=high, **{**values, **more})


def drifted(of: Reference, day: str, seed: int, shift: float = 0.0, version: int = 1) -> list[Measured]:
    """The rows of the kind `drift` of a day, with real distances and profiles."""
    found = []
    original = dict(zip((one.name for one in of.features), (NUMBER, CATEGORY, STEADY), strict=True))
    inputs = columns(seed, shift)
    weighted = 0.0
    for one in of.features:
        assert one.scheme is not None
        profile = one.scheme.profile(inputs[original[one.name]])
        distances, measure = one.to(profile), deciding(one.scheme)
        for name, distance in distances.items():
            limit = one.limit(name)
            decides = name == measure
            found.append(
                Measured(
                    partition=day,
                    kind=Kind.DRIFT,
                    version=version,
                    rows=ROWS,
                    importance=of.importance.by_input[one.name],
                    profile=profile.model_dump_json() if decides else None,
                    result=result(name, one.name, distance, limit, sentence=f"{one.name}: {distance} of {limit}."),
                )  # fmt: skip
            )
            if decides and limit and distance is not None:
                weighted += (of.importance.by_input[one.name] or 0.0) * distance / limit
    whole = [result("weighted_drift", "", round(weighted, 6), 1.0), result("wasserstein", "score", None)]
    return found + [Measured(partition=day, kind=Kind.DRIFT, version=version, rows=ROWS, result=one) for one in whole]


def scored(day: str, value: float | None, days: int = 1, version: int = 1, **more: Any) -> Measured:
    """A row of the kind `performance`."""
    metric, measured_slice = more.pop("metric", "log_loss"), more.pop("slice", "")
    values: dict[str, Any] = {"source": Source.REPLAYED, "promise": 0.5, "baseline": 0.65}
    if days > 1 and value is not None:
        values |= {"low": value - 0.05, "high": value + 0.05}
    return Measured(
        partition=day, kind=Kind.PERFORMANCE, version=version, slice=measured_slice, rows=ROWS * days, days=days,
        result=result(metric, "", value, sentence=f"{metric} of {day}."), **{**values, **more},
    )  # fmt: skip


def counted(day: str, measure: str, value: float | None, high: float | None, subject: str = "") -> Measured:
    """A row of the kind `counter`."""
    return Measured(
        partition=day, kind=Kind.COUNTER, rows=ROWS, result=result(measure, subject, value, high, cause=Cause.DATA)
    )


def stale(day: str, value: float | None = 0.03, high: float = 0.01, sentence: str = "Stale by 0.03.") -> Measured:
    """A row of the kind `staleness`."""
    return Measured(
        partition=day, kind=Kind.STALENESS, version=1, rows=ROWS * 14, days=14, low=0.015, high=0.045,
        result=result("paired_gain", "", value, high, cause=Cause.STALE, sentence=sentence),
    )  # fmt: skip


def history(of: Reference, days: int = 60, drifting: int = 6, last: date = LAST) -> list[Measured]:
    """So many days of everything; the last ones drift."""
    found: list[Measured] = []
    for ago in reversed(range(days)):
        day, version = key(ago, last), 1 if ago > 25 else 2
        noise = float(np.random.default_rng(ago).normal(0, 0.03))
        level = 0.52 + (0.012 * (drifting - ago) if ago < drifting else 0.0)
        found += drifted(of, day, 1000 + ago, 2.0 if ago < drifting else 0.0, version=1)
        found.append(scored(day, round(level + noise, 6), version=version))
        found.append(scored(day, round(level, 6), days=14, version=version))
        found.append(scored(day, round(0.7 + noise, 6), version=version, metric="roc_auc"))
        found.append(scored(day, round(level + 0.02, 6), days=14, version=version, slice="carrier=AA"))
        found += [
            counted(day, "rows", 100.0, 500.0),
            counted(day, "missing", 0.4 if ago < 2 else 0.0, 0.1, of.features[0].name),
            counted(day, "latency", None, None),
        ]
        found.append(stale(day))
    return found


def write(root: Path, rows: list[Measured]) -> None:
    """Write the rows into the table of the model whose lake this is."""
    path = str(root / monitoring.NAME)
    if not DeltaTable.is_deltatable(path):
        DeltaTable.create(
            path,
            schema=monitoring.COLUMNS,
            partition_by=monitoring.PARTITION_BY,
            configuration={"delta.dataSkippingStatsColumns": monitoring.STATISTICS},
        )
    parts: dict[tuple[str, Kind], list[Measured]] = {}
    for row in rows:
        parts.setdefault((row.partition, row.kind), []).append(row)
    monitoring.write(Tables(root), parts, "c" * 64)


def keep(of: Reference, root: Path, model: str, version: int = 1) -> Path:
    """Keep the reference of a version whose bundle has none, as a monitor does; returns its file."""
    row = Ledger.default().version(model, version)
    assert row is not None
    kept = root / "references" / f"{row.bundle}.json"
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(of.model_dump_json())
    return kept


def of_reference(of: Reference, name: str) -> FeatureReference:
    return next(one for one in of.features if one.name == name)
