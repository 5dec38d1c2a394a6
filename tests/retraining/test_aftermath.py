"""A night on the same rows is skipped only if the last decision was carried out or can never be carried out."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

import pytest

from include.data.snapshots import Snapshot
from include.registry.ledger import Ledger
from include.retraining import aftermath, planning
from include.training.plan import DayCount, LabelCounts, Plan, Windows
from tests.services import shared

DAYS = ("2026-05-01", "2026-05-13")
COUNT = DayCount(days=1, rows=1)
PLAN = Plan(
    as_of="2026-05-13",
    snapshot=Snapshot(
        table_version=1,
        first=DAYS[0],
        last=DAYS[1],
        rows=1,
        digest="5" * 64,
        path="snapshots/5.parquet",
        missing=(),
        immature=(),
    ),  # fmt: skip
    code_digest="c" * 64,
    candidates=("logistic",),
    baseline="baseline",
    window_days=30,
    seed=0,
    note="",
    windows={"logistic": Windows(train=DAYS, selection=DAYS, holdout=DAYS, twin=DAYS, release=DAYS)},
    days=LabelCounts(selection=COUNT, holdout=COUNT),
)


class Nights:
    """Nights of a model with the same as-of, in the real ledger, without fits."""

    def __init__(self) -> None:
        self.ledger, self.number = Ledger.default(), 0
        self.name = f"m{uuid.uuid4().hex[:12]}"

    def skipped(self, under_way: bool = False) -> str | None:
        """Why a night would be skipped; ``None`` if it would run."""
        return planning.nothing_new(aftermath.read(self.name, lambda version: under_way), PLAN)

    def decide(self, verdict: str, bundle: bool = False) -> int:
        """A night with this verdict; return the number of its version."""
        self.number += 1
        number, run_id = self.number, f"night-{self.number}"
        self.ledger.add_version(
            self.name, number, run_id=run_id, candidate="logistic", recipe={"seed": 0}, twin="t",
            twin_first="2026-04-01", twin_last="2026-05-01", metrics={},
        )  # fmt: skip
        self.ledger.record_decision(
            self.name, run_id, as_of=PLAN.as_of, verdict=verdict, reason="so", version=number,
            parameters=PLAN.parameters.as_dict(), code_digest=PLAN.code_digest,
            snapshot_digest=PLAN.snapshot.digest, checks=[],
        )  # fmt: skip
        if bundle:
            self.ledger.set_bundle(self.name, number, f"digest-{number}")
        return number

    @property
    def epoch(self) -> int:
        return self.ledger.standing(self.name).epoch

    def serve(self, number: int, action: str = "promote", **more: Any) -> None:
        self.ledger.promote(
            self.name, number, f"digest-{number}", self.epoch, "ada", f"release-{self.epoch}", "why", action, **more
        )


@pytest.fixture
def nights(pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch) -> Nights:
    for name, value in shared(pytestconfig).environment().items():
        monkeypatch.setenv(name, value)
    return Nights()


def test_a_serving_version_is_settled_and_the_message_names_the_command(nights: Nights) -> None:
    nights.serve(nights.decide("promote", bundle=True))
    skipped = nights.skipped()
    assert skipped and "decided promote, and version 1 serves" in skipped
    assert f"make night MODEL={nights.name} FORCE=1" in skipped
    assert (
        "another seed does so only for candidates that use random numbers" in skipped
        and "Give another seed" not in skipped
    )


def test_failed_packaging_is_retried_until_a_version_serves(nights: Nights, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(aftermath.TRIES + 2):
        nights.decide("promote")
        assert nights.skipped() is None
    assert "was not packaged" in caplog.text


def test_failed_packaging_is_retried_once_while_another_version_serves(nights: Nights) -> None:
    nights.serve(nights.decide("promote", bundle=True))
    nights.decide("promote")
    assert nights.skipped() is None
    nights.decide("promote")
    skipped = nights.skipped()
    assert skipped and "2 such runs ended without a release: version 3 was not packaged" in skipped
    assert "Version 1 still serves" in skipped and "FORCE=1" in skipped


def test_a_release_that_failed_before_it_served_is_retried(nights: Nights) -> None:
    nights.serve(nights.decide("promote", bundle=True))
    nights.decide("promote", bundle=True)
    assert nights.skipped() is None
    skipped = nights.skipped(under_way=True)
    assert skipped and f"a run of {nights.name}_release is queued or running" in skipped


def test_a_failed_verification_is_retried_once(nights: Nights) -> None:
    nights.serve(nights.decide("promote", bundle=True))
    for _ in range(2):
        assert nights.skipped() is None or nights.number == 1
        nights.serve(nights.decide("promote", bundle=True))
        nights.serve(1, "restore", old_state="failed")
    skipped = nights.skipped()
    assert skipped and "version 3 failed its verification in service: why" in skipped


def test_a_failed_verification_of_a_first_champion_is_always_retried(nights: Nights) -> None:
    for _ in range(aftermath.TRIES + 1):
        nights.serve(nights.decide("promote", bundle=True))
        nights.ledger.withdraw(
            nights.name, nights.epoch, "perennial", f"w{nights.number}", "the server does not answer"
        )
        assert nights.skipped() is None


def test_a_rollback_is_final_for_the_same_rows(nights: Nights) -> None:
    for _ in range(2):
        nights.serve(nights.decide("promote", bundle=True))
    nights.serve(1, "rollback", freeze=True)
    nights.ledger.unfreeze(nights.name, "ada", "fixed")
    skipped = nights.skipped()
    assert skipped and "version 2 was in service and is replaced (rollback by ada: why)" in skipped


def test_a_frozen_promotion_waits_for_the_freeze_to_be_lifted(nights: Nights) -> None:
    nights.serve(nights.decide("promote", bundle=True))
    nights.decide("promote", bundle=True)
    nights.decide("promote", bundle=True)
    nights.ledger.freeze(nights.name, "ada", "an audit")
    skipped = nights.skipped()
    assert skipped and "frozen (an audit)" in skipped and f'make unfreeze MODEL={nights.name} REASON="..."' in skipped
    nights.ledger.unfreeze(nights.name, "ada", "done")
    assert nights.skipped() is None, "the obstacle is gone"


@pytest.mark.parametrize("verdict", ["hold", "reject"])
def test_a_hold_stays_until_the_champion_changes(nights: Nights, verdict: str) -> None:
    nights.serve(nights.decide("promote", bundle=True))
    nights.decide(verdict)
    assert f"decided {verdict}. Another run would" in (nights.skipped() or "")
    nights.ledger.withdraw(nights.name, nights.epoch, "perennial", "w", "damaged")
    assert nights.skipped() is None, "it was compared with a champion that no longer serves"


@pytest.mark.parametrize("released", [False, True])
def test_a_night_held_by_a_freeze_runs_after_it_is_lifted(nights: Nights, released: bool) -> None:
    nights.serve(nights.decide("promote", bundle=True))
    nights.ledger.freeze(nights.name, "ada", "an audit")
    held = nights.decide("hold", bundle=True)
    assert "decided hold, and promotion" in (nights.skipped() or "")
    nights.ledger.unfreeze(nights.name, "ada", "done")
    assert nights.skipped() is None
    if released:  # by a person
        nights.serve(held)
        assert f"decided hold, and version {held} serves" in (nights.skipped() or "")


def test_other_rows_or_code_are_not_skipped(nights: Nights) -> None:
    nights.serve(nights.decide("promote", bundle=True))
    last = aftermath.read(nights.name)
    assert last is not None
    assert planning.nothing_new(last, PLAN) is not None
    changes: list[dict[str, Any]] = [{"code_digest": "c"}, {"snapshot_digest": "s"}, {"as_of": "d"}, {"parameters": {}}]
    for change in changes:
        changed = replace(last, decision=replace(last.decision, **change))
        assert planning.nothing_new(changed, PLAN) is None
    assert planning.nothing_new(None, PLAN) is None
