"""A reference: its distances are those of recomputed rows, its limits the largest of them; it is one document."""

from __future__ import annotations

import json
import math
from functools import cache

import numpy as np
import pytest

from include.errors import IntegrityError
from include.statistics import drift
from include.statistics.profiles import Bins, Names, Profile, Scheme
from include.statistics.reference import ENOUGH_DAYS, Importance, Reference
from tests.statistics import made


@cache
def known(number: int = 70) -> Reference:
    return made.of(made.days(1, number))


def test_the_distance_of_a_day_is_that_to_all_rows_of_the_other_days() -> None:
    days = made.days(1, 70)
    for name in ("x", "wind", "shop", "score"):
        one = made.feature(known(), name)
        assert one.scheme is not None
        for at in (0, 33, 69):
            rest = one.scheme.profile(np.concatenate([day[name] for n, day in enumerate(days) if n != at]))
            again = drift.between(one.scheme, one.scheme.profile(days[at][name]), rest)
            for measure, distance in again.items():
                assert one.distances[measure][at] == pytest.approx(distance, rel=1e-6, abs=1e-9), (name, measure)


def test_the_limit_is_the_largest_distance_of_a_day_to_the_rest() -> None:
    one = made.feature(known(), "x")
    assert one.limit("wasserstein") == max(d for d in one.distances["wasserstein"] if d is not None)
    assert one.lack("wasserstein") is None and one.measure == "wasserstein"
    assert made.feature(known(), "shop").measure == "jensen_shannon"


@pytest.mark.parametrize("number", [1, 2, ENOUGH_DAYS - 1])
def test_fewer_than_60_days_have_no_limit(number: int) -> None:
    one = made.feature(made.of(made.days(1, number)), "x")
    assert one.limit("wasserstein") is None
    assert f"has {number if number > 1 else 0} days" in (one.lack("wasserstein") or "")


def test_a_column_that_is_empty_on_some_days_needs_60_others() -> None:
    days = made.days(1, 70)
    for day in days[:9]:
        day["wind"] = np.full(len(day["wind"]), np.nan)
    assert made.feature(made.of(days), "wind").limit("wasserstein") is not None
    for day in days[:11]:
        day["wind"] = np.full(len(day["wind"]), np.nan)
    one = made.feature(made.of(days), "wind")
    assert one.limit("wasserstein") is None and one.distances["wasserstein"][0] is None
    assert one.values[0] == 0 and "59 days" in (one.lack("wasserstein") or "")


def test_a_column_without_any_value_has_no_scheme() -> None:
    days = [{**day, "wind": np.full(100, np.nan), "shop": np.full(100, "", dtype=object)} for day in made.days(1, 60)]
    for name in ("wind", "shop"):
        one = made.feature(made.of(days), name)
        assert one.scheme is None and one.measure is None and one.limit("wasserstein") is None
        assert "no value on any day" in (one.lack("wasserstein") or "")


def test_a_day_of_few_rows_neither_sets_the_limit_nor_is_compared() -> None:
    days = made.days(1, 70)
    days[5] = {name: np.full_like(values[:3], values[0]) for name, values in made.day(5, level=9.0).items()}
    with_it, one = made.of(days), made.feature(made.of(days), "x")
    assert one.fewest == 25 and one.distances["wasserstein"][5] is None
    assert with_it.rows[5] == 3
    assert one.to(one.scheme.profile(days[5]["x"]))["wasserstein"] is None if one.scheme else False
    whole = made.feature(made.of([*days[:5], *days[6:]]), "x").limit("wasserstein")
    assert one.limit("wasserstein") == pytest.approx(whole, rel=0.02)


def test_a_day_without_rows_counts_as_a_day() -> None:
    days = made.days(1, 70)
    days[3] = {name: values[:0] for name, values in days[3].items()}
    found = made.of(days)
    assert found.rows[3] == 0 and made.feature(found, "x").distances["wasserstein"][3] is None


def test_strange_rows_are_counted_by_day() -> None:
    days = made.days(1, 65)
    days[2]["shop"][:4] = "Delft"
    days[8]["x"][:2] = [1e6, np.inf]
    found = made.of(days)
    assert [(at, n) for at, n in enumerate(made.feature(found, "shop").strange or ()) if n] == [(2, 4)]
    strange = made.feature(found, "x").strange
    assert strange is not None and strange[8] == 2
    days[9]["shop"][0] = "Delft"  # on another day as well: it is known
    assert not any(made.feature(made.of(days), "shop").strange or (1,))


def test_too_many_categories_are_not_known_by_name() -> None:
    days = [{"id": np.array([f"{at}-{n}" for n in range(50)], dtype=object)} for at in range(60)]
    one = made.feature(made.of(days), "id")
    assert isinstance(one.scheme, Names) and not one.scheme.complete and one.strange is None


def test_the_same_days_make_the_same_bytes() -> None:
    first, second = (json.dumps(made.of(made.days(2, 61)).as_dict(), allow_nan=False) for _ in range(2))
    assert first == second
    again = Reference.of(json.loads(first))
    assert again == made.of(made.days(2, 61)) and json.dumps(again.as_dict(), allow_nan=False) == first
    assert isinstance(again.features[0].scheme, Bins) and isinstance(again.features[2].scheme, Names)


def test_the_order_of_rows_within_a_day_does_not_matter() -> None:
    days = made.days(3, 61)
    turned = [{name: values[::-1] for name, values in day.items()} for day in days]
    assert made.of(turned).as_dict() == made.of(days).as_dict()


def test_a_reference_with_a_figure_missing_is_refused() -> None:
    document = known().as_dict()
    document["rows"] = document["rows"][1:]
    with pytest.raises(IntegrityError, match="not one figure for each"):
        Reference.of(document)


def test_weights_are_shares_of_what_matters() -> None:
    importance = known().importance
    assert importance.weights() == pytest.approx({"x": 0.6, "wind": 0.2, "shop": 0.2})
    assert importance.weights(["x"]) == pytest.approx({"wind": 0.5, "shop": 0.5})
    assert math.fsum(importance.weights().values()) == pytest.approx(1)
    none = Importance(metric="mae", rows=1, repeats=1, seed=0, by_input={"a": 0.0, "b": None, "c": -1.0})
    assert none.weights() == {}


def test_a_day_is_profiled_on_what_it_has() -> None:
    day = made.day(5)
    del day["wind"]
    found = made.profile(known(), day)
    assert set(found.features) == {"x", "shop", "flag", "noise"} and set(found.scores) == {"score"}
    assert type(found).of(json.loads(json.dumps(found.as_dict()))) == found


def test_bytes_do_not_grow_with_the_rows() -> None:
    small, large = (len(json.dumps(made.of(made.days(4, 60, rows)).as_dict())) for rows in (50, 2000))
    assert large < 1.3 * small


def test_each_day_is_merged_a_few_times_only(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    original = drift.merged

    def counting(scheme: Scheme, profiles: list[Profile]) -> Profile:
        calls.append(len(profiles))
        return original(scheme, profiles)

    monkeypatch.setattr(drift, "merged", counting)
    made.of([{"x": day["x"]} for day in made.days(1, 60)])
    assert sum(calls) <= 7 * 60 + 5, "leaving out each day must not add up all the others"
