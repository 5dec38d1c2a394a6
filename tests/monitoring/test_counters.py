"""Each counter has a limit of its own from the reference's days; what cannot be counted is unknown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from include.monitoring import counters
from include.monitoring.counters import DayFacts, Usual
from include.monitoring.drift import DAMAGED_SCORE
from include.monitoring.shares import limit_of
from include.statistics.reference import ENOUGH_DAYS, Reference
from include.statistics.results import Cause, Result, State
from tests.monitoring.watched import reference
from tests.statistics import made

USUAL = Usual(quarantined=(0.01,) * 60, latency=(0.01,) * 59 + (0.02,))


@dataclass(frozen=True)
class Found:
    results: tuple[Result, ...]

    def of(self, measure: str, subject: str = "") -> Result:
        return next(one for one in self.results if (one.measure, one.subject) == (measure, subject))

    @property
    def violated(self) -> set[tuple[str, str]]:
        return {(one.measure, one.subject) for one in self.results if one.violated}


def judged(
    columns: made.Columns | None = None,
    facts: DayFacts | None = None,
    known: Reference | None = None,
    previous: made.Columns | None = None,
    duplicates: int = 0,
) -> Found:
    against, day = known or reference(), made.day(9) if columns is None else columns
    before = None if previous is None else made.profile(against, previous, at=199)
    profile = made.profile(against, day, duplicates=duplicates)
    told = facts or DayFacts(rows=profile.rows, quarantined=0, late=False)
    return Found(counters.judge(against, profile, told, usual=USUAL, previous=before))


def missing(name: str, share: float) -> made.Columns:
    columns = made.day(9)
    rows = round(share * len(columns[name]))
    empty = "" if columns[name].dtype == object else np.nan
    columns[name][:rows] = empty
    return columns


def test_a_healthy_day_is_known_and_within_every_limit() -> None:
    found = judged(previous=made.day(8))
    assert {one.state for one in found.results} == {State.HEALTHY}
    measures = {one.measure for one in found.results}
    assert measures == {
        "rows", "missing", "unseen_categories", "out_of_range", "duplicates", "rejected_day", "late_day", "quarantined",
        "stuck", "repeated_day",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "violated", "gross"),
    [(100, False, False), (75, False, False), (74, True, False), (49, True, True), (0, True, True),
     (150, False, False), (151, True, False), (201, True, True)],
)  # fmt: skip
def test_rows_are_judged_by_the_smallest_and_the_largest_day(rows: int, violated: bool, gross: bool) -> None:
    one = judged(facts=DayFacts(rows=rows)).of("rows")
    assert (one.violated, counters.gross(one)) == (violated, gross)
    assert one.cause is Cause.DATA and f"{rows} rows (75 to 150 is usual)" in one.sentence


def test_a_day_without_rows_is_usual_if_the_reference_has_some() -> None:
    days = made.days(1, 70)
    days[3] = {name: values[:0] for name, values in days[3].items()}
    known = made.of(days)
    assert not judged(facts=DayFacts(rows=0), known=known).of("rows").violated
    assert judged(facts=DayFacts(rows=10), known=known).of("rows").violated


@pytest.mark.parametrize(
    ("name", "share", "violated"),
    [("x", 0.0, False), ("x", 0.01, False), ("x", 0.1, True), ("wind", 0.12, False), ("wind", 0.5, True),
     ("shop", 0.3, True), ("x", 1.0, True), ("shop", 1.0, True)],
)  # fmt: skip
def test_missing_values_are_judged_by_the_worst_day(name: str, share: float, violated: bool) -> None:
    one = judged(missing(name, share)).of("missing", name)
    assert one.violated is violated, one.sentence
    assert one.cause is Cause.DATA and one.sentence.startswith(f"{name}: ")
    assert counters.gross(one) is (violated and share >= 0.5)


def test_an_empty_column_is_found_although_it_was_empty_on_a_day_of_the_reference() -> None:
    days = made.days(1, 90)
    days[5]["wind"] = np.full(100, np.nan)
    assert judged(missing("wind", 1.0), known=made.of(days)).of("missing", "wind").violated
    for day in days[::7]:
        day["wind"] = np.full(100, np.nan)
    known = made.of(days)
    assert not judged(missing("wind", 1.0), known=known).of("missing", "wind").violated, "it is empty on Sundays"


@pytest.mark.parametrize("unit", [1000.0, -40.0])
def test_another_unit_is_out_of_range(unit: float) -> None:
    columns = made.day(9)
    columns["wind"] = columns["wind"] * unit
    found = judged(columns)
    one = found.of("out_of_range", "wind")
    assert one.violated and counters.gross(one) and one.cause is Cause.DATA
    assert counters.damaged(found.results).keys() == {"wind", DAMAGED_SCORE}


def test_a_day_of_rain_is_out_of_range_and_pages_only_if_it_persists() -> None:
    """An input that is 0 on most days has most of its values beyond the fences on a wet one."""
    columns = made.day(9)
    columns["wind"][:75] = columns["wind"][:75] * 1000
    one = judged(columns).of("out_of_range", "wind")
    assert one.violated and not counters.gross(one)


@pytest.mark.parametrize(
    ("share", "violated", "cause"), [(0.01, False, "drift"), (0.2, True, "drift"), (1.0, True, "data")]
)
def test_new_categories_are_drift_unless_hardly_any_value_is_known(share: float, violated: bool, cause: str) -> None:
    columns = made.day(9)
    columns["shop"][: round(100 * share)] = "Delft"
    one = judged(columns).of("unseen_categories", "shop")
    assert (one.violated, one.cause.value) == (violated, cause), one.sentence


def test_a_new_category_is_no_damage_where_one_can_fill_a_day() -> None:
    """As the weather of a day; two of them are the usual ones, written differently."""
    usual = ["Cork", "Bonn"]
    days = [one | {"shop": np.full(100, usual[at % 2], dtype=object)} for at, one in enumerate(made.days(1, 60))]
    weather = made.of(days)
    for values, cause in ((["Delft"] * 100, "drift"), (["Delft"] * 60 + ["Essen"] * 40, "data")):
        columns = made.day(9) | {"shop": np.array(values, dtype=object)}
        found = counters.judge(weather, made.profile(weather, columns), DayFacts(rows=100))
        (one,) = [one for one in found if one.measure == "unseen_categories" and one.subject == "shop"]
        assert one.violated and one.cause.value == cause, (values, one.sentence)


def test_new_categories_are_usual_in_what_is_left_out() -> None:
    columns = made.day(9) | {"shop": np.full(100, "Delft", dtype=object)}
    profile = made.profile(reference(), columns)
    found = counters.judge(reference(), profile, DayFacts(rows=100), leave_out=("shop",))
    assert not any(one.measure == "unseen_categories" and one.subject == "shop" for one in found)


def test_too_many_categories_to_know_are_unknown() -> None:
    days = [
        one | {"id": np.array([f"{at}-{n}" for n in range(100)], dtype=object)}
        for at, one in enumerate(made.days(1, 60))
    ]
    columns = made.day(9) | {"id": np.array([f"new-{n}" for n in range(100)], dtype=object)}
    assert judged(columns, known=made.of(days)).of("unseen_categories", "id").state is State.UNKNOWN


def test_doubled_rows_are_found() -> None:
    assert not judged(duplicates=0).of("duplicates").violated
    found = judged(duplicates=50)
    assert found.of("duplicates").violated and "" in counters.damaged(found.results)


@pytest.mark.parametrize(("name", "value"), [("x", 0.3), ("wind", 12.0), ("shop", "Cork"), ("flag", "true")])
def test_an_input_with_a_single_value_is_stuck(name: str, value: object) -> None:
    columns = made.day(9, level=0.0)
    columns[name] = np.full(100, value, dtype=columns[name].dtype)
    found = judged(columns)
    assert ("stuck", name) in found.violated and found.of("stuck", name).cause is Cause.DATA


def test_an_input_that_has_a_value_for_each_day_is_not_stuck() -> None:
    random = np.random.default_rng(5)
    days = [one | {"heat": np.full(100, random.normal(10, 5))} for one in made.days(1, 60)]
    for heat in (8.0, 11.0, 14.0):
        one = judged(made.day(9) | {"heat": np.full(100, heat)}, known=made.of(days)).of("stuck", "heat")
        assert one.known and not one.violated


def test_values_that_are_nearly_the_same_are_not_stuck() -> None:
    """As the air pressure of a calm day, which is in a single bin."""
    columns = made.day(9)
    columns["wind"] = 5 + np.arange(100) * 1e-6
    assert not judged(columns).of("stuck", "wind").violated


def test_a_flag_that_is_nearly_always_the_same_is_not_stuck() -> None:
    random = np.random.default_rng(5)
    days = [
        one | {"rare": np.where(random.random(100) < 0.02, "true", "false").astype(object)} for one in made.days(1, 90)
    ]
    one = judged(made.day(9) | {"rare": np.full(100, "false", dtype=object)}, known=made.of(days)).of("stuck", "rare")
    assert one.known and not one.violated


def test_a_copy_of_the_day_before_is_found() -> None:
    one = judged(made.day(9), previous=made.day(9)).of("repeated_day")
    assert one.violated and counters.gross(one) and made.key(199) in one.sentence
    few = {name: values[:5] for name, values in made.day(9).items()}
    assert judged(few, previous=few).of("repeated_day").state is State.UNKNOWN
    assert judged(made.day(9)).of("repeated_day").state is State.UNKNOWN


def test_the_facts_of_a_day() -> None:
    found = judged(facts=DayFacts(rows=100, quarantined=9, rejected=True, late=True))
    assert {"rejected_day", "late_day", "quarantined"} <= {measure for measure, _ in found.violated}
    assert counters.gross(found.of("rejected_day")) and not counters.gross(found.of("late_day"))
    assert judged(facts=DayFacts(rows=100)).of("late_day").state is State.UNKNOWN


def test_errors_and_latency_of_the_model_server() -> None:
    bad = judged(facts=DayFacts(rows=100, requests=1000, errors=100, latency=0.05))
    assert {"prediction_errors", "latency"} <= {measure for measure, _ in bad.violated}
    assert bad.of("latency").cause is Cause.SERVICE and "50 ms (limit 40 ms)" in bad.of("latency").sentence
    good = judged(facts=DayFacts(rows=100, requests=1000, errors=12, latency=0.03))
    assert good.of("prediction_errors").known and good.of("latency").known and not good.violated
    assert not any(one.cause is Cause.SERVICE for one in judged().results), "the server was not asked"


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"silent": "the model server did not answer"}, "the model server did not answer"),
        ({"requests": 0, "errors": 0}, "0 requests"),
        ({"requests": 19, "errors": 19}, "19 requests came in the last 24 hours, and 20 are needed"),
    ],
)
def test_a_silent_or_idle_model_server_is_neither_healthy_nor_faulty(facts: dict[str, Any], why: str) -> None:
    found = judged(facts=DayFacts(rows=100, **facts))
    service = [one for one in found.results if one.cause is Cause.SERVICE]
    assert [one.measure for one in service] == ["prediction_errors", "latency"]
    assert {one.state for one in service} == {State.UNKNOWN} and {one.value for one in service} == {None}
    assert why in service[0].sentence


def test_a_latency_needs_enough_answers_and_a_server_that_reports_it() -> None:
    few = judged(facts=DayFacts(rows=100, requests=1000, errors=901, latency=9.0)).of("latency")
    assert few.state is State.UNKNOWN and few.value is None and "99 requests were answered" in few.sentence
    older = judged(facts=DayFacts(rows=100, requests=1000, errors=0)).of("latency")
    assert older.state is State.UNKNOWN and "does not report it" in older.sentence


# -- limits of shares


@pytest.mark.parametrize("rows", [1, 10, 1000, 10**6])
@pytest.mark.parametrize("worst", [0.0, 0.004, 0.2, 0.6, 0.95])
def test_the_worst_day_of_the_reference_is_within_the_limit(rows: int, worst: float) -> None:
    limit = limit_of([0.0] * 59 + [worst], rows)
    assert limit is not None and worst < limit <= 1
    if rows >= 1000:
        assert limit < 1, "no limit of a large day is beyond everything"


def test_a_share_that_is_twice_the_worst_is_beyond() -> None:
    assert limit_of([0.05] * 60, 10**6) == pytest.approx(0.1, abs=0.002)
    assert limit_of([0.0] * 60, 10**6) == pytest.approx(0.01, abs=0.001)


# -- unknown is never healthy


@pytest.mark.parametrize("number", [1, 30, ENOUGH_DAYS - 1])
def test_a_short_reference_gives_no_limit(number: int) -> None:
    found = judged(missing("x", 1.0), known=made.of(made.days(2, number)), duplicates=50, previous=missing("x", 1.0))
    derived = [one for one in found.results if one.measure not in ("rejected_day", "late_day", "quarantined")]
    assert derived and {one.state for one in derived} == {State.UNKNOWN}


def test_without_a_day_or_a_reference_what_depends_on_them_is_unknown() -> None:
    facts = DayFacts(rejected=True)
    for known in (None, reference()):
        found = Found(counters.judge(known, None, facts))
        assert found.violated == {("rejected_day", "")}
        assert {one.state for one in found.results if one.measure != "rejected_day"} == {State.UNKNOWN}


@pytest.mark.parametrize("name", ["x", "shop"])
def test_an_empty_column_has_no_healthy_counter_but_missing(name: str) -> None:
    of_it = [one for one in judged(missing(name, 1.0)).results if one.subject == name]
    assert {one.measure for one in of_it if one.known} == {"missing"} and len(of_it) == 3
