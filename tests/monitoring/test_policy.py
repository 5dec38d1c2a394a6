"""What asks for a retraining, what speaks against it, and the sentence that says so."""

from __future__ import annotations

import pytest

from include.data.monitoring import Kind, Measured
from include.monitoring import policy, staleness
from include.monitoring.policy import Action, Labels, Newest, Promotion
from include.spec import Model
from include.statistics.results import Cause, State
from tests.monitoring.watched import FRESH, WEEKLY, measured, model
from tests.statistics.made import key

NIGHTLY = "0 3 * * *"
TODAY = key(99)


def days(subject: str, measure: str, kind: Kind = Kind.DRIFT, number: int = 3, **changes: object) -> list[Measured]:
    """The newest days, all beyond the limit."""
    first = 100 - number
    return [measured(key(at), State.VIOLATED, subject, measure, kind=kind, **changes) for at in range(first, 100)]


STALE = days("", "paired_gain", Kind.STALENESS, cause=Cause.STALE)
SCORE = days("score", "wasserstein")
NEW = days("shop", "unseen_categories", Kind.COUNTER, number=1)
FEATURE = days("x", "wasserstein")
DAMAGE = days("x", "missing", Kind.COUNTER, number=1, cause=Cause.DATA)


def decided(
    rows: list[Measured], of: Model | None = None, labels: Labels = FRESH, newest: Newest | None = None
) -> Action:
    return policy.decide(of or model(), TODAY, rows, labels, newest or Newest())


@pytest.mark.parametrize(
    ("rows", "cause"),
    [
        (STALE, "stale"),
        (SCORE + NEW, "score_drift"),
        (days("score.b", "wasserstein") + NEW, "score_drift"),
        (STALE + SCORE + NEW, "stale"),
        (STALE + FEATURE, "stale"),
    ],
)
def test_it_retrains(rows: list[Measured], cause: str) -> None:
    action = decided(rows)
    assert action.retrain and action.cause == cause and action.reason.startswith("Retraining, because ")


@pytest.mark.parametrize(
    "rows",
    [
        [],
        STALE[:2],
        STALE[1:],
        SCORE,
        NEW,
        FEATURE + NEW,
        days("", "weighted_drift") + NEW,
        days("score", "psi") + NEW,
        SCORE[1:] + NEW,
        days("x", "wasserstein", number=30),
    ],
)
def test_nothing_asks_for_a_retraining(rows: list[Measured]) -> None:
    action = decided(rows)
    assert not action.retrain and action.cause == "" and action.reason.startswith("No retraining: ")


def test_what_is_unknown_asks_for_nothing() -> None:
    unknown = measured(TODAY, State.UNKNOWN, "", "paired_gain", kind=Kind.STALENESS, cause=Cause.STALE)
    action = decided([*STALE[:2], unknown])
    assert not action.retrain and action.cause == "" and unknown.result.sentence in action.reason


@pytest.mark.parametrize("asks", [STALE, SCORE + NEW], ids=["stale", "score"])
@pytest.mark.parametrize(
    ("measure", "at", "value", "blocks"),
    [
        ("missing", 99, 2.0, True),
        ("rejected_day", 95, 2.0, True),
        ("out_of_range", 87, 2.0, True),  # gross: as long as the paired days
        ("out_of_range", 85, 2.0, False),
        ("stuck", 95, 2.0, True),  # not gross: of_days
        ("stuck", 94, 2.0, False),
        ("late_day", 99, 2.0, False),
    ],
)
def test_damaged_rows_block_every_retraining(
    asks: list[Measured], measure: str, at: int, value: float, blocks: bool
) -> None:
    fault = measured(key(at), State.VIOLATED, "x", measure, kind=Kind.COUNTER, cause=Cause.DATA)
    action = decided([*asks, fault])
    assert action.retrain is not blocks, action.reason
    if blocks:
        assert action.cause and "the rows of the newest days are damaged" in action.reason and key(at) in action.reason


def test_no_new_labels_make_a_retraining_pointless() -> None:
    action = decided(STALE, labels=Labels(learned_until=key(80), matured_until=key(80)))
    assert not action.retrain and action.cause == "stale"
    assert "no new labels: retraining is pointless" in action.reason and key(80) in action.reason


@pytest.mark.parametrize("labels", [(None, key(80)), (key(80), None)])
def test_unknown_labels_are_not_new_labels(labels: tuple[str | None, str | None]) -> None:
    action = decided(STALE, labels=Labels(learned_until=labels[0], matured_until=labels[1]))
    assert not action.retrain and "not known whether there are labels" in action.reason


def test_a_model_can_forbid_it() -> None:
    action = decided(STALE, model(retrain=False))
    assert not action.retrain and "monitoring.retrain is False" in action.reason


@pytest.mark.parametrize(
    ("promotion", "words"),
    [
        (Promotion.FROZEN, "promotion is frozen (v7: frozen by ada)"),
        (Promotion.HELD, "promotion is held by the gate (v7: frozen by ada)"),
        (Promotion.REFUSED, "the newest run was refused"),
        (Promotion.WAITING, "the newest version waits for an approval"),
        (Promotion.NORMAL, "no newer version has been promoted yet"),
    ],
)
def test_a_nightly_model_is_stale_because_something_holds_it(promotion: Promotion, words: str) -> None:
    newest = Newest(promotion=promotion, version=7, why="frozen by ada.")
    action = decided(STALE, model(NIGHTLY), newest=newest)
    assert not action.retrain and action.cause == "stale"
    assert f"is stale because {words}" in action.reason and "stale by 2" in action.reason


@pytest.mark.parametrize(
    ("schedule", "nightly"), [(NIGHTLY, True), (WEEKLY, False), ("0 3 * * 1-5", False), ("0 */6 * * *", True)]
)
def test_which_schedules_are_nightly(schedule: str, nightly: bool) -> None:
    assert staleness.nightly(model(schedule)) is nightly
    assert decided(STALE, model(schedule)).retrain is not nightly


def test_a_nightly_model_whose_scores_drift_waits_for_its_schedule() -> None:
    action = decided(SCORE + NEW, model(NIGHTLY))
    assert not action.retrain and "retrains every night by its own schedule" in action.reason


def test_the_paired_rule_counts_the_days_of_one_champion() -> None:
    rows = [*STALE[:2], measured(TODAY, State.VIOLATED, "", "paired_gain", kind=Kind.STALENESS, version=2)]
    assert not decided(rows).retrain
