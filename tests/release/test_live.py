"""Smoke test and verification against the real model server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from include.errors import ReleaseError
from include.registry.bundles import BundleStore
from include.registry.ledger import Ledger
from include.release.promotion import promote, verify
from include.release.rollback import rollback
from include.release.smoke import smoke_test
from include.scoring import documents
from tests.release.bundles import package
from tests.services import Services, model_server

pytestmark = pytest.mark.usefixtures("without_mlflow")
PATIENCE = timedelta(seconds=10)


@pytest.fixture
def without_mlflow(environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("include.registry.tracking.set_champion_alias", lambda *_: None)
    monkeypatch.setattr("include.registry.tracking.remove_champion_alias", lambda *_: None)


@pytest.fixture
def server(services: Services, tmp_path: Path, environment: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PERENNIAL_SERVING_TOKEN", "a-token")
    environment_of_server = {
        **services.environment(),
        "PERENNIAL_HOME": str(tmp_path),
        "PERENNIAL_SERVING_TOKEN": "a-token",
    }
    with model_server(environment_of_server, tmp_path / "server.log") as url:
        monkeypatch.setenv("PERENNIAL_SERVING_URL", url)
        yield


def test_smoke_test_scores_the_probe(model: str, versions: dict[int, str]) -> None:
    result = smoke_test(model, 1)
    assert (result.version, result.digest, result.rows) == (1, versions[1], 5)
    assert result.max_difference < 1e-6
    assert result.latency_ms > 0
    assert result.as_dict() == {
        "version": 1, "digest": versions[1], "rows": 5, "max_difference": result.max_difference,
        "load_ms": result.load_ms, "latency_ms": result.latency_ms,
    }  # fmt: skip


def test_smoke_test_refuses_a_row_that_takes_too_long(
    model: str, versions: dict[int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is that of packaging. It is applied to the bundle in the store."""

    def slow(call: Callable[[int], object]) -> float:
        call(0)
        return 21.0

    monkeypatch.setattr("include.scoring.processor_time.milliseconds", slow)
    with pytest.raises(ReleaseError, match=rf"one row takes 21\.0 ms .* of {model}, and release\.max_row_milliseconds"):
        smoke_test(model, 1)


def test_smoke_test_refuses_scores_other_than_the_packaged_ones(model: str, versions: dict[int, str]) -> None:
    package(model, 4, probe_is_wrong=True)
    with pytest.raises(ReleaseError, match="probe row 0"):
        smoke_test(model, 4)


def test_smoke_test_refuses_the_bundle_of_another_version(model: str, versions: dict[int, str]) -> None:
    Ledger.default().set_bundle(model, 1, versions[2])
    with pytest.raises(ReleaseError, match="was made for version 2"):
        smoke_test(model, 1)


def test_a_good_version_is_verified_and_a_bad_one_is_rolled_back(
    model: str, versions: dict[int, str], server: None
) -> None:
    promote(model, 1, "r1", "perennial", "first")
    assert verify(model, 1, 1, timeout=PATIENCE).max_difference < 1e-6
    promote(model, 2, "r2", "perennial", "second")
    assert verify(model, 2, 2, timeout=PATIENCE).version == 2
    package(model, 4, probe_is_wrong=True)  # the server refuses to warm up with it
    promote(model, 4, "r4", "perennial", "third")
    with pytest.raises(ReleaseError, match="probe row 0.*version 2 serves again .epoch 4.; the server confirms it"):
        verify(model, 4, 3, timeout=timedelta(seconds=2))
    assert Ledger.default().version(model, 4).state == "failed"  # type: ignore[union-attr]
    result = rollback(model, None, "bad", "ada", "back")
    assert result.version == 1
    assert verify(model, 1, result.epoch, timeout=PATIENCE, go_back=False).version == 1


def test_a_first_champion_that_fails_is_withdrawn_from_the_server(
    model: str, versions: dict[int, str], server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(model, 1, "r1", "perennial", "first")
    monkeypatch.setattr(documents, "TOLERANCE", -1.0)  # every answer of the server is outside this tolerance
    with pytest.raises(
        ReleaseError, match="answers .* to probe row 0.*nothing serves now .epoch 2.; the server confirms"
    ):
        verify(model, 1, 1, timeout=PATIENCE)
    assert BundleStore.default().read_release(model) is None


def test_a_wrong_token_is_reported_as_one(
    model: str, versions: dict[int, str], server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(model, 1, "r1", "perennial", "first")
    monkeypatch.setenv("PERENNIAL_SERVING_TOKEN", "another")
    with pytest.raises(ReleaseError, match="refused the token .HTTP 401."):
        verify(model, 1, 1, timeout=PATIENCE, go_back=False)
    assert Ledger.default().champion(model).version == 1  # type: ignore[union-attr]
