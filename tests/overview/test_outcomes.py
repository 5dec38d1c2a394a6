"""What a night came to: never better than the evidence, and with the run and the task to look at."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from include.overview.outcomes import NightEvidence, Sources, outcome
from include.overview.records import Outcome
from tests.overview.made import NIGHT, decision, run

ALL = Sources(runs=True, ledger=True)


def night(**found: Any) -> Any:
    known = found.pop("known", ALL)
    paused = found.pop("paused", False)
    return outcome(NightEvidence("toy", "2026-05-10", NIGHT, **found), known, paused)


def test_a_version_that_serves_was_promoted() -> None:
    found = night(decisions=[decision()], retrains=[run()])
    assert (found.outcome, found.version, found.run_id, found.sentence) == (Outcome.PROMOTED, 2, "r2", "because of 2.")
    assert night(decisions=[decision(state="retired")], retrains=[run()]).outcome is Outcome.PROMOTED


@pytest.mark.parametrize(("verdict", "wanted"), [("hold", Outcome.HELD), ("reject", Outcome.REJECTED)])
def test_a_decision_of_the_gate_is_shown_whole(verdict: str, wanted: Outcome) -> None:
    found = night(decisions=[decision(verdict=verdict, reason="word " * 400)], retrains=[run()])
    assert found.outcome is wanted and len(found.sentence) > 1900
    by_hand = night(decisions=[decision(verdict=verdict, state="champion", bundled=True)], retrains=[run()])
    assert by_hand.outcome is not Outcome.PROMOTED and by_hand.sentence.endswith("has since been released by hand.")


def test_a_packaged_version_that_is_held_was_frozen() -> None:
    found = night(decisions=[decision(verdict="hold", state="packaged", bundled=True)], retrains=[run()])
    assert found.outcome is Outcome.FROZEN
    again = night(decisions=[decision(verdict="hold", state="held", bundled=True)], retrains=[run()])
    assert again.outcome is Outcome.HELD, "the gate was cleared and decided otherwise"


def test_a_promotion_that_was_not_carried_out_never_reads_as_good() -> None:
    open_ = decision(state="packaged")
    assert night(decisions=[open_], retrains=[run()]).outcome is Outcome.FAILED
    assert night(decisions=[open_], known=Sources(runs=False, ledger=True)).outcome is Outcome.UNKNOWN
    waiting = run(kind="release", state="queued", run_id="v2__abc")
    assert night(decisions=[open_], retrains=[run()], releases=[waiting]).outcome is Outcome.RUNNING


def test_a_failed_package_and_a_failed_release_name_their_task() -> None:
    broken = run(state="failed", failed_tasks=("package",), note="stopped: ONNX and scikit-learn disagree")
    found = night(decisions=[decision(state="challenger", bundled=False)], retrains=[broken])
    assert (found.outcome, found.failed_task, found.dag_id) == (Outcome.FAILED, "package", "toy_retrain")
    assert found.sentence == "ONNX and scikit-learn disagree. The task package of toy_retrain failed."
    other = run(kind="release", state="failed", run_id="v1__old", failed_tasks=("smoke_test",))
    release = run(kind="release", state="failed", run_id="v2__abc", failed_tasks=("verify",), note="it does not answer")
    found = night(decisions=[decision(state="failed")], retrains=[run()], releases=[other, release])
    assert (found.outcome, found.failed_task, found.run_id) == (Outcome.FAILED, "verify", "v2__abc")


def test_a_run_that_fails_before_the_gate_is_failed_in_its_first_task() -> None:
    found = night(retrains=[run(state="failed", failed_tasks=("train", "select"))])
    assert (found.outcome, found.failed_task) == (Outcome.FAILED, "train")


def test_a_note_of_the_gate_does_not_explain_a_later_failure() -> None:
    said = decision(state="challenger", bundled=False, reason="it is better by far")
    broken = run(state="failed", failed_tasks=("package",), note="passed the gate: version 2. it is better by far")
    assert night(decisions=[said], retrains=[broken]).sentence == "The task package of toy_retrain failed."


def test_the_note_of_today_is_not_shown_a_second_time() -> None:
    said = decision(state="challenger", bundled=False, reason="the challenger is\nbetter by far")
    note = "PASSED v2 (boosting): the challenger is better by far\n\nNote by op: a new window"
    broken = run(state="failed", failed_tasks=("package",), note=note)
    assert night(decisions=[said], retrains=[broken]).sentence == "The task package of toy_retrain failed."


def test_a_run_without_a_decision_was_skipped_and_says_why() -> None:
    found = night(retrains=[run(note="try the new window\n\nSKIPPED: no new labels since the last decision")])
    assert (found.outcome, found.sentence) == (Outcome.SKIPPED, "No new labels since the last decision")
    blind = night(retrains=[run()], known=Sources(runs=True, ledger=False))
    assert blind.outcome is Outcome.UNKNOWN, "a decision may have been made"


def test_the_newest_attempt_that_says_something_counts() -> None:
    later: dict[str, Any] = {"run_after": NIGHT + timedelta(hours=5)}
    rejected = decision(number=1, verdict="reject")
    skipped = run(number=2, note="skipped: nothing new", **later)
    assert night(decisions=[rejected], retrains=[run(number=1), skipped]).outcome is Outcome.REJECTED
    failed = run(number=2, state="failed", **later)
    assert night(decisions=[rejected], retrains=[run(number=1), failed]).outcome is Outcome.FAILED
    running = run(number=2, state="running", **later)
    assert night(decisions=[rejected], retrains=[run(number=1), running]).outcome is Outcome.RUNNING


def test_a_night_without_a_run_was_not_run_unless_nothing_is_known() -> None:
    assert night().outcome is Outcome.NOT_RUN and "2026-05-10 03:00 UTC" in night().sentence
    assert "paused" in night(paused=True).sentence
    assert night(known=Sources(runs=False, ledger=True)).outcome is Outcome.UNKNOWN
    unplanned = NightEvidence("toy", "2026-05-10", None)
    assert outcome(unplanned, ALL).outcome is outcome(unplanned, Sources(False, True)).outcome is Outcome.NOT_DUE
    assert outcome(unplanned, Sources(runs=True, ledger=False)).outcome is Outcome.UNKNOWN


def test_a_decision_whose_run_is_gone_still_counts() -> None:
    found = night(decisions=[decision(verdict="reject")])
    assert (found.outcome, found.dag_id, found.run_id) == (Outcome.REJECTED, "toy_retrain", "r2")


def test_every_night_has_a_sentence() -> None:
    for verdict in ("promote", "hold", "reject"):
        assert night(decisions=[decision(verdict=verdict, reason="")]).sentence
    for state in ("success", "failed", "running", "queued"):
        assert night(retrains=[run(state=state)]).sentence
