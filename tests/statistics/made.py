"""Days of a made-up model and references of them: every day has an effect of its own, like weather."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import numpy as np

from include.statistics import reference
from include.statistics.reference import LAYOUT, DayProfile, FeatureReference, Importance, Reference

Columns = dict[str, np.ndarray]
IMPORTANCE = {"x": 0.06, "wind": 0.02, "shop": 0.02, "flag": 0.0, "noise": -0.001}


def key(at: int) -> str:
    """The partition key of a day."""
    return (date(2026, 1, 1) + timedelta(days=at)).isoformat()


def day(seed: int, rows: int = 100, level: float | None = None) -> Columns:
    """The columns of a day, and its score.

    Parameters
    ----------
    level : the effect of the day on ``x`` and the score; ``None``: a random one.
    """
    random = np.random.default_rng([seed, 7])
    drawn = random.normal(0, 0.5) if level is None else level
    x = random.normal(drawn, 1, size=rows)
    wind = random.gamma(3 + abs(drawn), 4, size=rows)
    wind[random.random(rows) < 0.05] = np.nan
    shares = random.dirichlet([20, 30, 50])
    return {
        "x": x,
        "wind": wind,
        "shop": random.choice(np.array(["Aarhus", "Bergen", "Cork"], dtype=object), p=shares, size=rows),
        "flag": np.where(random.random(rows) < 0.3, "true", "false").astype(object),
        "noise": random.normal(size=rows),
        "score": 1 / (1 + np.exp(-x)),
    }


def days(seed: int, number: int, rows: int = 100) -> list[Columns]:
    return [day(1000 * seed + at, rows) for at in range(number)]


def of(
    columns: Sequence[Columns],
    importance: Mapping[str, float | None] = IMPORTANCE,
    duplicates: Sequence[int] | None = None,
) -> Reference:
    """The reference that these days make."""
    sizes = [len(next(iter(one.values()))) for one in columns]
    ends = np.cumsum([0, *sizes])
    at = [np.arange(first, last) for first, last in zip(ends[:-1], ends[1:], strict=True)]
    every = {name: np.concatenate([one[name] for one in columns]) for name in columns[0]}
    features = {name: reference.of_feature(name, values, at) for name, values in every.items()}
    score = features.pop("score", None)
    return Reference(
        layout=LAYOUT,
        snapshot="0" * 64,
        days=tuple(map(key, range(len(columns)))),
        rows=tuple(sizes),
        duplicates=tuple(duplicates or [0] * len(columns)),
        features=tuple(features.values()),
        scores=() if score is None else (score,),
        scores_lack=None if score else "it was not scored",
        importance=Importance(metric="log_loss", rows=500, repeats=3, seed=0, by_input=dict(importance)),
    )


def profile(known: Reference, columns: Columns, at: int = 200, duplicates: int = 0) -> DayProfile:
    """The profile of a day on the schemes of a reference."""
    rows = len(next(iter(columns.values())))
    score = {"score": columns["score"]} if "score" in columns else {}
    features = {name: values for name, values in columns.items() if name != "score"}
    return known.profile(key(at), rows, duplicates, features, score)


def feature(known: Reference, name: str) -> FeatureReference:
    return next(one for one in (*known.features, *known.scores) if one.name == name)
