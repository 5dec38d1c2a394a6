"""Profiles: the values of a column on some rows, reduced to counts that can be added, compared and written as JSON.

A profile has a few hundred numbers, however many rows it was made of, so that a day of monitoring costs the same after
a year as after a week. It is made on a scheme that is fixed once, from the rows of a reference:

* a number is counted in bins of equal mass, each with the mean of its values (`Bins`, `Numbers`). Such centroids are a
  quantile sketch with fixed boundaries (compare Dunning and Ertl 2019, Computing Extremely Accurate Quantiles Using
  t-Digests): unlike other sketches they can be added without an error, so that the rest of a reference without one of
  its days is known exactly.
* a category is counted by its value, if that is one of the most frequent ones of the reference (`Names`,
  `Categories`).

Missing values are counted next to the distribution and do not belong to it: a counter has a limit for them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Self

import numpy as np

from include.records import Record

FINE = 50
"""Bins of equal mass of a number. The quantisation of a Wasserstein distance is below a hundredth of the spread."""
COARSE = 10
"""Bins of equal mass for the population stability index, as in its literature; each is made of fine ones."""
MOST_NAMES = 200
"""Categories that are counted by name; the others together. A text beyond 100,000 categories costs the same."""
LONGEST_NAME = 80
"""Characters of a category that are looked at: longer texts with the same beginning are one category."""
HUGE = 1e100
"""Larger values count as this one, so that no sum or square of them becomes infinite."""
DIGITS = 9
"""Significant digits of means and distances."""


class Numbers(Record):
    """The values of a number on some rows, in the bins of a `Bins`.

    Attributes
    ----------
    rows : with and without a value. ``missing`` : those without.
    outside : values beyond the fences, infinite ones included.
    counts : rows with a value in each bin. ``means`` : the mean of their values, bounded by the fences, as a distance
        to `Bins.centre` in units of `Bins.scale`; 0 in an empty bin. ``distinct`` : how many different values there
        are; 0 if that is not known.
    """

    rows: int
    missing: int
    outside: int
    counts: tuple[int, ...]
    means: tuple[float, ...]
    distinct: int = 0

    @property
    def values(self) -> int:
        """Rows with a value."""
        return self.rows - self.missing

    @property
    def kinds(self) -> int:
        """How many different values there are; if that is not known, in how many bins there is one."""
        return self.distinct or sum(rows > 0 for rows in self.counts)


class Categories(Record):
    """The values of a category on some rows, by the names of a `Names`.

    Attributes
    ----------
    rows : with and without a value. ``missing`` : those without.
    counts : rows of each name. ``other`` : rows of all other values. ``others`` : how many other values there are; 0 if
        that is not known.
    """

    rows: int
    missing: int
    counts: tuple[int, ...]
    other: int
    others: int = 0

    @property
    def values(self) -> int:
        """Rows with a value."""
        return self.rows - self.missing

    @property
    def kinds(self) -> int:
        """How many categories there are, all others as one more."""
        return sum(rows > 0 for rows in (*self.counts, self.other))


class Bins(Record):
    """How the values of a number are counted, fixed by the values of a reference.

    Attributes
    ----------
    edges : between the bins, ascending; a value that equals an edge belongs to the bin above it.
    coarse : those of the edges that are also edges of the coarse bins.
    low, high : the fences. Between the 1 % and the 99 % quantile lies the usual range; the fences are as far from it on
        either side as it is wide. A value beyond counts as the fence itself, so that one impossible value (a wind of
        1048 mph) sets neither the scale nor the limit of the feature.
    centre : median of the bounded values. ``scale`` : their standard deviation; of a constant its absolute value, or 1.
    """

    edges: tuple[float, ...]
    coarse: tuple[float, ...]
    low: float
    high: float
    centre: float
    scale: float

    @classmethod
    def fixed_by(cls, values: np.ndarray) -> Self | None:
        """The bins for these values, an array of shape (rows,), nan if missing; None without a finite value."""
        there = np.asarray(values, dtype=np.float64)
        there = np.clip(there[np.isfinite(there)], -HUGE, HUGE)
        if not len(there):
            return None
        low, high = (float(limit) for limit in np.quantile(there, [0.01, 0.99]))
        if low == high:
            low, high = float(there.min()), float(there.max())
        width = (high - low) or max(abs(low), 1.0)
        low, high = low - width, high + width
        bounded = np.clip(there, low, high)
        quantiles = np.quantile(bounded, np.linspace(0, 1, FINE + 1)[1:-1])
        step = FINE // COARSE
        centre, varies = float(np.median(bounded)), bool(bounded.min() < bounded.max())
        return cls(
            edges=tuple(np.unique(quantiles).tolist()),
            coarse=tuple(np.unique(quantiles[step - 1 :: step]).tolist()),
            low=low,
            high=high,
            centre=centre,
            # the standard deviation of equal values is not always 0, because their mean is rounded
            scale=(rounded(float(np.std(bounded))) if varies else abs(centre)) or 1.0,
        )

    def profile(self, values: np.ndarray) -> Numbers:
        """The profile of these values: an array of shape (rows,), nan if missing."""
        every = np.asarray(values, dtype=np.float64)
        there = every[~np.isnan(every)]
        bounded = np.clip(there, self.low, self.high)
        place = np.searchsorted(self.edges, bounded, side="right")
        counts = np.bincount(place, minlength=len(self.edges) + 1)
        sums = np.bincount(place, (bounded - self.centre) / self.scale, minlength=len(self.edges) + 1)
        means = np.divide(sums, counts, out=np.zeros(len(counts)), where=counts > 0)
        return Numbers(
            rows=len(every),
            missing=len(every) - len(there),
            outside=int(np.count_nonzero((there < self.low) | (there > self.high))),
            counts=tuple(counts.tolist()),
            means=tuple(map(rounded, means.tolist())),
            distinct=len(np.unique(there)),
        )

    def merged(self, profiles: Iterable[Numbers]) -> Numbers:
        """The profile of the rows of all of these together, without ``distinct``; of no profile that of no row."""
        found = list(profiles)
        shape = (len(found), len(self.edges) + 1)
        counts = np.array([one.counts for one in found], dtype=np.int64).reshape(shape)
        sums = np.array([one.means for one in found], dtype=np.float64).reshape(shape) * counts
        every = counts.sum(axis=0)
        means = np.divide(sums.sum(axis=0), every, out=np.zeros(len(every)), where=every > 0)
        return Numbers(
            rows=sum(one.rows for one in found),
            missing=sum(one.missing for one in found),
            outside=sum(one.outside for one in found),
            counts=tuple(every.tolist()),
            means=tuple(map(rounded, means.tolist())),
        )

    def in_coarse(self, profile: Numbers) -> np.ndarray:
        """Rows of a profile in each of the coarse bins."""
        within = np.searchsorted(self.coarse, np.concatenate([[-np.inf], self.edges]), side="right")
        return np.bincount(within, profile.counts, minlength=len(self.coarse) + 1)


class Names(Record):
    """How the values of a category are counted, fixed by the values of a reference.

    Attributes
    ----------
    names : the most frequent categories, the most frequent first, and of equally frequent ones by name.
    distinct : how many categories the reference has.
    """

    names: tuple[str, ...]
    distinct: int

    @classmethod
    def fixed_by(cls, values: Iterable[str]) -> Self | None:
        """The names for these values, ``""`` if missing; None without a value."""
        found = counted(values)
        if not found:
            return None
        order = sorted(found, key=lambda name: (-found[name], name))
        return cls(names=tuple(order[:MOST_NAMES]), distinct=len(order))

    @property
    def complete(self) -> bool:
        """Whether every category of the reference is known by name, so that another one was never seen."""
        return self.distinct == len(self.names)

    def profile(self, values: Sequence[str] | np.ndarray) -> Categories:
        """The profile of these values, ``""`` if missing."""
        found = counted(values)
        counts = tuple(found.get(name, 0) for name in self.names)
        there = sum(found.values())
        return Categories(
            rows=len(values),
            missing=len(values) - there,
            counts=counts,
            other=there - sum(counts),
            others=len(found) - sum(rows > 0 for rows in counts),
        )

    def merged(self, profiles: Iterable[Categories]) -> Categories:
        """The profile of the rows of all of these together, without ``others``; of no profile that of no row."""
        found = list(profiles)
        counts = np.array([one.counts for one in found], dtype=np.int64).reshape(len(found), len(self.names))
        return Categories(
            rows=sum(one.rows for one in found),
            missing=sum(one.missing for one in found),
            counts=tuple(counts.sum(axis=0).tolist()),
            other=sum(one.other for one in found),
        )


Scheme = Bins | Names
Profile = Numbers | Categories


def scheme_of(values: np.ndarray) -> Scheme | None:
    """`Names` for an object array of texts, `Bins` for any other; None if there is no value to fix it by."""
    return Names.fixed_by(values.tolist()) if values.dtype == object else Bins.fixed_by(values)


def counted(values: Iterable[str]) -> Counter[str]:
    """How many rows each category has; missing values are left out."""
    found: Counter[str] = Counter()
    for text, rows in Counter(values).items():
        if text:
            found[_name(text)] += rows
    return found


def _name(text: str) -> str:
    """A category as it is kept: not longer than `LONGEST_NAME`, and text that can be written as UTF-8."""
    return text[:LONGEST_NAME].encode(errors="replace").decode()


def rounded(value: float) -> float:
    """The value with `DIGITS` significant digits: short in JSON, and the same on machines that sum differently."""
    return float(f"{value:.{DIGITS}g}")
