"""Drift that really happened: a champion that is frozen, watched by the paired rule, and retrained when it is stale.

Three policies serve the same days: the first champion for ever (``frozen``); the same champion until the rule asks for
a retraining and the gate promotes its result (``watched``); a new fit of the same recipe every week, without a gate
(``weekly``), which shows what could be had. No fit is judged on a day that it has seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np
import pandas as pd

from include.backtest.history import History
from include.backtest.in_memory import Champion
from include.backtest.lab import Lab
from include.data.monitoring import Kind, Measured
from include.errors import DataError, IntegrityError, ReleaseError
from include.gate.decision import Verdict
from include.monitoring import alarm, staleness
from include.monitoring.staleness import Pair, Paired
from include.partitions import earlier, keys_between
from include.progress import Advance
from include.records import PartitionKey, Record
from include.spec import Model
from include.training import candidates, dataset, measures
from include.training.candidates import Fitted
from include.training.recipes import Recipe

WEEK = 7
REFUSED = "refused"
POLICIES = ("frozen", "watched", "weekly")


class Retraining(Record):
    """A retraining that the rule has asked for.

    Attributes
    ----------
    day : the newest day of the comparison, and the as-of of the retraining.
    age : days from the as-of of the champion to this day.
    gain, lower : how much better the newer fit was, and the lower limit, in units of ``training.metric``.
    verdict : of the gate, or `REFUSED` if a guard of the refit refused the release model. ``reason`` : of the verdict.
    """

    day: PartitionKey
    age: int
    gain: float | None
    lower: float | None
    verdict: str
    reason: str

    @property
    def promoted(self) -> bool:
        return self.verdict == Verdict.PROMOTE


class DayOfPolicies(Record):
    """The metric of each policy on one day; None if it is not defined on its rows."""

    day: PartitionKey
    rows: int
    frozen: float | None
    watched: float | None
    weekly: float | None


class Frozen(Record):
    """The result of one history.

    Attributes
    ----------
    first : the as-of of the first champion. ``last`` : the newest day that is scored.
    """

    metric: str
    candidate: str
    first: PartitionKey
    last: PartitionKey
    retrainings: tuple[Retraining, ...]
    days: tuple[DayOfPolicies, ...]

    @property
    def caught(self) -> int | None:
        """Days from the first champion's as-of to the first alarm; None if there was none."""
        return self.retrainings[0].age if self.retrainings else None

    @property
    def recovers_from(self) -> str | None:
        """The as-of of the first promoted retraining."""
        return next((one.day for one in self.retrainings if one.promoted), None)

    def mean(self, policy: str, after: str = "", until: str = "9999") -> float | None:
        """The mean of the daily metric of a policy, weighted by rows, on the days after one key and up to another."""
        found = [(getattr(one, policy), one.rows) for one in self.days if after < one.day <= until]
        known = [pair for pair in found if pair[0] is not None]
        if not known:
            return None
        values, rows = zip(*known, strict=True)
        return float(np.average(values, weights=rows))

    @property
    def recovered(self) -> float | None:
        """The share of what freezing had cost that the watched policy has recovered, since its first promoted
        retraining: 1 is as good as a fit every week. None without one."""
        if self.recovers_from is None:
            return None
        frozen, watched, weekly = (self.mean(policy, self.recovers_from) for policy in POLICIES)
        if frozen is None or watched is None or weekly is None or frozen == weekly:
            return None
        return (frozen - watched) / (frozen - weekly)


class Truth:
    """Labels, features and scores of the days of a history; each is computed once.

    Parameters
    ----------
    rows : with labels, sorted.
    """

    def __init__(self, model: Model, rows: pd.DataFrame) -> None:
        self.model, self.rows = model, rows
        places = rows.groupby("partition", observed=True).indices
        self.places = {str(day): np.asarray(at) for day, at in places.items()}
        self._days: dict[str, tuple[np.ndarray, pd.DataFrame]] = {}
        self._scores: dict[tuple[int, str], np.ndarray] = {}

    def labels(self, day: str) -> np.ndarray:
        return self._day(day)[0]

    def scores(self, fitted: Fitted, day: str) -> np.ndarray:
        """The scores of a fit.

        Raises
        ------
        IntegrityError : it has seen the day.
        """
        if fitted.last >= day:
            raise IntegrityError(f"a fit up to {fitted.last} has seen {day}")
        if (id(fitted), day) not in self._scores:
            features = self._day(day)[1]
            self._scores[id(fitted), day] = measures.score_features(self.model, fitted.pipeline, features)
        return self._scores[id(fitted), day]

    def _day(self, day: str) -> tuple[np.ndarray, pd.DataFrame]:
        if day not in self._days:
            here = self.rows.iloc[self.places[day]]
            self._days[day] = dataset.labels(self.model, here), dataset.features_frame(self.model, here)
        return self._days[day]

    def pair(self, champion: Fitted, newer: Fitted, days: Sequence[str]) -> Pair | None:
        """Both on those of these days that have labels; None if there is none, or a fit has seen one."""
        there = [day for day in days if day in self.places]
        if not there or max(champion.last, newer.last) >= there[0]:
            return None
        parts = [(self.labels(day), self.scores(champion, day), self.scores(newer, day)) for day in there]
        y, mine, theirs = (np.concatenate(found) for found in zip(*parts, strict=True))
        partitions = np.repeat(np.array(there, dtype=object), [len(found[0]) for found in parts])
        return Pair(y, mine, theirs, partitions, champion.last, newer.last)


class Weekly:
    """Fits of one recipe that end on a day of the week of ``first``, each made once."""

    def __init__(self, model: Model, recipe: Recipe, rows: pd.DataFrame, first: str) -> None:
        self.model, self.recipe, self.rows, self.first = model, recipe, rows, first
        self._made: dict[str, Fitted] = {}

    def newest(self, day: str) -> Fitted:
        """The newest fit that has seen no day after ``day``."""
        ago = (date.fromisoformat(day) - date.fromisoformat(self.first)).days % WEEK
        end = earlier(day, ago)
        if end not in self._made:
            window, begin = self.recipe.window_days, str(self.rows["partition"].iloc[0])
            if window != "all":
                begin = max(begin, earlier(end, window - 1))
            declared = candidates.load(self.model)[self.recipe.candidate]
            learned = dataset.between(self.rows, (begin, end))
            self._made[end] = candidates.fit(self.model, declared, learned, self.recipe.seed, self.recipe.iterations)
        return self._made[end]


def simulate(lab: Lab, history: History, first: str, last: str, advance: Advance) -> tuple[Frozen, Truth, Weekly]:
    """Serve and watch from ``first``, the as-of of the first champion, to ``last``.

    Raises
    ------
    DataError : the gate does not promote the first champion.
    """
    model = lab.model
    begun = lab.night(first)
    if begun.decision.verdict is not Verdict.PROMOTE:
        raise DataError(f"the night of {first} leads to no champion: {begun.decision.reason}")
    whole = history.read_snapshot(history.snapshot(min(history.published()), last))
    rows = dataset.sort(model, dataset.labelled(model, whole))
    truth, weekly = Truth(model, rows), Weekly(model, begun.chosen.recipe, rows, first)
    frozen = lab.release(begun).fitted
    watched = _Watched(lab, begun.champion(1), frozen, truth, weekly)
    days = list[DayOfPolicies]()
    for day in keys_between(first, last)[1:]:
        if day in truth.places:
            sides = {"frozen": frozen, "watched": watched.serving, "weekly": weekly.newest(earlier(day, 1))}
            days.append(_policies(model, truth, day, sides))
            watched.look(day)
        advance(day)
    found = Frozen(
        metric=model.training.metric,
        candidate=begun.challenger,
        first=first,
        last=last,
        retrainings=tuple(watched.retrainings),
        days=tuple(days),
    )
    return found, truth, weekly


def _policies(model: Model, truth: Truth, day: str, sides: Mapping[str, Fitted]) -> DayOfPolicies:
    metric, y = measures.metric(model, model.training.metric), truth.labels(day)
    found = {name: metric.compute(y, truth.scores(fitted, day)) for name, fitted in sides.items()}
    return DayOfPolicies(day=day, rows=len(y), **{name: v if np.isfinite(v) else None for name, v in found.items()})


class _Watched:
    """The watched policy: what serves, the newest comparisons, and the retrainings so far."""

    def __init__(self, lab: Lab, champion: Champion, release: Fitted, truth: Truth, weekly: Weekly) -> None:
        self.lab, self.champion, self.serving = lab, champion, release
        self.truth, self.weekly = truth, weekly
        self.retrainings: list[Retraining] = []
        self._compared: list[Measured] = []

    def look(self, day: str) -> None:
        """Compare on the newest days, and retrain if the rule says so and no retraining was just made."""
        declared = self.lab.model.monitoring
        days = keys_between(earlier(day, declared.paired_days - 1), day)
        probe = self.weekly.newest(earlier(days[0], 1))
        paired = staleness.judge(self.lab.model, self.truth.pair(self.serving, probe, days))
        self._compared.append(measured(day, self.champion.version, paired))
        found = alarm.judge(self._compared, "", staleness.MEASURE, day, declared, self.champion.version)
        newest = self.retrainings[-1].day if self.retrainings else ""
        if found.fires and newest < earlier(day, declared.cooldown_days):
            self._retrain(day, paired)

    def _retrain(self, day: str, paired: Paired) -> None:
        age = (date.fromisoformat(day) - date.fromisoformat(self.serving.last)).days
        try:
            night = self.lab.night(day, champion=self.champion)
            verdict, reason = str(night.decision.verdict), night.decision.reason
            if night.decision.verdict is Verdict.PROMOTE:
                self.serving = self.lab.release(night).fitted
                self.champion = night.champion(self.champion.version + 1)
        except (DataError, ReleaseError) as refused:
            verdict, reason = REFUSED, str(refused)
        gain, lower = paired.result.value, paired.low
        self.retrainings.append(Retraining(day=day, age=age, gain=gain, lower=lower, verdict=verdict, reason=reason))


def measured(day: str, version: int, paired: Paired) -> Measured:
    """The row of the table `monitoring`."""
    return Measured(
        partition=day,
        kind=Kind.STALENESS,
        version=version,
        rows=paired.rows,
        days=max(paired.days, 1),
        low=paired.low,
        high=paired.high,
        result=paired.result,
    )
