"""Profiles: what they keep of a column, that they add up, and the columns that real sources send."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats
from scipy.spatial import distance as theirs

from include.statistics import distances, drift, profiles
from include.statistics.profiles import LONGEST_NAME, Bins, Categories, Names, Numbers

FLOATS = arrays.arrays(np.float64, st.integers(1, 200), elements=st.floats(allow_nan=True, allow_infinity=True))
TEXTS = st.lists(st.sampled_from(["", "a", "b", "Ærø", "東京", "x" * 100]), min_size=1, max_size=100)


def objects(values: list[str]) -> np.ndarray:
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found


def bins_of(values: np.ndarray) -> Bins:
    found = Bins.fixed_by(values)
    assert found is not None
    return found


def names_of(values: list[str]) -> Names:
    found = Names.fixed_by(values)
    assert found is not None
    return found


def wasserstein(scheme: Bins, mine: np.ndarray, others: np.ndarray) -> float:
    found = drift.between(scheme, scheme.profile(mine), scheme.profile(others))["wasserstein"]
    assert found is not None
    return found


def test_the_distance_of_profiles_is_that_of_rows_with_the_same_means() -> None:
    random = np.random.default_rng(2)
    reference, day = random.gamma(2, size=5000), random.gamma(2.2, size=300)
    scheme = bins_of(reference)

    def binned(values: np.ndarray) -> np.ndarray:
        """Each value replaced by the mean of its bin, in units of the reference."""
        scaled = (np.clip(values, scheme.low, scheme.high) - scheme.centre) / scheme.scale
        place = np.searchsorted(scheme.edges, values, side="right")
        return np.array([scaled[place == at].mean() for at in place])

    found = wasserstein(scheme, day, reference)
    assert found == pytest.approx(stats.wasserstein_distance(binned(day), binned(reference)), rel=1e-7)
    # ... and hardly differs from that of the rows themselves, in standard deviations of the reference.
    assert found == pytest.approx(stats.wasserstein_distance(day, reference) / reference.std(), abs=0.01)


def test_a_shift_is_its_size_in_standard_deviations_of_the_reference() -> None:
    reference = np.linspace(0, 1, 20_001)
    scheme = bins_of(reference)
    for shift in (0.003, 0.05, 0.4):
        assert wasserstein(scheme, reference + shift, reference) == pytest.approx(shift * np.sqrt(12), rel=0.01)


def test_the_index_of_profiles_is_that_of_rows_in_ten_bins() -> None:
    random = np.random.default_rng(3)
    reference, day = random.normal(size=4000), random.normal(0.4, 1.3, size=250)
    scheme = bins_of(reference)
    found = drift.between(scheme, scheme.profile(day), scheme.profile(reference))["psi"]
    assert found == pytest.approx(distances.psi(day, reference), rel=1e-7)


def test_the_distance_of_categories_is_that_of_rows() -> None:
    random = np.random.default_rng(4)
    reference, day = random.choice(list("abc"), 900).tolist(), random.choice(list("abcd"), 120).tolist()
    scheme = names_of(reference)
    found = drift.between(scheme, scheme.profile(day), scheme.profile(reference))
    shares = [[rows.count(name) for name in "abcd"] for rows in (day, reference)]
    assert found == {"jensen_shannon": pytest.approx(theirs.jensenshannon(*shares, base=2), rel=1e-7)}


@settings(deadline=None, database=None)
@given(FLOATS, FLOATS)
def test_numbers_of_any_kind_add_up_and_are_no_distance_from_themselves(mine: np.ndarray, others: np.ndarray) -> None:
    every = np.concatenate([mine, others])
    scheme = Bins.fixed_by(every)
    if scheme is None:
        assert not np.isfinite(every).any()
        return
    one, other, again = scheme.profile(mine), scheme.profile(others), scheme.profile(every)
    both = scheme.merged([one, other])
    assert both.replace(means=again.means, distinct=again.distinct) == again
    assert both.means == pytest.approx(again.means, rel=1e-6, abs=1e-6)
    assert one.values == np.count_nonzero(~np.isnan(mine)) == sum(one.counts)
    found = drift.between(scheme, one, other)
    if one.values and other.values:
        assert all(value is not None and value >= 0 for value in found.values())
        assert found == pytest.approx(drift.between(scheme, other, one))
        assert set(drift.between(scheme, one, one).values()) == {0.0}
    else:
        assert set(found.values()) == {None}
    assert Bins.of(json.loads(json.dumps(scheme.as_dict()))) == scheme
    assert Numbers.of(json.loads(json.dumps(one.as_dict()))) == one


@settings(deadline=None, database=None)
@given(TEXTS, TEXTS)
def test_categories_add_up_and_are_no_distance_from_themselves(mine: list[str], others: list[str]) -> None:
    scheme = Names.fixed_by(mine)
    if scheme is None:
        assert set(mine) == {""}
        return
    one, other, again = scheme.profile(mine), scheme.profile(others), scheme.profile(mine + others)
    assert scheme.merged([one, other]) == again.replace(others=0)
    assert other.others == len({text[:LONGEST_NAME] for text in others} - {"", *scheme.names})
    assert (one.other, one.values, one.missing) == (0, len(mine) - mine.count(""), mine.count(""))
    assert drift.between(scheme, one, one) == {"jensen_shannon": 0.0}
    assert Categories.of(json.loads(json.dumps(one.as_dict(), ensure_ascii=False))) == one


def test_the_rest_is_the_whole_without_a_part() -> None:
    random = np.random.default_rng(5)
    days = [random.normal(1e12, 3, size=50) for _ in range(4)]  # far from 0, like an id or a time in seconds
    scheme = bins_of(np.concatenate(days))
    parts = [scheme.profile(day) for day in days]
    rest = scheme.merged(parts[1:])
    again = scheme.profile(np.concatenate(days[1:]))
    assert rest.counts == again.counts and rest.means == pytest.approx(again.means, abs=1e-7)


def test_a_constant_column_is_no_distance_from_itself_and_far_from_anything_else() -> None:
    for constant in (0.0, 0.1, 7.0, -1e9):
        reference = np.full(1000, constant)
        scheme = bins_of(reference)
        assert wasserstein(scheme, np.full(3, constant), reference) == 0
        assert wasserstein(scheme, np.full(3, constant + 2 * abs(constant) + 1), reference) >= 0.9


def test_one_impossible_value_sets_neither_scale_nor_fences() -> None:
    wind = np.concatenate([np.random.default_rng(6).gamma(4, 3, size=5000), [1048.0]])
    scheme = bins_of(wind)
    assert scheme.high < 100 and scheme.scale < 10
    assert scheme.profile(wind).outside == 1
    assert scheme.profile(np.array([np.inf, -np.inf, np.nan, 1e308, 12.0])).outside == 3


def test_an_infinite_or_huge_reference_is_finite() -> None:
    values = np.array([1e308, -1e308, 5.0, np.inf, np.nan])
    scheme = bins_of(values)
    assert np.isfinite([scheme.low, scheme.high, scheme.scale, *scheme.edges]).all()
    assert scheme.profile(values).missing == 1


@pytest.mark.parametrize("values", [np.array([]), np.full(9, np.nan), np.array([np.inf, -np.inf])])
def test_without_a_finite_value_there_are_no_bins(values: np.ndarray) -> None:
    assert Bins.fixed_by(values) is None


def test_whole_numbers_as_floats_have_a_bin_for_each_value() -> None:
    values = np.repeat([1.0, 2.0, 3.0], [50, 30, 20])
    scheme = bins_of(values)
    assert set(scheme.profile(values).counts) - {0} == {50, 30, 20}
    assert wasserstein(scheme, np.array([3.0]), np.array([1.0])) == pytest.approx(2 / values.std())


def test_the_scheme_follows_the_type_of_the_column() -> None:
    assert isinstance(profiles.scheme_of(objects(["a", ""])), Names)
    assert isinstance(profiles.scheme_of(np.array([1.0, np.nan])), Bins)
    assert profiles.scheme_of(objects(["", ""])) is None


def test_categories_are_bounded_whatever_a_source_sends() -> None:
    values = [f"user {at}" for at in range(100_000)] + ["often"] * 10
    scheme = names_of(values)
    assert len(scheme.names) == profiles.MOST_NAMES and scheme.names[0] == "often"
    assert scheme.distinct == 100_001 and not scheme.complete
    found = scheme.profile(values)
    assert found.counts[0] == 10 and sum(found.counts) + found.other == len(values)
    assert len(json.dumps(scheme.as_dict())) < 10_000


def test_long_texts_and_broken_characters_are_cut_to_what_can_be_written() -> None:
    scheme = names_of(["x" * 5000, "\ud800 half a character", "東京"])
    assert max(map(len, scheme.names)) <= profiles.LONGEST_NAME
    assert json.dumps(scheme.as_dict(), ensure_ascii=False).encode()
    assert scheme.profile(["x" * 6000, "\ud800 half a character"]).other == 0


def test_a_new_category_is_another_one_and_moves_the_distance() -> None:
    reference = ["a"] * 60 + ["b"] * 40
    scheme = names_of(reference)
    day = scheme.profile(["a"] * 6 + ["b"] * 4 + ["new"] * 5)
    assert day.other == 5
    moved = drift.between(scheme, day, scheme.profile(reference))["jensen_shannon"]
    assert moved is not None and moved > 0.3


def test_profiles_of_different_kinds_are_refused() -> None:
    numbers, names = bins_of(np.array([1.0, 2.0])), names_of(["a"])
    with pytest.raises(TypeError, match="Categories"):
        drift.between(numbers, numbers.profile(np.array([1.0])), names.profile(["a"]))
    with pytest.raises(TypeError, match="Names"):
        drift.merged(names, [numbers.profile(np.array([1.0]))])


def test_every_measure_names_its_formula_and_its_source() -> None:
    every: list[drift.Measure[Any, Any]] = [*drift.OF_NUMBERS, *drift.OF_CATEGORIES]
    for measure in every:
        assert measure.text and measure.source and drift.formulas()[measure.name] == measure.formula
