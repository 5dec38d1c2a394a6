"""The measures of drift: how far two profiles on one scheme are apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from include.statistics import distances
from include.statistics.profiles import Bins, Categories, Names, Numbers, Profile, Scheme, rounded

NEARLY_ZERO = 1e-7
"""Distances below are rounding errors, and count as 0. (A root makes 1e-8 of the 1e-16 that a sum is rounded by.)"""

S = TypeVar("S", contravariant=True)
P = TypeVar("P", contravariant=True)


class Measure(Protocol[S, P]):
    """A distance of two profiles on one scheme.

    Attributes
    ----------
    name : in tables and reports. ``formula`` : the version of its code; values of different ones are not comparable.
    text : the formula for people. ``source`` : where it comes from.
    """

    @property
    def name(self) -> str: ...
    @property
    def formula(self) -> int: ...
    @property
    def text(self) -> str: ...
    @property
    def source(self) -> str: ...

    def between(self, scheme: S, mine: P, theirs: P) -> float:
        """The distance; 0 if the profiles are of equal distributions. Both have rows with a value."""


@dataclass(frozen=True)
class Wasserstein:
    """Wasserstein-1 distance in standard deviations of the reference, so that features of all units are comparable."""

    name: str = "wasserstein"
    formula: int = 1
    text: str = "the integral of |F(x) - G(x)| dx, divided by the standard deviation of the reference"
    source: str = "Vallender 1974; normalised as in Evidently, 'Wasserstein distance (normed)'"

    def between(self, scheme: Bins, mine: Numbers, theirs: Numbers) -> float:
        """From the means of the bins: exact if each value is replaced by the mean of its bin."""
        mine_of, theirs_of = np.array(mine.counts) > 0, np.array(theirs.counts) > 0
        return distances.wasserstein(
            np.array(mine.means)[mine_of],
            np.array(mine.counts)[mine_of],
            np.array(theirs.means)[theirs_of],
            np.array(theirs.counts)[theirs_of],
        )


@dataclass(frozen=True)
class StabilityIndex:
    """Population stability index on ten bins of equal mass of the reference."""

    name: str = "psi"
    formula: int = 1
    text: str = "the sum of (p - q) ln(p / q) over ten bins of equal mass of the reference, half a row added to each"
    source: str = "Siddiqi 2006, Credit Risk Scorecards"

    def between(self, scheme: Bins, mine: Numbers, theirs: Numbers) -> float:
        return distances.psi_of_counts(scheme.in_coarse(mine), scheme.in_coarse(theirs))


@dataclass(frozen=True)
class JensenShannon:
    """Jensen-Shannon distance over the categories of the reference, all others as one more."""

    name: str = "jensen_shannon"
    formula: int = 1
    text: str = "the root of the Jensen-Shannon divergence to the base 2: 0 equal, 1 disjoint"
    source: str = "Lin 1991; Endres and Schindelin 2003"

    def between(self, scheme: Names, mine: Categories, theirs: Categories) -> float:
        return distances.jensen_shannon(
            np.array([*mine.counts, mine.other], dtype=float), np.array([*theirs.counts, theirs.other], dtype=float)
        )


OF_NUMBERS: tuple[Measure[Bins, Numbers], ...] = (Wasserstein(), StabilityIndex())
"""The first one decides; the index is shown next to it, because people know its values."""
OF_CATEGORIES: tuple[Measure[Names, Categories], ...] = (JensenShannon(),)


def deciding(scheme: Scheme) -> str:
    """The measure by whose limit a feature with this scheme has drifted or not. One, so that a feature is one test."""
    return (OF_NUMBERS if isinstance(scheme, Bins) else OF_CATEGORIES)[0].name


def formulas() -> dict[str, int]:
    """The version of each measure's code, by its name."""
    found = {measure.name: measure.formula for measure in OF_NUMBERS}
    return found | {measure.name: measure.formula for measure in OF_CATEGORIES}


def between(scheme: Scheme, mine: Profile, theirs: Profile) -> dict[str, float | None]:
    """Every distance of two profiles on this scheme, by measure; None if one of them has no value.

    Raises
    ------
    TypeError : a profile is not one of this scheme.
    """
    found: dict[str, float | None]
    if isinstance(scheme, Bins) and isinstance(mine, Numbers) and isinstance(theirs, Numbers):
        found = dict.fromkeys((measure.name for measure in OF_NUMBERS), None)
        if mine.values and theirs.values:
            found = {one.name: _shown(one.between(scheme, mine, theirs)) for one in OF_NUMBERS}
        return found
    if isinstance(scheme, Names) and isinstance(mine, Categories) and isinstance(theirs, Categories):
        found = dict.fromkeys((measure.name for measure in OF_CATEGORIES), None)
        if mine.values and theirs.values:
            found = {one.name: _shown(one.between(scheme, mine, theirs)) for one in OF_CATEGORIES}
        return found
    raise TypeError(
        f"{type(mine).__name__} and {type(theirs).__name__} are not both profiles of a {type(scheme).__name__}"
    )


def merged(scheme: Scheme, profiles: list[Profile]) -> Profile:
    """The profile of the rows of all of these together.

    Raises
    ------
    TypeError : a profile is not one of this scheme.
    """
    numbers = [one for one in profiles if isinstance(one, Numbers)]
    categories = [one for one in profiles if isinstance(one, Categories)]
    if isinstance(scheme, Bins) and len(numbers) == len(profiles):
        return scheme.merged(numbers)
    if isinstance(scheme, Names) and len(categories) == len(profiles):
        return scheme.merged(categories)
    raise TypeError(f"not all are profiles of a {type(scheme).__name__}")


def _shown(distance: float) -> float:
    return 0.0 if distance < NEARLY_ZERO else rounded(distance)
