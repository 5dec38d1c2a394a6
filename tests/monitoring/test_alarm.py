"""Enough of the newest days and the newest one: the rule, day by day."""

from __future__ import annotations

import pytest

from include.monitoring import alarm
from include.spec import Monitoring
from include.statistics.results import State
from tests.monitoring.watched import measured
from tests.statistics.made import key

STATES = {"v": State.VIOLATED, ".": State.HEALTHY, "?": State.UNKNOWN}
DECLARED = Monitoring()


def judged(days: str) -> alarm.Alarm:
    """The rule for days like ``v.v?v``, the newest last; a blank is a day without a row."""
    rows = [
        measured(key(at), STATES[state], version=1)
        for at, state in enumerate(days, start=100 - len(days))
        if state != " "
    ]
    return alarm.judge(rows, "x", "wasserstein", key(99), DECLARED)


@pytest.mark.parametrize(
    ("days", "state", "lingers"),
    [
        ("vvv", State.VIOLATED, False),
        ("v.v.v", State.VIOLATED, False),
        ("v??vv", State.VIOLATED, False),
        ("v  vv", State.VIOLATED, False),
        ("vv.vv", State.VIOLATED, False),
        ("vv", State.HEALTHY, False),
        ("v???v", State.HEALTHY, False),
        ("vv...v", State.HEALTHY, False),
        ("v....vv", State.HEALTHY, False),
        ("vvvv.", State.HEALTHY, True),
        ("vvv..", State.HEALTHY, True),
        ("vv..", State.HEALTHY, False),
        ("vvv...", State.HEALTHY, False),
        ("vvv?", State.UNKNOWN, True),
        ("v.?", State.UNKNOWN, False),
        ("vvv????????", State.UNKNOWN, True),
        ("?", State.UNKNOWN, False),
        ("", State.UNKNOWN, False),
        ("vvvv ", State.UNKNOWN, False),
    ],
)
def test_the_rule(days: str, state: State, lingers: bool) -> None:
    found = judged(days)
    assert (found.state, found.lingers) == (state, lingers), found.sentence
    assert found.fires is (state is State.VIOLATED)


@pytest.mark.parametrize(
    ("days", "first"),
    [("vvv", 97), ("v.vvv", 95), ("v......vvv", 97), ("v....vvv", 92), ("v.....vvv", 97), ("...", None)],
)
def test_since_when(days: str, first: int | None) -> None:
    found = judged(days)
    assert found.since == (None if first is None else key(first))
    assert first is None or key(first) in found.sentence or not found.fires


def test_the_sentence_counts() -> None:
    assert judged("v.v.v").sentence == (
        f"x was beyond its limit on 3 of the last 5 days, the newest one included, since {key(95)}"
    )


def test_a_declared_rule_is_used() -> None:
    rows = [measured(key(99), State.VIOLATED)]
    assert alarm.judge(rows, "x", "wasserstein", key(99), Monitoring(alarm_days=1, of_days=1)).fires
    assert not alarm.judge(rows, "x", "wasserstein", key(99), DECLARED).fires


def test_days_of_another_version_count_only_if_no_version_is_asked_for() -> None:
    rows = [measured(key(at), State.VIOLATED, version=at) for at in (97, 98, 99)]
    assert alarm.judge(rows, "x", "wasserstein", key(99), DECLARED).fires
    assert not alarm.judge(rows, "x", "wasserstein", key(99), DECLARED, version=99).fires


def test_later_days_are_not_looked_at() -> None:
    rows = [measured(key(at), State.VIOLATED if at < 100 else State.HEALTHY) for at in range(97, 105)]
    assert alarm.judge(rows, "x", "wasserstein", key(99), DECLARED).fires


def test_a_day_counts_once_by_its_newest_version() -> None:
    rows = [measured(key(99), State.HEALTHY, version=2), measured(key(99), State.VIOLATED, version=1)]
    rows += [measured(key(98), State.VIOLATED), measured(key(98), State.VIOLATED, slice="shop=Cork")]
    found = alarm.series(rows)
    assert [(one.partition, one.version) for one in found["x", "wasserstein"]] == [(key(98), 1), (key(99), 2)]
