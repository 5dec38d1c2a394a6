"""Airflow's parser accepts every cron expression that we accept. A date that never comes is refused."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from croniter import croniter

from include.errors import Misdeclared
from include.spec.cron import days_and_time, require_cron

MADE_OF = [
    "*",
    "0",
    "5",
    "59",
    "60",
    "7",
    "8",
    "12",
    "13",
    "31",
    "32",
    "1-5",
    "5-1",
    "*/15",
    "*/0",
    "1,15",
    "mon",
    "jan",
]
MADE_OF += ["mon-fri", "0-59/10", "5/10", "x", "-1", "1-", "1,,2", "L", "24", "23", "0-23/2", "sun", "?", "1.5"]


def accepted(expression: str) -> bool:
    try:
        require_cron(expression)
    except Misdeclared:
        return False
    return True


def test_every_accepted_expression_has_a_next_date_in_croniter() -> None:
    chance = random.Random(0)
    passed = 0
    for _ in range(20_000):
        expression = " ".join(chance.choice(MADE_OF) for _ in range(5))
        if accepted(expression):
            passed += 1
            assert croniter.is_valid(expression), expression
            croniter(expression, datetime(2025, 1, 1, tzinfo=UTC)).get_next(datetime)
    assert passed > 50


def test_days_and_their_first_tick_are_those_of_croniter() -> None:
    chance = random.Random(1)
    usual = ["0 2 * * *", "30 6 * * 1-5", "0 3 1,15 * *", "0 0 * jan mon", "0 12 13 * 5", "5 4 29 2 *", "0 3 * * 7"]
    made = [" ".join(chance.choice(MADE_OF) for _ in range(5)) for _ in range(5_000)]
    ticked = 0
    for expression in (*usual, *filter(accepted, made)):
        for _ in range(20):
            midnight = datetime(2026, chance.randint(1, 12), chance.randint(1, 28), tzinfo=UTC)
            following = croniter(expression, midnight - timedelta(seconds=1)).get_next(datetime)
            expected = following.time() if following.date() == midnight.date() else None
            assert days_and_time(expression)(midnight.date()) == expected, (expression, midnight)
            ticked += expected is not None
    assert ticked > 50


@pytest.mark.parametrize("expression", ["0 2 * * *", "*/15 * * * *", "30 6 * * 1-5", "0 3 1,15 * *", "0 0 * jan mon"])
def test_usual_expressions_are_accepted(expression: str) -> None:
    assert require_cron(expression) == expression


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("0 66 * * *", "the hour is '66'"),
        ("0 2 * *", "4 fields"),
        ("@daily", "0 0 \\* \\* \\*"),
        ("0 0 30 2 *", "never comes"),
        ("0 2 * * fri-mon", "backwards"),
        ("0  2 * * *", "one blank"),
        ("soon", "1 fields"),
    ],
)
def test_other_expressions_are_refused_with_the_reason(expression: str, message: str) -> None:
    with pytest.raises(Misdeclared, match=message):
        require_cron(expression)
