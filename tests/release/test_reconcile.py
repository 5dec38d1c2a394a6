"""If a promotion could not write record or alias, a reconcile does. The real server follows the ledger."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from mlflow.tracking import MlflowClient
from perennial.operators.reconciliation import ReconcileOperator
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from include.errors import TransientError
from include.registry import tracking
from include.registry.bundles import BundleStore
from include.registry.ledger import Ledger
from include.release.live import LiveServer
from include.release.promotion import promote, record_of
from include.release.reconcile import NOT_VERIFIED, Reconciled, reconcile, verify_repaired
from tests.release.bundles import package
from tests.services import Services, model_server


@pytest.fixture
def ledger(environment: None, services: Services, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """A separate ledger, because `reconcile` visits all models."""
    url = services.new_database(f"r{uuid.uuid4().hex[:8]}")
    monkeypatch.setenv("PERENNIAL_DATABASE_URL", url)
    Ledger(url).migrate()
    return Ledger(url)


@pytest.fixture
def client(services: Services, ledger: Ledger) -> MlflowClient:
    return MlflowClient(services.tracking_url)


@pytest.fixture
def server(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with model_server({"PERENNIAL_HOME": str(tmp_path)}, tmp_path / "server.log") as url:
        monkeypatch.setenv("PERENNIAL_SERVING_URL", url)
        yield


def block(model: str) -> Path:
    """Make the release record unwritable even for root: put a folder in the place of its lock file."""
    lock = BundleStore.default().root / model / ".release.lock"
    lock.unlink(missing_ok=True)
    lock.mkdir()
    return lock


def agree(ledger: Ledger, model: str) -> bool:
    """Whether record and alias agree with the ledger."""
    now = ledger.standing(model)
    number = None if now.version is None else ledger.number(model, now.version).mlflow_version
    return BundleStore.default().read_release(model) == record_of(now) and tracking.champion_alias(model) == number


def test_a_promotion_that_could_not_be_written_is_repaired(
    ledger: Ledger, model: str, versions: dict[int, str], server: None
) -> None:
    other = f"{model}b"
    package(other, 1)
    promote(model, 1, "r1", "perennial", "first")
    promote(other, 1, "r1", "perennial", "first")
    assert reconcile() == []
    lock = block(model)
    with pytest.raises(TransientError, match=r"cannot be written: .*version 2 serves .epoch 2.*perennial_reconcile"):
        promote(model, 2, "r2", "perennial", "second")
    (BundleStore.default().root / other / "release.json").unlink()
    found = {one.model: one for one in reconcile()}
    assert "the release record says that version 1 serves (epoch 1)" in found[model].problems[0]
    # one model does not stop the other
    assert found[other].repaired and not found[other].problems and agree(ledger, other)
    lock.rmdir()
    (again,) = reconcile()
    assert (again.model, again.problems) == (model, ())
    assert "said that version 1 serves (epoch 1); now it agrees with the ledger: version 2 serves" in again.repaired[0]
    assert agree(ledger, model) and tracking.champion_alias(model) == 2
    with LiveServer() as live:
        live.wait_for(model, 2, versions[2], 30)
    assert reconcile() == []
    verified = {one.model: one for one in verify_repaired()}  # its release ended before the verification
    assert verified[model] == Reconciled(model, repaired=(NOT_VERIFIED.format(2),)) and not verified[other].problems
    assert verify_repaired() == []
    assert [(row.action, row.version, row.epoch) for row in ledger.history(model)][-3:] == [
        ("promote", 2, 2), ("repair", 2, 2), ("verify", 2, 2),
    ]  # fmt: skip


@pytest.mark.parametrize("action", ["promote", "rollback"])
def test_a_repaired_promotion_that_fails_goes_back_as_in_a_release(
    ledger: Ledger, model: str, versions: dict[int, str], monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    """The server never answers. An automatic promotion is taken back; a person's choice is only reported."""
    monkeypatch.setenv("PERENNIAL_SERVING_URL", "http://127.0.0.1:9")
    promote(model, 1, "r1", "perennial", "first")
    ledger.promote(model, 2, versions[2], 1, "ada", "r2", "killed before the record was written", action)
    assert reconcile()[0].repaired
    for _ in range(2):  # a call that is killed leaves the work to the next call
        assert [now.version for now in ledger.repaired_unverified()] == [2]
    (found,) = verify_repaired(timeout=timedelta(seconds=0.2))
    gone = action == "promote"
    assert not found.repaired and f"version 2 of {model} " in found.problems[0]
    assert ("version 1 serves again" in found.problems[0]) is gone
    assert agree(ledger, model) and ledger.standing(model).version == (1 if gone else 2)
    assert [now.version for now in ledger.repaired_unverified()] == ([] if gone else [2])


def test_a_withdrawn_champion_leaves_record_and_alias(ledger: Ledger, model: str, versions: dict[int, str]) -> None:
    promote(model, 1, "r1", "perennial", "first")
    ledger.withdraw(model, 1, "perennial", "r1", "killed before the record was removed")
    notes: dict[str, str] = {}
    found = ReconcileOperator(task_id="reconcile").execute(
        {"ti": SimpleNamespace(xcom_push=lambda key, value: notes.update({key: value}))}
    )
    assert len(found["repaired"]) == 2 and not found["problems"]
    assert f"REPAIRED: {model}: the release record said that version 1 serves" in notes["perennial_note"]
    assert BundleStore.default().read_release(model) is None and tracking.champion_alias(model) is None
    assert reconcile() == []
    ReconcileOperator(task_id="reconcile").execute({"ti": None})  # nothing to repair, so no note


def test_the_alias_alone_is_repaired(
    ledger: Ledger, model: str, versions: dict[int, str], client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(model, 1, "r1", "perennial", "first")
    client.delete_registered_model_alias(model, "champion")
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        assert [one.model for one in reconcile()] == ["MLflow"]
        assert reconcile(alias=False) == []
    assert [one.model for one in reconcile()] == [model] and agree(ledger, model)
    client.delete_registered_model(model)
    assert [one.model for one in reconcile()] == [model] and agree(ledger, model)
    assert reconcile() == []


def test_a_record_that_is_newer_than_the_ledger_is_never_overwritten(
    ledger: Ledger, model: str, versions: dict[int, str], services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    promote(model, 1, "r1", "perennial", "first")
    promote(model, 2, "r2", "perennial", "second")
    record = BundleStore.default().root / model / "release.json"
    before = record.read_bytes()
    restored = Ledger.default()._database._url  # an older backup: the ledger does not know epoch 2
    with create_engine(restored, poolclass=NullPool).begin() as connection:
        connection.execute(text("SET session_replication_role = replica"))  # bypass the trigger that forbids it
        connection.execute(
            text("UPDATE perennial.champion SET epoch = 1, version = 1, digest = :d"), {"d": versions[1]}
        )
    with caplog.at_level(logging.ERROR, "include.release.reconcile"):
        found = {one.model: one for one in reconcile()}
    (problem,) = found[model].problems
    assert "epoch 1 (version 1) is not newer and was refused" in problem and "older backup" in problem
    assert problem in caplog.text and record.read_bytes() == before
    record.unlink()  # a person decided for the ledger
    assert reconcile() and agree(ledger, model)


def test_a_record_that_the_ledger_never_wrote_is_not_changed(
    ledger: Ledger, model: str, versions: dict[int, str]
) -> None:
    root = BundleStore.default().root
    for name, content in ((model, json.dumps({"torn": True})), (f"{model}b", "")):
        (root / name).mkdir(exist_ok=True)
        (root / name / "release.json").write_text(content)
    found = reconcile()
    assert [one.model for one in found] == [model, f"{model}b"]
    assert all("has never released" in one.problems[0] and not one.repaired for one in found)
    assert (root / model / "release.json").read_text() == '{"torn": true}'


def test_a_damaged_record_is_written_again(ledger: Ledger, model: str, versions: dict[int, str]) -> None:
    promote(model, 1, "r1", "perennial", "first")
    (BundleStore.default().root / model / "release.json").write_text("{")
    (found,) = reconcile()
    assert isinstance(found, Reconciled) and "nothing readable" in found.repaired[0] and agree(ledger, model)
