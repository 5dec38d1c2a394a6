"""A day is beyond a limit if it is farther away than every day of the reference; what is not known is not healthy."""

from __future__ import annotations

import numpy as np
import pytest

from include.monitoring import drift
from include.statistics.reference import ENOUGH_DAYS, Importance, Reference
from include.statistics.results import Cause, Result, State
from tests.monitoring.watched import reference, shifted
from tests.statistics import made


def judged(columns: made.Columns, known: Reference | None = None, **more: object) -> dict[tuple[str, str], Result]:
    against = known or reference()
    found = drift.judge(against, made.profile(against, columns), **more)  # type: ignore[arg-type]
    assert len({(one.subject, one.measure) for one in found}) == len(found)
    return {(one.subject, one.measure): one for one in found}


def without_importance(lack: str | None) -> Reference:
    none = Importance(metric="log_loss", rows=0, repeats=0, seed=0, by_input={}, lack=lack)
    return reference().replace(importance=none)


def test_a_healthy_day_is_within_the_limits_of_every_measure() -> None:
    found = judged(made.day(9, level=0.1))
    assert {one.state for one in found.values()} == {State.HEALTHY}
    assert {subject for subject, _ in found} == {"x", "wind", "shop", "flag", "noise", "score", ""}
    assert all(one.value is not None and one.high is not None for one in found.values())


def test_a_shifted_day_is_beyond_and_its_sentence_has_the_figures() -> None:
    found = judged(shifted(made.day(9, level=0.0), 2.5))
    one, score, weighted = found["x", "wasserstein"], found["score", "wasserstein"], found["", "weighted_drift"]
    assert one.violated and score.violated and weighted.violated
    assert one.cause is Cause.DRIFT and one.value is not None and one.high is not None
    assert one.sentence == f"x is {one.value:.3g} standard deviations from the reference (limit {one.high:.3g})"
    assert "most of it of x" in weighted.sentence
    assert not found["noise", "wasserstein"].violated


def test_the_limit_is_that_of_the_reference() -> None:
    found = judged(made.day(9))
    for name in ("x", "wind", "shop", "score"):
        one = made.feature(reference(), name)
        for measure in one.distances:
            assert found[name, measure].high == one.limit(measure)


def test_one_measure_of_a_feature_decides() -> None:
    found = judged(made.day(9))
    deciding = [one.subject for one in found.values() if drift.decides(one)]
    assert sorted(deciding) == ["", "flag", "noise", "score", "shop", "wind", "x"]
    assert drift.is_score(found["score", "wasserstein"]) and not drift.is_score(found["x", "wasserstein"])


def test_inputs_that_are_left_out_have_no_result_and_no_weight() -> None:
    found = judged(shifted(made.day(9, level=0.0), 4), leave_out=("x",))
    assert not any(subject == "x" for subject, _ in found)
    assert not found["", "weighted_drift"].violated


# -- the weighted drift


def test_the_weighted_drift_is_the_sum_of_weight_times_distance_by_limit() -> None:
    columns = made.day(11)
    found = judged(columns)
    weights = reference().importance.weights()
    assert set(weights) == {"x", "wind", "shop"}
    expected = 0.0
    for name, weight in weights.items():
        one = next(r for (subject, _), r in found.items() if subject == name and drift.decides(r))
        assert one.value is not None and one.high is not None
        expected += weight * one.value / one.high
    assert found["", "weighted_drift"].value == pytest.approx(expected, rel=1e-9)


def test_the_limit_of_the_weighted_drift_is_that_of_the_worst_day_of_the_reference() -> None:
    weights, by_day = reference().importance.weights(), []
    for at in range(len(reference().days)):
        parts = []
        for name, weight in weights.items():
            one = made.feature(reference(), name)
            distance, limit = one.distances[str(one.measure)][at], one.limit(str(one.measure))
            assert distance is not None and limit
            parts.append(weight * distance / limit)
        by_day.append(sum(parts))
    assert judged(made.day(9))["", "weighted_drift"].high == pytest.approx(max(by_day), rel=1e-9)


@pytest.mark.parametrize("lack", [None, "the model could not be scored"])
def test_without_importance_the_weighted_drift_is_unknown(lack: str | None) -> None:
    one = judged(made.day(9), without_importance(lack))["", "weighted_drift"]
    assert one.state is State.UNKNOWN and (lack or "none of the inputs matters") in one.sentence


@pytest.mark.parametrize(("lost", "known"), [("x", False), ("wind", False), ("noise", True)])
def test_the_weighted_drift_is_unknown_without_a_tenth_of_the_importance(lost: str, known: bool) -> None:
    one = judged(made.day(9, level=0.1) | {lost: np.full(100, np.nan)})["", "weighted_drift"]
    assert one.known is known
    assert known or (one.value is None and lost in one.sentence)


def test_a_missing_input_of_little_importance_is_left_out_of_the_mean() -> None:
    by_input: dict[str, float | None] = {"x": 0.95, "wind": 0.05}
    light = reference().replace(importance=reference().importance.replace(by_input=by_input))
    found = judged(made.day(9, level=0.1) | {"wind": np.full(100, np.nan)}, light)
    one, x = found["", "weighted_drift"], found["x", "wasserstein"]
    assert x.value is not None and x.high is not None
    assert one.known and one.value == pytest.approx(x.value / x.high, rel=1e-9)


def test_days_on_which_too_much_is_missing_give_the_weighted_drift_no_limit() -> None:
    """Each input has 60 days, but fewer have all of them."""
    days = made.days(1, 90)
    for at in range(40):
        days[at]["x" if at < 20 else "wind"] = np.full(100, np.nan)
    found = judged(made.day(9, level=0.1), made.of(days))
    one = found["", "weighted_drift"]
    assert found["x", "wasserstein"].known and found["wind", "wasserstein"].known
    assert one.state is State.UNKNOWN and one.value is not None and "has 50 days with it" in one.sentence


def test_an_input_that_never_varied_has_a_scale_of_its_own() -> None:
    days = [one | {"wind": np.full(100, 5.0)} for one in made.days(3, 90)]
    known = made.of(days)
    assert made.feature(known, "wind").limit("wasserstein") == 0
    same, other = (made.day(9, level=0.0) | {"wind": np.full(100, value)} for value in (5.0, 6.0))
    assert not judged(same, known)["wind", "wasserstein"].violated
    assert judged(other, known)["wind", "wasserstein"].violated
    values = [judged(one, known)["", "weighted_drift"].value for one in (same, other)]
    assert values[0] is not None and values[1] is not None and values[0] < values[1] < np.inf


# -- unknown is never healthy


@pytest.mark.parametrize("number", [1, 30, ENOUGH_DAYS - 1])
def test_a_short_reference_makes_everything_unknown(number: int) -> None:
    found = judged(shifted(made.day(9), 5), made.of(made.days(2, number)))
    assert {one.state for one in found.values()} == {State.UNKNOWN}
    assert all(f"and {ENOUGH_DAYS} are needed" in one.sentence for one in found.values() if one.subject), found


@pytest.mark.parametrize("name", ["x", "wind", "shop", "score"])
@pytest.mark.parametrize("how", ["empty", "absent", "few rows"])
def test_what_the_day_does_not_have_is_unknown(name: str, how: str) -> None:
    columns = made.day(9)
    if how == "absent":
        del columns[name]
    elif how == "empty":
        columns[name] = np.full(100, "", dtype=object) if name == "shop" else np.full(100, np.nan)
    else:
        columns = {one: values[:5] for one, values in columns.items()}
    of_it = [one for (subject, _), one in judged(columns).items() if subject == name]
    assert of_it and {one.state for one in of_it} == {State.UNKNOWN}
    assert all(one.value is None and name in one.sentence for one in of_it)


def test_an_input_without_a_value_in_the_reference_is_unknown() -> None:
    known = made.of([one | {"wind": np.full(100, np.nan)} for one in made.days(3, 90)])
    one = judged(made.day(9), known)["wind", "wasserstein"]
    assert one.state is State.UNKNOWN and "no value on any day" in one.sentence


def test_a_reference_without_scores_makes_the_score_unknown() -> None:
    days = [{name: values for name, values in one.items() if name != "score"} for one in made.days(3, 60)]
    one = judged(made.day(9), made.of(days))["score", "wasserstein"]
    assert one.state is State.UNKNOWN and "it was not scored" in one.sentence


# -- damaged rows


def test_damaged_rows_show_nothing_about_the_world() -> None:
    columns = shifted(made.day(9, level=0.0), 2.5)
    found = judged(columns, damaged={"x": "x: 90 % of the values are missing"})
    for subject, measure in (("x", "wasserstein"), ("score", "wasserstein"), ("", "weighted_drift")):
        one = found[subject, measure]
        assert one.state is State.UNKNOWN and one.value is not None
        assert "on damaged rows: x: 90 %" in one.sentence
    assert found["shop", "jensen_shannon"].known
    whole = judged(columns, damaged={drift.DAMAGED_DAY: "rows are doubled"})
    assert {one.state for one in whole.values()} == {State.UNKNOWN}


def test_damage_of_what_the_model_does_not_use_hides_nothing() -> None:
    found = judged(shifted(made.day(9, level=0.0), 2.5), damaged={"noise": "noise is missing"})
    assert found["score", "wasserstein"].violated and found["", "weighted_drift"].violated
    assert not found["noise", "wasserstein"].known
