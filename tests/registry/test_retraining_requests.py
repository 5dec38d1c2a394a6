"""Requests to retrain: each as-of is answered once, and cool-down and budget hold for all who ask at once."""

from __future__ import annotations

import threading
from datetime import date, timedelta

import pytest

from include.registry.ledger import Ledger
from include.registry.retraining_requests import Reservation, RetrainingRequests

FIRST = date(2026, 5, 1)


@pytest.fixture
def requests(ledger: Ledger) -> RetrainingRequests:
    return RetrainingRequests.default()


def ask(
    requests: RetrainingRequests, model: str, day: int, *, cooldown: int = 7, per_month: int = 4, later: int = 0
) -> Reservation:
    """Ask for the as-of ``day`` days after the first one, on the next day or ``later`` days after that."""
    as_of = FIRST + timedelta(days=day)
    today = as_of + timedelta(days=1 + later)
    limits = {"cooldown_days": cooldown, "per_month": per_month}
    return requests.reserve(model, as_of.isoformat(), "stale by 0.012", "stale", today=today, **limits)


def test_an_as_of_is_answered_once(requests: RetrainingRequests, model: str) -> None:
    assert requests.newest(model) is None
    granted = ask(requests, model, 0)
    assert granted == Reservation(True, "monitor__2026-05-01", "stale by 0.012")
    assert ask(requests, model, 0, later=3, per_month=1) == granted
    refused = ask(requests, model, 6)
    assert not refused.granted and refused.run_id == "monitor__2026-05-07"
    assert ask(requests, model, 6, cooldown=1, later=30) == refused
    newest = requests.newest(model)
    assert newest is not None and (newest.as_of, newest.granted, newest.cause) == ("2026-05-07", False, "stale")
    assert (newest.reason, newest.answer, newest.day) == ("stale by 0.012", refused.reason, "2026-05-08")


def test_the_cool_down_names_the_day_on_which_it_ends(requests: RetrainingRequests, model: str) -> None:
    ask(requests, model, 0)
    assert "on 2026-05-02, and the cool-down is 7 days: the next one is possible from 2026-05-09" in (
        ask(requests, model, 6).reason
    )
    assert ask(requests, model, 7).granted


def test_the_budget_counts_granted_requests_of_30_days(requests: RetrainingRequests, model: str) -> None:
    asked = [ask(requests, model, day, cooldown=1, per_month=2) for day in (0, 1, 2, 29)]
    assert [one.granted for one in asked] == [True, True, False, False]
    for refused in asked[2:]:
        assert "started 2 of at most 2 retrainings within 30 days: the next one is possible from 2026-06-01" in (
            refused.reason
        )
    assert [ask(requests, model, day, cooldown=1, per_month=2).granted for day in (30, 31, 32)] == [True, True, False]


def test_an_older_day_does_not_start_a_retraining(requests: RetrainingRequests, model: str) -> None:
    ask(requests, model, 10)
    late = ask(requests, model, 3, later=60)
    assert not late.granted and "for a newer day, 2026-05-11" in late.reason


def test_models_have_budgets_of_their_own(requests: RetrainingRequests, model: str) -> None:
    assert ask(requests, model, 0).granted and ask(requests, f"{model}x", 0).granted


def test_of_many_who_ask_at_once_one_is_granted(requests: RetrainingRequests, model: str) -> None:
    together, answers = threading.Barrier(6), []

    def one(day: int) -> None:
        together.wait(30)
        answers.append(ask(requests, model, day % 3))

    threads = [threading.Thread(target=one, args=(day,)) for day in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(answers) == 6 and len({one.run_id for one in answers if one.granted}) == 1
