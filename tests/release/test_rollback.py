"""Rollback: the version that it goes back to, and its message if it cannot."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from include.errors import ConfigurationError, ReleaseError
from include.registry.bundles import BundleStore
from include.registry.ledger import Ledger
from include.release.action import Action
from include.release.promotion import project
from include.release.rollback import rollback
from include.stack import rollback as commands
from tests.services import Services, model_server


@pytest.fixture(autouse=True)
def without_mlflow(monkeypatch: pytest.MonkeyPatch, environment: None) -> None:
    """These tests do not concern the alias."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


def serve(model: str, versions: dict[int, str], *numbers: int) -> None:
    ledger = Ledger.default()
    for number in numbers:
        epoch = ledger.standing(model).epoch
        ledger.promote(model, number, versions[number], epoch, "ada", f"r{number}-{epoch}", "newer")


def test_a_second_rollback_never_returns_to_the_bad_version(model: str, versions: dict[int, str]) -> None:
    serve(model, versions, 1, 2, 3)
    assert rollback(model, None, "bad", "ada", "b1").version == 2
    assert rollback(model, None, "bad, too", "ada", "b2").version == 1
    with pytest.raises(ReleaseError, match=r"no previous champion.*3 \(retired\), 2 \(retired\)"):
        rollback(model, None, "bad, all", "ada", "b3")


def test_a_rollback_can_name_a_version_even_a_newer_one(model: str, versions: dict[int, str]) -> None:
    serve(model, versions, 1, 2)
    result = rollback(model, 3, "the hotfix", "ada", "b1", freeze=False)
    assert (result.version, result.previous, result.frozen) == (3, 2, False)


@pytest.mark.parametrize(
    ("version", "problem"),
    [(9, "9 of .* is not in the ledger"), (4, "4 of .* is challenger and has no bundle"), (3, "serves already")],
)
def test_a_version_that_cannot_serve_is_refused_with_those_that_can(
    model: str, versions: dict[int, str], version: int, problem: str
) -> None:
    Ledger.default().add_version(
        model, 4, run_id="r4", candidate="c", recipe={}, twin="t", twin_first="a", twin_last="b", metrics={}
    )
    serve(model, versions, 1, 3)
    with pytest.raises(ReleaseError, match=rf"{problem}.* Versions to choose from: 2 \(packaged\), 1 \(retired\)\."):
        rollback(model, version, "bad", "ada", "b1")
    assert Ledger.default().standing(model).epoch == 2


def test_a_missing_bundle_is_named_and_not_offered(model: str, versions: dict[int, str]) -> None:
    serve(model, versions, 1, 2, 3)
    shutil.rmtree(BundleStore.default().root / model / versions[2])
    with pytest.raises(
        ReleaseError, match=r"version 2 .* is missing from the bundle store.*Versions to choose from: 1 \(retired\)\."
    ):
        rollback(model, None, "bad", "ada", "b1")
    assert not Ledger.default().standing(model).frozen


def test_a_rollback_needs_a_reason(model: str, versions: dict[int, str]) -> None:
    with pytest.raises(ConfigurationError, match="needs a reason"):
        rollback(model, 1, "  ", "ada", "b1")


def test_a_model_without_its_folder_can_be_rolled_back_and_unfrozen(
    model: str, versions: dict[int, str], services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow has no DAG of the model, but its versions still serve. `make rollback` does the work of the tasks."""
    serve(model, versions, 1, 2)
    project(model, alias_required=False)
    variables = {**services.environment(), "PERENNIAL_HOME": str(tmp_path)}
    with model_server(variables, tmp_path / "server.log") as url:
        monkeypatch.setenv("PERENNIAL_SERVING_URL", url)
        note = commands._at_once(model, Action.FREEZE, "it predicts nonsense", None, "rollback__now")
    assert note.startswith(f"ROLLED BACK {model} from v2 to v1 by ") and note.endswith("The server answers with it.")
    row, verified = Ledger.default().history(model)[-2:]
    assert (row.action, row.run_id) == ("rollback", "rollback__now") and row.actor.endswith(" (terminal)")
    assert (verified.action, verified.version) == ("verify", 1)
    assert Ledger.default().standing(model).frozen
    assert "LIFTED the freeze of" in commands._at_once(model, Action.LIFT, "fixed", None, "unfreeze__now")
    assert not Ledger.default().standing(model).frozen
