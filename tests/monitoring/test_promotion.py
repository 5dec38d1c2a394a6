"""Why the newest version does not serve, as the ledger shows it: the sentence of a stale model."""

from __future__ import annotations

import pytest

from include.monitoring.policy import Newest, Promotion
from include.monitoring.promotion import Standing, Why, standing
from tests.retraining.test_aftermath import Nights, nights

__all__ = ["nights"]


def of(nights: Nights) -> Standing:
    return standing(nights.name, nights.ledger)


def test_a_model_that_was_never_trained(nights: Nights) -> None:
    found = of(nights)
    assert (found.why, found.version, found.champion, found.newest) == (Why.NOTHING, None, None, Newest())
    assert found.sentence == f"{nights.name} has not been retrained yet."


def test_the_newest_version_serves(nights: Nights) -> None:
    nights.serve(nights.decide("promote", bundle=True))
    found = of(nights)
    assert (found.why, found.version, found.champion, found.run_id) == (Why.SERVES, 1, 1, "night-1")
    assert "with data to 2026-05-13, serves: there is nothing newer." in found.sentence
    assert found.newest == Newest()


@pytest.mark.parametrize(
    ("verdict", "bundle", "why", "promotion", "sentence"),
    [
        ("reject", False, Why.REFUSED, Promotion.REFUSED, "was rejected because so."),
        ("hold", False, Why.HELD, Promotion.HELD, "is held and needs a person's decision: so."),
        ("promote", True, Why.WAITING, Promotion.WAITING, "passed the gate and waits for its release"),
        (
            "promote",
            False,
            Why.FAILED,
            Promotion.REFUSED,
            "passed the gate and was not packaged: see the task package of run night-2.",
        ),
    ],
)
def test_the_newest_version_does_not_serve(
    nights: Nights, verdict: str, bundle: bool, why: Why, promotion: Promotion, sentence: str
) -> None:
    nights.serve(nights.decide("promote", bundle=True))
    nights.decide(verdict, bundle=bundle)
    found = of(nights)
    assert (found.why, found.version, found.champion) == (why, 2, 1)
    assert found.sentence.startswith("Version 2, retrained on 20") and sentence in found.sentence
    assert found.newest.version == 2 and found.newest.promotion is promotion and found.newest.why == found.because


def test_a_freeze_names_who_and_why(nights: Nights) -> None:
    nights.serve(nights.decide("promote", bundle=True))
    nights.ledger.freeze(nights.name, "ada", "an audit")
    assert of(nights).why is Why.SERVES, "a freeze is not the reason while the newest version serves"
    assert (of(nights).newest.promotion, of(nights).newest.version) == (Promotion.FROZEN, None)
    nights.decide("reject")
    assert of(nights).why is Why.REFUSED
    nights.decide("hold", bundle=True)
    found = of(nights)
    assert found.why is Why.FROZEN
    assert (found.newest.promotion, found.newest.version) == (Promotion.FROZEN, 3)
    assert "promotion is frozen by ada since" in found.sentence and "because an audit; lift it with" in found.sentence


def test_a_version_that_was_rolled_back_or_failed(nights: Nights) -> None:
    for _ in range(2):
        nights.serve(nights.decide("promote", bundle=True))
    nights.serve(1, "rollback", freeze=True)
    back = of(nights)
    assert back.why is Why.REPLACED and "was in service and is replaced (rollback by ada: why)." in back.sentence
    nights.ledger.unfreeze(nights.name, "ada", "fixed")
    nights.serve(nights.decide("promote", bundle=True))
    nights.serve(1, "restore", old_state="failed")
    assert of(nights).why is Why.FAILED
