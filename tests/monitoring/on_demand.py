"""Replays a history day by day without a deployment: retrained every night, on demand by the paired rule, or never.

Every fit has the recipe of one candidate. The one that ends on a day is at once the release model of that night, and
the probe of the day ``paired_days`` later. So a whole history needs one fit a day. There is no gate: what is retrained
serves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np
import pandas as pd

from include.monitoring import staleness
from include.monitoring.staleness import Pair
from include.partitions import earlier, keys_between
from include.spec import Model
from include.training import candidates, dataset, measures

REACH = 180
"""Days after its end that a fit is scored on."""


@dataclass(frozen=True)
class Replayed:
    """What a history came to.

    Attributes
    ----------
    metric : ``training.metric`` over all rows by policy: ``nightly``, ``on demand``, ``never``.
    retrained : the days of a retraining on demand. ``probes`` : fits that were made to compare. ``days`` : of the
        replay.
    """

    metric: dict[str, float]
    retrained: tuple[str, ...]
    probes: int
    days: int

    @property
    def retrained_a_year(self) -> float:
        return len(self.retrained) / self.days * 365

    def __str__(self) -> str:
        scores = ", ".join(f"{policy} {value:.4g}" for policy, value in self.metric.items())
        return (
            f"{self.days} days: {scores}; on demand {len(self.retrained)} retrainings ({self.retrained_a_year:.1f} a "
            f"year) and {self.probes} probes: {', '.join(self.retrained)}"
        )


@dataclass(frozen=True)
class Scored:
    """The labels of a day, and the scores of one fit."""

    labels: np.ndarray
    scores: np.ndarray


class History:
    """The rows of a history, and the scores of the fits of one candidate by the last day that they learn from."""

    def __init__(self, model: Model, candidate: str, rows: pd.DataFrame) -> None:
        self.model, self.candidate = model, candidates.load(model)[candidate]
        self.rows = dataset.sort(model, dataset.labelled(model, rows))
        self._scored = lru_cache(maxsize=None)(self._of_fit)

    def scored(self, last: str, days: Sequence[str], until: str | None = None) -> dict[str, Scored]:
        """The days that have rows, scored by the fit that ends on ``last``; ``until``: if `REACH` is not enough."""
        found = self._scored(last, until or earlier(last, -REACH))
        return {day: found[day] for day in days if day in found}

    def _of_fit(self, last: str, until: str) -> dict[str, Scored]:
        model, window = self.model, candidates.window_of(self.candidate, self.model.training.window_days)
        assert isinstance(window, int)
        learned = dataset.between(self.rows, (earlier(last, window - 1), last))
        fitted = candidates.fit(model, self.candidate, learned, model.training.seed)
        judged = dataset.between(self.rows, (earlier(last, -1), until))
        labels, scores = dataset.labels(model, judged), measures.score(model, fitted.pipeline, judged)
        return {str(day): Scored(labels[at], scores[at]) for day, at in judged.groupby("partition").indices.items()}


def replay(history: History, first: str, last: str) -> Replayed:
    """Retrain on demand from ``first`` to ``last``, both included; the champion of the first day has learned up to it.

    As a deployment does it: once the champion has learned from none of the ``paired_days``, it is compared with the
    newest probe of its recipe, which is made every ``probe_days`` days and up to the day before them; the rule is that
    of `staleness.judge`.
    """
    model, settings, days = history.model, history.model.monitoring, keys_between(first, last)
    champion, probe, probes = first, None, 0
    judged: list[bool] = []
    retrained: list[str] = []
    served: dict[str, list[Scored]] = {"nightly": [], "on demand": []}
    for key in days:
        newest = earlier(key, settings.paired_days)
        if min(_days(champion, newest), _days(probe or champion, newest)) >= settings.probe_days:
            probe, probes = newest, probes + 1
        judged.append(probe is not None and _stale(history, champion, probe, keys_between(earlier(newest, -1), key)))
        enough = sum(judged[-settings.of_days :]) >= settings.alarm_days
        if judged[-1] and enough and _allowed(model, key, retrained):
            champion, probe, judged = key, None, []
            retrained.append(key)
        for policy, fit in (("nightly", key), ("on demand", champion)):
            served[policy] += history.scored(fit, [earlier(key, -1)]).values()
    end = earlier(last, -1)
    served["never"] = [*history.scored(first, keys_between(earlier(first, -1), end), end).values()]
    metric = measures.metric(model, model.training.metric)
    found = {
        policy: float(metric.compute(np.concatenate([d.labels for d in of]), np.concatenate([d.scores for d in of])))
        for policy, of in served.items()
    }
    return Replayed(found, tuple(retrained), probes, len(days))


def _stale(history: History, champion: str, probe: str, days: Sequence[str]) -> bool:
    old, new = history.scored(champion, days), history.scored(probe, days)
    pair = Pair(
        y=np.concatenate([one.labels for one in new.values()]),
        champion=np.concatenate([old[day].scores for day in new]),
        newer=np.concatenate([one.scores for one in new.values()]),
        partitions=np.repeat(np.array(list(new), dtype=object), [len(one.labels) for one in new.values()]),
        champion_saw=champion,
        newer_saw=probe,
    )
    return staleness.judge(history.model, pair).result.violated


def _allowed(model: Model, key: str, before: Sequence[str]) -> bool:
    """Whether cool-down and budget allow a retraining, as `RetrainingRequests.reserve` counts them."""
    settings = model.monitoring
    recent = [day for day in before if _days(day, key) < settings.cooldown_days]
    return not recent and sum(_days(day, key) < 30 for day in before) < settings.retrainings_per_month


def _days(first: str, last: str) -> int:
    return (date.fromisoformat(last) - date.fromisoformat(first)).days
