"""Promotion: projections, crashes at each step, concurrent promotions and freezes."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from include.errors import ConfigurationError, ConflictError, IntegrityError, ReleaseError, TransientError
from include.registry import mlflow_versions, tracking
from include.registry.bundles import BundleStore
from include.registry.ledger import Ledger, PromotionFrozen
from include.release.promotion import Promoted, project, promote, restore, verify
from include.release.rollback import RolledBack, lift_freeze, rollback
from tests.release.killing import killed_at, outcome
from tests.services import waits

STEPS = {
    "before the transaction": ("include.registry.ledger:Ledger.promote", "before"),
    "in the transaction": ("include.registry.versions:Versions._audit", "before"),
    "before the commit": ("include.registry.versions:Versions._audit", "after"),
    "after the commit": ("include.registry.ledger:Ledger.promote", "after"),
    "with the lock": ("include.registry.bundles:BundleStore.write_release", "before"),
    "with the record half in place": ("include.files:os.replace", "before"),
    "with the record in place": ("include.files:os.replace", "after"),
    "before the alias": ("include.registry.tracking:set_champion_alias", "before"),
    "after the alias": ("include.registry.tracking:set_champion_alias", "after"),
}


@pytest.fixture
def registered(versions: dict[int, str], model: str) -> dict[int, str]:
    """The versions, also registered in MLflow under the same numbers."""
    for number in versions:
        run = tracking.start_or_resume(model, f"retrain-{number}", "logistic")
        assert tracking.create_version(model, f"retrain-{number}", run) == number
    return versions


def state(model: str) -> dict[str, Any]:
    """The state of the serving version in the ledger, the release record and MLflow, without timestamps."""
    ledger, record = Ledger.default(), BundleStore.default().read_release(model)
    now = ledger.standing(model)
    return {
        "ledger": (now.version, now.digest, now.epoch, now.frozen, now.run_id),
        "record": record and (record.version, record.digest, record.epoch, record.run_id),
        "alias": tracking.champion_alias(model),
        "states": {row.version: row.state for row in ledger.versions(model)},
        "audit": [(a.action, a.version, a.from_version, a.epoch) for a in ledger.history(model) if a.epoch],
        "leftovers": [p.name for p in (BundleStore.default().root / model).glob(".tmp-*.json*")],
    }


def test_promote_projects_the_ledger(model: str, registered: dict[int, str]) -> None:
    first = promote(model, 1, "r1", "perennial", "better than the baseline")
    assert first.as_dict() == {"version": 1, "digest": registered[1], "epoch": 1, "previous": None}
    assert promote(model, 2, "r2", "perennial", "not worse").previous == 1
    assert state(model) == {
        "ledger": (2, registered[2], 2, False, "r2"),
        "record": (2, registered[2], 2, "r2"),
        "alias": 2,
        "states": {1: "retired", 2: "champion", 3: "packaged"},
        "audit": [("promote", 1, None, 1), ("promote", 2, 1, 2)],
        "leftovers": [],
    }


@pytest.mark.parametrize("step", STEPS)
def test_a_retry_of_a_killed_promotion_ends_in_the_same_state(
    model: str, registered: dict[int, str], step: str
) -> None:
    promote(model, 1, "r1", "perennial", "first")

    def again() -> Promoted:
        return promote(model, 2, "r2", "perennial", "second", expected_epoch=1)

    assert killed_at(*STEPS[step], again)
    assert again() == Promoted(2, registered[2], epoch=2, previous=1) == again()
    now = state(model)
    assert now["ledger"] == (2, registered[2], 2, False, "r2")
    assert now["record"] == (2, registered[2], 2, "r2")
    assert now["alias"] == 2
    assert now["audit"] == [("promote", 1, None, 1), ("promote", 2, 1, 2)]
    assert now["states"] == {1: "retired", 2: "champion", 3: "packaged"}


@pytest.mark.parametrize("step", STEPS)
def test_a_retry_of_a_killed_rollback_rolls_back_once(model: str, registered: dict[int, str], step: str) -> None:
    for number in (1, 2, 3):
        promote(model, number, f"r{number}", "perennial", "newer")

    def again() -> RolledBack:
        return rollback(model, None, "bad scores", "ada", "back-1")

    assert killed_at(*STEPS[step], again)
    assert again() == again()
    now = state(model)
    assert now["ledger"] == (2, registered[2], 4, True, "back-1")
    assert now["record"] == (2, registered[2], 4, "back-1")
    assert now["alias"] == 2
    assert [row for row in now["audit"] if row[0] == "rollback"] == [("rollback", 2, 3, 4)]


@pytest.mark.parametrize("step", STEPS)
def test_a_retry_of_a_killed_restore_restores_once(
    model: str, registered: dict[int, str], step: str, no_server: None
) -> None:
    for number in (1, 2, 3):
        promote(model, number, f"r{number}", "perennial", "newer")

    def again() -> Any:
        return verify(model, 3, 3, timeout=timedelta(seconds=0.2))

    # `verify` projects first, so the steps of the projection in `restore` are only reached by a direct call.
    assert killed_at(*STEPS[step], (lambda: restore(model, 3, "the server did not load it")))
    with pytest.raises(ReleaseError, match="version 2 serves again"):
        again()
    with pytest.raises(ReleaseError, match="version 2 serves again"):
        again()
    now = state(model)
    assert now["ledger"] == (2, registered[2], 4, False, "r3")
    assert now["record"] == (2, registered[2], 4, "r3")
    assert now["states"] == {1: "retired", 2: "champion", 3: "failed"}
    assert [row for row in now["audit"] if row[0] == "restore"] == [("restore", 2, 3, 4)]


def test_a_first_champion_that_fails_verification_is_withdrawn(
    model: str, registered: dict[int, str], no_server: None
) -> None:
    promote(model, 1, "r1", "perennial", "first")
    for _ in range(2):  # the second call simulates a retry
        with pytest.raises(ReleaseError, match="failed verification.*nothing serves now"):
            verify(model, 1, 1, timeout=timedelta(seconds=0.2))
    now = state(model)
    assert now["ledger"][:3] == (None, None, 2)
    assert (now["record"], now["alias"], now["states"][1]) == (None, None, "failed")
    assert Ledger.default().champion(model) is None
    assert promote(model, 2, "r2", "perennial", "next").epoch == 3
    assert state(model)["record"] == (2, registered[2], 3, "r2")


def test_exactly_one_of_several_concurrent_promotions_succeeds(model: str, registered: dict[int, str]) -> None:
    promote(model, 1, "r1", "perennial", "first")

    def racer(n: int) -> Callable[[], Any]:
        return lambda: promote(model, 2 + n % 2, f"race-{n}", "ada", "race", expected_epoch=1)

    children = [outcome(racer(n)) for n in range(6)]
    codes = Counter(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)
    assert codes == {0: 1, 1: 5}
    now = state(model)
    assert now["ledger"][2] == 2
    assert now["record"][:3] == now["ledger"][:3]
    assert now["alias"] == now["ledger"][0]
    assert list(now["states"].values()).count("champion") == 1


def test_the_record_contains_the_last_of_several_promotions(model: str, registered: dict[int, str]) -> None:
    """Several threads project concurrently; the last projection writes the latest state of the ledger."""
    errors: list[Exception] = []

    def work(number: int, n: int) -> None:
        try:
            promote(model, number, f"t{n}", "ada", "thread")
        except ConflictError:
            pass
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(1 + n % 3, n)) for n in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    now = state(model)
    assert not errors
    assert now["record"][:3] == now["ledger"][:3] and now["alias"] == now["ledger"][0]


def test_the_alias_follows_the_newest_champion(
    model: str, registered: dict[int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run promotes a version after our release record and before our alias."""
    promote(model, 1, "r1", "perennial", "first")
    locked = Ledger.locked_in_mlflow

    def meanwhile(ledger: Ledger, name: str) -> contextlib.AbstractContextManager[None]:
        monkeypatch.setattr(Ledger, "locked_in_mlflow", locked)
        promote(model, 3, "r3", "ada", "by another run")
        return locked(ledger, name)

    monkeypatch.setattr(Ledger, "locked_in_mlflow", meanwhile)
    promote(model, 2, "r2", "perennial", "second")
    now = state(model)
    assert now["ledger"][0] == now["record"][0] == now["alias"] == 3


def test_a_retry_does_not_bring_back_a_version_that_was_rolled_back(model: str, registered: dict[int, str]) -> None:
    promote(model, 1, "r1", "perennial", "first")
    assert killed_at(*STEPS["after the commit"], lambda: promote(model, 2, "r2", "ada", "second"))
    rollback(model, 1, "bad", "ada", "back", freeze=False)
    with pytest.raises(ConflictError, match="has already made version 2"):
        promote(model, 2, "r2", "ada", "second")
    assert state(model)["record"] == (1, registered[1], 3, "back")


def test_a_conflict_projects_the_promotion_of_a_killed_winner(model: str, registered: dict[int, str]) -> None:
    promote(model, 1, "r1", "perennial", "first")
    assert killed_at(*STEPS["after the commit"], lambda: promote(model, 2, "r2", "ada", "second"))
    with pytest.raises(ConflictError, match="expected epoch 1, found 2"):
        promote(model, 3, "r3", "perennial", "third", expected_epoch=1)
    assert state(model)["record"] == (2, registered[2], 2, "r2")


def test_a_freeze_stops_only_automatic_promotion(model: str, registered: dict[int, str]) -> None:
    promote(model, 1, "r1", "perennial", "first")
    promote(model, 2, "r2", "perennial", "second")
    rollback(model, 1, "late orders all on time", "ada", "back")
    with pytest.raises(PromotionFrozen, match=r"frozen by ada since .* UTC, because late orders.*; .*make unfreeze"):
        promote(model, 3, "r3", "perennial", "third")
    assert state(model)["record"] == (1, registered[1], 3, "back")
    assert promote(model, 2, "by-hand", "ada", "I looked at it").epoch == 4
    assert lift_freeze(model, "ada", "fixed").lifted and not lift_freeze(model, "ada", "fixed").lifted
    assert promote(model, 3, "r3", "perennial", "third").epoch == 5


def test_an_older_version_is_superseded_and_not_promoted(model: str, registered: dict[int, str]) -> None:
    promote(model, 3, "r3", "perennial", "newest")
    with pytest.raises(ConflictError, match="superseded: the newer version 3"):
        promote(model, 2, "r2", "perennial", "waited too long")


def test_a_damaged_bundle_is_never_promoted(model: str, registered: dict[int, str]) -> None:
    path = BundleStore.default().root / model / registered[1] / "model.onnx"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(IntegrityError, match="model.onnx changed"):
        promote(model, 1, "r1", "perennial", "first")
    assert state(model)["ledger"][2] == 0


def test_verification_of_a_superseded_version_changes_nothing(
    model: str, registered: dict[int, str], no_server: None
) -> None:
    promote(model, 1, "r1", "perennial", "first")
    promote(model, 2, "r2", "perennial", "second")
    rollback(model, None, "bad", "ada", "back")
    before = state(model)
    with pytest.raises(ConflictError, match="superseded before it was verified: rollback by ada, 'bad'"):
        verify(model, 2, 2)
    assert state(model) == before


def test_without_a_server_address_verification_changes_nothing(model: str, registered: dict[int, str]) -> None:
    promote(model, 1, "r1", "perennial", "first")
    before = state(model)
    with pytest.raises(ConfigurationError, match="PERENNIAL_SERVING_URL is not set"):
        verify(model, 1, 1)
    assert state(model) == before


def test_a_projection_repairs_an_edited_record(model: str, registered: dict[int, str]) -> None:
    promote(model, 1, "r1", "perennial", "first")
    record = BundleStore.default().root / model / "release.json"
    record.write_text(record.read_text().replace('"version": 1', '"version": 2'))
    project(model)
    assert state(model)["record"] == (1, registered[1], 1, "r1")


def test_rollback_works_while_mlflow_is_down(
    model: str, registered: dict[int, str], monkeypatch: pytest.MonkeyPatch, services: Any
) -> None:
    promote(model, 1, "r1", "perennial", "first")
    promote(model, 2, "r2", "perennial", "second")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert rollback(model, None, "bad", "ada", "back").version == 1
    monkeypatch.setenv("MLFLOW_TRACKING_URI", services.tracking_url)
    assert state(model)["record"][0] == 1
    assert state(model)["alias"] == 2  # outdated until the next projection
    project(model)
    assert state(model)["alias"] == 1


class Hanging:
    """A server that accepts connections and never answers."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def accept(self) -> socket.socket:
        connection, _ = self._listener.accept()
        connection.recv(1)
        return connection

    def close(self) -> None:
        self._listener.close()


@pytest.mark.parametrize("holder", ["rollback", "package"])
def test_a_hanging_mlflow_does_not_block_the_release_record(
    model: str, registered: dict[int, str], monkeypatch: pytest.MonkeyPatch, holder: str
) -> None:
    promote(model, 1, "r1", "perennial", "first")
    hanging = Hanging()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", hanging.url)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    ledger = Ledger.default()
    ledger.promote(model, 2, registered[2], 1, "ada", "r2", "second")

    def hang() -> None:
        with contextlib.suppress(TransientError):
            if holder == "rollback":
                project(model, alias_required=False)
            else:
                mlflow_versions.register(model, 2, {})

    thread = threading.Thread(target=hang)
    thread.start()
    with hanging.accept() as client:
        with ledger.locked(model):
            assert waits(client), "the lock was not released until the request to MLflow had timed out"
        hanging.close()
    thread.join()
    if holder == "rollback":
        record = BundleStore.default().read_release(model)
        assert record is not None and record.version == 2


@pytest.fixture
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERENNIAL_SERVING_URL", "http://127.0.0.1:9")
