"""A freeze is a decision: runs that it stops end green and name who froze. The actor is the user that Airflow knows."""

from __future__ import annotations

from typing import Any

import pytest
from perennial.parameters import Action

from include.errors import ReleaseError
from include.registry import tracking
from include.registry.ledger import Ledger
from include.release import freeze
from include.release.promotion import promote
from include.release.rollback import check, lift_freeze, rollback
from tests.plugins import in_process
from tests.plugins.in_process import Ended

WHY = "late orders all on time"


@pytest.fixture
def registered(versions: dict[int, str], model: str) -> dict[int, str]:
    """The versions, also registered in MLflow, each with the decision of its night."""
    for number, digest in versions.items():
        run = tracking.start_or_resume(model, f"retrain-{number}", "logistic")
        assert tracking.create_version(model, f"retrain-{number}", run) == number
        Ledger.default().record_decision(
            model, f"retrain-{number}", as_of=f"2026-05-0{number}", verdict="promote", reason="not worse",
            version=number, parameters={}, code_digest="c", snapshot_digest="s", checks=[{"name": "days"}],
        )  # fmt: skip
        assert digest
    return versions


@pytest.fixture
def run(model: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a task of `toy_release`, `toy_rollback` or `toy_retrain` about the model of this test."""

    def ran(kind: str, task_id: str, conf: dict[str, Any], **more: Any) -> Ended:
        of = in_process.dag(f"toy_{kind}")
        monkeypatch.setattr(of.get_task(task_id), "model", model)
        return in_process.run_task(of, task_id, conf, patch=monkeypatch, **more)

    return ran


def automatic(version: int, epoch: int) -> dict[str, Any]:
    """The conf with which the gate starts a release."""
    return {
        "conf": {"version": version, "expected_epoch": epoch, "reason": "not worse"},
        "run_type": "operator_triggered",
        "user": "ada",  # the user of the retraining, who started it by hand
        "run_id": f"v{version}",
    }


def packaged(version: int, digest: str) -> dict[str, Any]:
    """The result of the task `package`."""
    fit = {"rows": 900, "first": "2026-04-01", "last": "2026-05-13"}
    return {"version": version, "digest": digest, "parity": 1e-7, **fit, "bytes": 1000, "row_milliseconds": 0.2}


def recorded(model: str, version: int) -> tuple[str, str, str, str]:
    """The verdict and reason of a version in the ledger, then in MLflow."""
    decision = next(d for d in [Ledger.default().last_decision(model)] if d is not None and d.version == version)
    tags = tracking._client().get_model_version(model, str(version)).tags
    return decision.verdict, decision.reason, tags["perennial.verdict"], tags["perennial.reason"]


def test_a_frozen_night_holds_its_version_before_a_release_begins(
    model: str, registered: dict[int, str], run: Any
) -> None:
    promote(model, 1, "r1", "perennial", "first")
    promote(model, 2, "r2", "perennial", "second")
    rollback(model, 1, WHY, "ada", "back")
    night = {
        "package": packaged(3, registered[3]),
        "evaluate": {"champion_epoch": 3},
        "gate": {"reason": "x"},
    }
    ended = run("retrain", "release", {}, run_type="scheduled", user=None, xcoms=night)
    assert ended.state == "skipped" and ended.triggered == (), ended
    assert ended.note.startswith("HELD v3: frozen by ada since 20")
    assert f"because {WHY}; lift it with `make unfreeze MODEL={model} REASON=...`" in ended.note
    verdict, reason, tag, tagged = recorded(model, 3)
    assert (verdict, tag) == ("hold", "hold") and tagged.startswith("held: frozen by ada since")
    assert reason.startswith("frozen by ada since") and reason.endswith("The gate would promote version 3: not worse")
    row = Ledger.default().version(model, 3)
    assert row is not None and (row.state, row.bundle) == ("packaged", registered[3]), "the night's version is kept"
    assert freeze.held_by_freeze(model, 3) == ended.note and recorded(model, 3) == (verdict, reason, tag, tagged)
    lifted = lift_freeze(model, "bob", "fixed").note
    assert f"Version 3 passed the gate meanwhile: release it with {model}_release" in lifted
    by_hand = run("release", "promote", {"version": 3, "reason": "looks fine"}, user="bob")
    assert by_hand.state == "success" and Ledger.default().standing(model).version == 3


def test_without_a_freeze_the_night_starts_its_release(model: str, registered: dict[int, str], run: Any) -> None:
    night = {
        "package": packaged(3, registered[3]),
        "evaluate": {"champion_epoch": 0},
        "gate": {"reason": "x" * 3000},
    }
    ended = run("retrain", "release", {}, run_type="scheduled", user=None, xcoms=night)
    (release,) = ended.triggered
    assert ended.state == "success" and release.run_id == f"v3__{registered[3][:12]}"
    assert release.conf == {"version": 3, "expected_epoch": 0, "reason": "x" * 1000}
    assert in_process.form_refuses(in_process.dag("toy_release"), release.conf) is None


def test_a_freeze_between_gate_and_release_ends_the_release_green(
    model: str, registered: dict[int, str], run: Any
) -> None:
    promote(model, 1, "r1", "perennial", "first")
    promote(model, 2, "r2", "perennial", "second")
    rollback(model, 1, WHY, "ada", "back")  # this also makes a new epoch: a conflict must not hide the freeze
    ended = run("release", "promote", **automatic(3, 2))
    assert ended.state == "skipped", ended.error
    assert ended.note.startswith("HELD v3: frozen by ada since") and f"because {WHY}" in ended.note
    assert recorded(model, 3)[0] == "hold" and Ledger.default().standing(model).version == 1
    lift_freeze(model, "ada", "fixed")
    again = run("release", "promote", **automatic(3, 3))
    assert again.state == "success", "the held version can still be released, also by its own run"


@pytest.mark.parametrize("forged", [{"released_by": "perennial"}, {}])
@pytest.mark.parametrize(("user", "actor"), [("eve", "eve"), ("perennial", "user perennial"), (None, "manual")])
def test_an_actor_cannot_be_forged(
    model: str, registered: dict[int, str], run: Any, forged: dict[str, str], user: str | None, actor: str
) -> None:
    ended = run("release", "promote", {"version": 1, "reason": "mine"} | forged, user=user)
    assert ended.state == "success", ended
    assert Ledger.default().history(model)[-1].actor == actor


def test_the_actor_of_a_release_that_the_gate_started_is_perennial(
    model: str, registered: dict[int, str], run: Any
) -> None:
    assert run("release", "promote", **automatic(1, 0)).state == "success"
    assert Ledger.default().history(model)[-1].actor == "perennial"


def test_the_actor_of_rollback_and_unfreeze_is_the_user_of_the_run(
    model: str, registered: dict[int, str], run: Any
) -> None:
    promote(model, 1, "r1", "perennial", "first")
    promote(model, 2, "r2", "perennial", "second")
    back = run("rollback", "rollback", {"reason": "it's bad"}, user="ada")
    assert back.state == "success" and f"ROLLED BACK {model} from v2 to v1 by ada: it's bad; " in back.note
    assert "promotion is frozen by ada since" in back.note
    held = Ledger.default().frozen(model)
    assert held is not None and (held.actor, held.reason) == ("ada", "it's bad")
    forged = run("rollback", "rollback", {"reason": "bad", "released_by": "perennial"}, user="eve")
    assert forged.state == "failed" and "'released_by' is not a parameter" in forged.note
    lift = {"reason": "fixed", "action": Action.LIFT.value}
    assert run("rollback", "rollback", lift, user="bob").state == "skipped"
    assert Ledger.default().history(model)[-1].actor == "bob" and Ledger.default().frozen(model) is None
    assert "is not frozen" in run("rollback", "rollback", lift, user="bob").note


def test_the_freeze_names_the_first_person_who_froze(model: str, registered: dict[int, str]) -> None:
    ledger = Ledger.default()
    ledger.freeze(model, "ada", WHY)
    ledger.unfreeze(model, "ada", "fixed")
    ledger.freeze(model, "bob", WHY)
    ledger.freeze(model, "eve", "me too")
    held = ledger.frozen(model)
    assert held is not None and held.actor == "bob"


def test_a_rollback_to_an_unusable_version_is_refused_before_anything_starts(
    model: str, registered: dict[int, str]
) -> None:
    promote(model, 1, "r1", "perennial", "first")
    promote(model, 2, "r2", "perennial", "second")
    assert check(model, None) == 1 and check(model, 3) == 3
    with pytest.raises(
        ReleaseError, match=r"9 of .* is not in the ledger.*Versions to choose from: 3 \(packaged\), 1 \(retired\)"
    ):
        check(model, 9)
    assert Ledger.default().standing(model).epoch == 2
