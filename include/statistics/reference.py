"""The reference of a model: profiles of the days that it was made of, and how far each of these days is from the rest.

The limit of a distance is the largest distance of a day of the reference to the other days (leave one out). So a day is
unusual if it is farther away than every day of the reference, whatever the feature, its unit and its seasons are. A
p-value over rows would not do: the rows of a day share its weather and its events, and with enough rows any two days
differ significantly (measured: such tests fire on every healthy day).

With fewer than `ENOUGH_DAYS` days there is no limit: what is compared with it is unknown, not healthy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
from pydantic import model_validator

from include.records import PartitionKey, Record, Text
from include.statistics import drift
from include.statistics.profiles import Bins, Categories, Names, Numbers, Profile, scheme_of

FILE = "reference.json"
"""Its name in a bundle."""
LAYOUT = 1
"""The version of the document. A change of the code that would give other values for the same rows increases it."""
ENOUGH_DAYS = 60
SMALLEST_DAY = 0.25
"""A day with fewer values of a feature than this part of the median day is not compared: it is too few rows for the
distances, and as a day of the reference it would make the limit too wide for all others."""


class FeatureReference(Record):
    """The reference of one feature, or of one column of the score.

    Attributes
    ----------
    scheme : how its values are counted; None if it has no value on any day.
    whole : all days together; None without a scheme.
    values : rows with a value, by day.
    strange : by day, values beyond the fences (`Bins`), or of categories that no other day has; None if that is not
        known, because not all categories are kept by name.
    distances : by measure, of each day to all others; None if the day has too few values.
    kinds : by day, in how many bins or categories the values are; None if that is not known.
    """

    name: Text
    scheme: Bins | Names | None
    whole: Numbers | Categories | None
    values: tuple[int, ...]
    strange: tuple[int, ...] | None
    distances: dict[str, tuple[float | None, ...]]
    kinds: tuple[int, ...] | None = None

    @property
    def fewest(self) -> int:
        """Values that a day needs to be compared."""
        return fewest_of(self.values)

    @property
    def measure(self) -> str | None:
        """The measure that decides; None without a scheme."""
        return None if self.scheme is None else drift.deciding(self.scheme)

    def limit(self, measure: str) -> float | None:
        """The largest distance of a day to the rest of the reference; None with fewer than `ENOUGH_DAYS` of them."""
        known = self._known(measure)
        return max(known) if len(known) >= ENOUGH_DAYS else None

    def lack(self, measure: str) -> str | None:
        """Why there is no limit, as the end of a sentence; None if there is one."""
        if self.scheme is None:
            return "it has no value on any day of the reference"
        days = len(self._known(measure))
        if days < ENOUGH_DAYS:
            return f"the reference has {days} days with enough values of it, and {ENOUGH_DAYS} are needed for a limit"
        return None

    def to(self, profile: Profile) -> dict[str, float | None]:
        """The distances of a day to all of the reference, by measure; None if the day has too few values."""
        if self.scheme is None or self.whole is None:
            return {}
        if profile.values < self.fewest:
            return dict.fromkeys(self.distances)
        return drift.between(self.scheme, profile, self.whole)

    def _known(self, measure: str) -> list[float]:
        return [one for one in self.distances.get(measure, ()) if one is not None]


class Importance(Record):
    """How much worse the model gets without a raw input: permutation importance, see `include.training.importance`.

    Attributes
    ----------
    metric : ``training.metric``, in whose unit the importances are; positive: the input matters.
    rows, repeats, seed : what they were computed on and with.
    by_input : None if the model could not be scored with the input permuted.
    lack : why there are none, or None.
    """

    metric: str
    rows: int
    repeats: int
    seed: int
    by_input: dict[str, float | None]
    lack: str | None = None

    def weights(self, leave_out: Sequence[str] = ()) -> dict[str, float]:
        """The share of each input in the importance of all, without those left out; empty if none matters."""
        there = {
            name: one for name, one in self.by_input.items() if one is not None and one > 0 and name not in leave_out
        }
        every = sum(there.values())
        return {name: one / every for name, one in there.items()}


class DayProfile(Record):
    """One day, profiled on the schemes of a reference.

    Attributes
    ----------
    duplicates : rows whose key an earlier row of the day has.
    features, scores : by name; without those that the reference has no scheme for, or the day no column.
    """

    key: PartitionKey
    rows: int
    duplicates: int
    features: dict[str, Numbers | Categories]
    scores: dict[str, Numbers | Categories]


class Reference(Record):
    """What a day is compared with.

    Attributes
    ----------
    layout : `LAYOUT` when it was made.
    snapshot : digest of the training data whose newest days these are.
    days : ascending. ``rows``, ``duplicates`` : of each day.
    features : of every raw input, in order of declaration.
    scores : one for the score, or one for the probability of each of several classes. They are scores of rows that the
        scoring fit has not seen; otherwise every later day would look like drift.
    scores_lack : why there is no score, or None.
    """

    layout: int
    snapshot: Text
    days: tuple[PartitionKey, ...]
    rows: tuple[int, ...]
    duplicates: tuple[int, ...]
    features: tuple[FeatureReference, ...]
    scores: tuple[FeatureReference, ...]
    scores_lack: str | None = None
    importance: Importance

    @model_validator(mode="after")
    def _a_figure_for_each_day(self) -> Self:
        by_day: list[Sequence[object]] = [self.rows, self.duplicates]
        for one in (*self.features, *self.scores):
            by_day += [one.values, *one.distances.values()]
            by_day += [known for known in (one.strange, one.kinds) if known is not None]
        if any(len(figures) != len(self.days) for figures in by_day):
            raise ValueError(f"the reference has {len(self.days)} days, and not one figure for each of them")
        return self

    @property
    def span(self) -> str:
        """Its days for people."""
        return f"{self.days[0]} to {self.days[-1]} ({len(self.days)} days)" if self.days else "no day"

    def profile(
        self,
        key: str,
        rows: int,
        duplicates: int,
        columns: Mapping[str, np.ndarray],
        scores: Mapping[str, np.ndarray],
    ) -> DayProfile:
        """Profile the columns and scores of a day, which are as those that the reference was made of."""
        return DayProfile(
            key=key,
            rows=rows,
            duplicates=duplicates,
            features=_profiled(self.features, columns),
            scores=_profiled(self.scores, scores),
        )


def of_feature(name: str, values: np.ndarray, days: Sequence[np.ndarray]) -> FeatureReference:
    """The reference of one feature.

    Parameters
    ----------
    values : of shape (rows,): texts as objects (``""`` if missing), or numbers (nan if missing).
    days : the positions of each day's rows.
    """
    scheme = scheme_of(values)
    if scheme is None:
        none = (0,) * len(days)
        return FeatureReference(name=name, scheme=None, whole=None, values=none, strange=None, distances={})
    profiles: list[Profile] = [scheme.profile(values[at]) for at in days]
    return FeatureReference(
        name=name,
        scheme=scheme,
        whole=drift.merged(scheme, profiles),
        values=tuple(one.values for one in profiles),
        strange=_strange(scheme, profiles),
        distances=to_the_rest(scheme, profiles),
        kinds=tuple(one.kinds for one in profiles),
    )


def to_the_rest(scheme: Bins | Names, profiles: Sequence[Profile]) -> dict[str, tuple[float | None, ...]]:
    """By measure the distance of each of these days to all others together; None for a day with too few values.

    The others are merged from those before and those after the day. Nothing is subtracted, so nothing is rounded away.
    """
    none = drift.merged(scheme, [])
    before, after = [none], [none]
    for one in profiles:
        before.append(drift.merged(scheme, [before[-1], one]))
    for one in reversed(profiles):
        after.append(drift.merged(scheme, [one, after[-1]]))
    fewest = fewest_of([one.values for one in profiles])
    found: dict[str, list[float | None]] = {name: [] for name in drift.between(scheme, none, none)}
    for at, one in enumerate(profiles):
        rest = drift.merged(scheme, [before[at], after[len(profiles) - 1 - at]])
        here = drift.between(scheme, one if one.values >= fewest else none, rest)
        for name, distance in here.items():
            found[name].append(distance)
    return {name: tuple(distances) for name, distances in found.items()}


def fewest_of(values: Sequence[int]) -> int:
    """Values that a day needs to be compared: see `SMALLEST_DAY`."""
    there = [one for one in values if one]
    return max(1, math.ceil(SMALLEST_DAY * float(np.median(there)))) if there else 1


def _strange(scheme: Bins | Names, profiles: Sequence[Profile]) -> tuple[int, ...] | None:
    """`FeatureReference.strange` of each day."""
    if isinstance(scheme, Names):
        if not scheme.complete:
            return None
        counts = np.array([one.counts for one in profiles])
        alone = np.count_nonzero(counts, axis=0) == 1
        return tuple(counts[:, alone].sum(axis=1).tolist())
    return tuple(one.outside for one in profiles if isinstance(one, Numbers))


def _profiled(features: Sequence[FeatureReference], columns: Mapping[str, np.ndarray]) -> dict[str, Profile]:
    return {
        one.name: one.scheme.profile(columns[one.name])
        for one in features
        if one.scheme is not None and one.name in columns
    }
