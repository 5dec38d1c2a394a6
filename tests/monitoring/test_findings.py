"""Damage of live days ends in the right incident, healthy days in none, and many inputs in one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from include.data.monitoring import Kind
from include.monitoring import findings, policy
from include.monitoring.counters import DayFacts
from include.monitoring.policy import Newest, Promotion
from include.registry.incident_rows import IncidentKind
from include.statistics.results import Cause, State
from tests.monitoring.watched import FRESH, Watched, measured, model, names, shifted, stale, the
from tests.statistics import made
from tests.statistics.made import key

Damage = Callable[[made.Columns], made.Columns]


def healthy(at: int) -> made.Columns:
    return made.day(90_000 + at, level=0.3 * np.sin(at))


def watched_for(
    days: int, change: Damage, before: int = 3, duplicates: int = 0
) -> tuple[list[set[tuple[str, str, str]]], Watched]:
    """The findings of each of so many damaged days, after healthy ones."""
    watch, found = Watched(), []
    for at in range(before):
        watch.day(healthy(at))
    for at in range(before, before + days):
        action, seen = watch.day(change(healthy(at)), duplicates=duplicates)
        assert not action.retrain, action.reason
        found.append(names(seen))
    return found, watch


def put(name: str, value: Callable[[np.ndarray], np.ndarray]) -> Damage:
    return lambda columns: columns | {name: value(columns[name].copy())}


def with_rows(share: float) -> Damage:
    return lambda columns: {name: values[: round(share * len(values))] for name, values in columns.items()}


def first(share: float, value: object) -> Callable[[np.ndarray], np.ndarray]:
    def changed(values: np.ndarray) -> np.ndarray:
        values[: round(share * len(values))] = value
        return values

    return changed


def test_healthy_days_page_nobody() -> None:
    """200 days drawn with their own effects; one day of three months beyond a limit is usual, three of five are not."""
    for seed in (2, 3):
        watch = Watched(known=made.of(made.days(seed, 90)))
        for at in range(100):
            action, found = watch.day(made.day(70_000 + 200 * seed + at))
            assert not action.retrain
            assert not [one for one in found.seen if one.severity == "critical"], found.seen


@pytest.mark.parametrize(
    ("change", "cause", "at_once"),
    [
        (put("x", first(1.0, np.nan)), "missing", "critical"),
        (put("wind", first(0.4, np.nan)), "missing", "warning"),
        (put("shop", first(1.0, "")), "missing", "critical"),
        (put("wind", lambda values: values * 1000), "out_of_range", "critical"),
        (put("shop", first(1.0, "AARHUS")), "unseen_categories", "critical"),
        (put("x", first(1.0, 0.25)), "stuck", "warning"),
        (with_rows(0.6), "rows", "warning"),
        (with_rows(0.4), "rows", "critical"),
    ],
    ids=["empty", "missing", "empty text", "unit", "spelling", "stuck", "fewer rows", "halved rows"],
)  # fmt: skip
def test_damage_of_rows_is_a_data_fault_and_pages_if_it_is_gross_or_persists(
    change: Damage, cause: str, at_once: str
) -> None:
    found, watch = watched_for(3, change)
    assert ("data", cause, at_once) in found[0]
    assert ("data", cause, "critical") in found[2]
    assert {kind for day in found for kind, _, _ in day} == {"data"}, "damage is not drift"
    _, after = watch.day(healthy(50))
    assert not after.seen and ("toy", IncidentKind.DATA, cause) not in after.unknown, "it is over"


def test_doubled_rows_are_a_data_fault() -> None:
    found, _ = watched_for(1, lambda columns: columns, duplicates=60)
    assert found[0] == {("data", "duplicates", "critical")}


def test_a_copied_day_is_a_data_fault() -> None:
    watch = Watched()
    watch.day(healthy(1))
    assert names(watch.day(healthy(1))[1]) == {("data", "repeated_day", "critical")}


def test_a_rejected_day_pages_and_leaves_the_rest_unknown() -> None:
    watch = Watched()
    watch.day(put("x", first(0.3, np.nan))(healthy(1)))
    _, found = watch.day(None, DayFacts(rejected=True, late=False))
    assert names(found) == {("data", "rejected_day", "critical")}
    assert ("toy", IncidentKind.DATA, "missing") in found.unknown, "it is not known whether the values are back"
    assert ("toy", IncidentKind.DRIFT, "model") in found.unknown
    _, after = watch.day(healthy(3))
    assert not after.seen


def test_a_shift_of_the_world_is_drift_of_the_model_and_one_warning_of_inputs() -> None:
    found, watch = watched_for(4, lambda columns: shifted(columns, 2.5))
    assert found[0] == found[1] == set()
    assert found[2] == {("drift", "model", "warning"), ("drift", "features", "warning")}
    assert found[3] == {("drift", "model", "critical"), ("drift", "features", "warning")}, "it lasts"
    _, seen = watch.day(shifted(healthy(9), 2.5))
    one = the(seen, IncidentKind.DRIFT, "model")
    assert one.since == key(203) and "(limit " in one.how_bad and one.todo and one.page == "/perennial/-/models/toy"
    assert one.done.startswith("No retraining")
    assert the(seen, IncidentKind.DRIFT, "features").what == "1 input differs from the reference: x."


def test_a_change_of_scale_is_drift_of_the_input() -> None:
    found, _ = watched_for(3, put("x", lambda values: values * 3))
    assert found[0] == found[1] == set() and ("drift", "features", "warning") in found[2]
    assert {kind for kind, _, _ in found[2]} == {"drift"}


def test_new_categories_are_drift_and_retrain_if_the_score_drifts_too() -> None:
    change = put("shop", first(0.3, "Delft"))
    found, _ = watched_for(3, change)
    assert found[0] == {("drift", "unseen_categories", "warning")}
    watch = Watched()
    actions = [watch.day(shifted(change(healthy(at)), 2.5))[0] for at in range(3)]
    assert [one.retrain for one in actions] == [False, False, True]
    assert actions[2].cause == "score_drift" and "Delft" not in actions[2].reason and "30 %" in actions[2].reason


@pytest.mark.parametrize("damage", [put("x", first(0.3, np.nan)), put("wind", lambda values: values * 1000)])
def test_bad_rows_never_retrain(damage: Damage) -> None:
    watch = Watched()
    for at in range(6):
        action, _ = watch.day(shifted(put("shop", first(0.3, "Delft"))(damage(healthy(at))), 2.5), stale=stale())
        assert not action.retrain
    assert action.cause == "stale" and "damaged" in action.reason


def test_one_good_day_in_between_makes_no_second_incident() -> None:
    watch = Watched()
    for at in range(4):
        watch.day(shifted(healthy(at), 2.5))
    _, found = watch.day(healthy(4))
    assert not found.seen and ("toy", IncidentKind.DRIFT, "model") in found.unknown
    for at in range(5, 8):
        _, found = watch.day(healthy(at))
    assert not found.seen and not [one for one in found.unknown if one[1] is IncidentKind.DRIFT]


def test_fifty_inputs_are_one_incident_that_names_the_worst_five() -> None:
    rows = []
    for at in (97, 98, 99):
        for number in range(50):
            one = measured(key(at), State.VIOLATED, f"input{number}", kind=Kind.DRIFT, importance=0.02)
            rows.append(one.replace(result=one.result.replace(value=2.0 + number)))
            rows.append(measured(key(at), State.VIOLATED, f"input{number}", "psi", kind=Kind.DRIFT, importance=0.02))
            rows.append(
                measured(key(at), State.VIOLATED, f"input{number}", "missing", kind=Kind.COUNTER, cause=Cause.DATA)
            )
    action = policy.decide(model(), key(99), rows, FRESH, Newest())
    found = findings.find(model(), key(99), rows, action, Newest())
    assert sorted(names(found)) == [("data", "missing", "critical"), ("drift", "features", "warning")]
    what = the(found, IncidentKind.DRIFT, "features").what
    assert what == "50 inputs differ from the reference: input49, input48, input47, input46, input45 and 45 more."


def test_drift_of_inputs_without_importance_is_not_worth_a_message() -> None:
    found, watch = watched_for(5, put("noise", lambda values: values + 1))
    assert not any(kind == "drift" for day in found for kind, _, _ in day)
    shown = [one for one in watch.rows if one.kind is Kind.DRIFT and one.result.subject == "noise"]
    assert sum(one.result.violated for one in shown) >= 10, "the page shows it, by both measures"


# -- staleness


def test_a_stale_champion_that_is_retrained_is_a_warning() -> None:
    watch = Watched()
    results = [watch.day(healthy(at), stale=stale()) for at in range(3)]
    assert [names(found) for _, found in results] == [set(), set(), {("stale", "champion", "warning")}]
    action, found = results[2]
    assert action.retrain and the(found, IncidentKind.STALE, "champion").done == action.reason


@pytest.mark.parametrize("promotion", list(Promotion))
def test_a_stale_champion_pages_if_promotion_is_held(promotion: Promotion) -> None:
    watch, newest = Watched(model("0 3 * * *")), Newest(promotion=promotion, version=7, why="by ada")
    for at in range(3):
        action, found = watch.day(healthy(at), stale=stale(), newest=newest)
    one = the(found, IncidentKind.STALE, "champion")
    assert names(found) == {("stale", "champion", "critical")} and not action.retrain and one.todo
    assert promotion is Promotion.NORMAL or newest.sentence in one.what


def test_an_unknown_pair_neither_opens_nor_closes() -> None:
    watch = Watched()
    for at in range(3):
        watch.day(healthy(at), stale=stale())
    _, found = watch.day(healthy(3), stale=stale(State.UNKNOWN))
    assert not found.seen and ("toy", IncidentKind.STALE, "champion") in found.unknown
    for at in range(4, 8):
        _, found = watch.day(healthy(at), stale=stale(State.HEALTHY))
    assert not found.seen and ("toy", IncidentKind.STALE, "champion") not in found.unknown


def test_the_service_has_causes_of_its_own() -> None:
    _, found = Watched().day(healthy(1), DayFacts(rows=100, requests=100, errors=90))
    assert ("service", "requests:prediction_errors", "critical") in names(found)
