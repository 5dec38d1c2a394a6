"""The ledger numbers versions and MLflow follows. Versions deleted in a real MLflow are registered and mapped again."""

from __future__ import annotations

import logging
import uuid

import pytest
from mlflow.tracking import MlflowClient
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from include.errors import ReleaseError
from include.registry import mlflow_versions, schema, tracking
from include.registry.bundles import BundleStore
from include.registry.ledger import Ledger
from include.release.promotion import promote
from tests.release.bundles import files
from tests.release.killing import killed_at
from tests.services import Services

pytestmark = pytest.mark.usefixtures("environment")


@pytest.fixture
def client(environment: None, services: Services) -> MlflowClient:
    return MlflowClient(services.tracking_url)


def night(model: str, n: int) -> int:
    """Write to ledger and MLflow as a night does (select, gate, package, promote); return the version's number."""
    run_id = f"night-{n}"
    run = tracking.start_or_resume(model, run_id, "boosting")
    ledger, version = Ledger.default(), mlflow_versions.allocate(model, run_id, run)
    ledger.add_version(
        model, version, run_id=run_id, candidate="boosting", recipe={}, twin="t", twin_first="2026-01-01",
        twin_last="2026-03-01", metrics={},
    )  # fmt: skip
    mlflow_versions.register(model, version, {"perennial.as_of": f"2026-05-{n:02}"})
    mlflow_versions.tag(model, version, {"perennial.verdict": "promote"})
    ledger.set_bundle(model, version, BundleStore.default().write(model, files(model, version)))
    promote(model, version, run_id, "perennial", "newer")
    return version


def in_mlflow(client: MlflowClient, model: str) -> dict[int, int]:
    """The versions in MLflow: MLflow's number -> the ledger's number from the tag."""
    found = client.search_model_versions(f"name = '{model}'")
    return {int(v.version): int(v.tags["perennial.version"]) for v in found}


def lose_everything(client: MlflowClient, model: str) -> None:
    """Delete everything of one model in MLflow: the registered model, the experiment and the runs."""
    client.delete_registered_model(model)
    experiment = client.get_experiment_by_name(model)
    assert experiment is not None
    client.rename_experiment(experiment.experiment_id, f"lost-{uuid.uuid4().hex}")


def test_numbers_are_the_same_in_ledger_and_mlflow(model: str, client: MlflowClient) -> None:
    assert [night(model, n) for n in (1, 2, 3)] == [1, 2, 3]
    assert in_mlflow(client, model) == {1: 1, 2: 2, 3: 3}
    assert tracking.champion_alias(model) == 3 == tracking.champion_aliases()[model]
    tags = client.get_model_version(model, "3").tags
    assert (tags["perennial.as_of"], tags["perennial.verdict"]) == ("2026-05-03", "promote")


def test_a_registered_model_deleted_in_mlflow_is_created_again(
    model: str, client: MlflowClient, caplog: pytest.LogCaptureFixture
) -> None:
    assert [night(model, n) for n in (1, 2, 3)] == [1, 2, 3]
    client.delete_registered_model(model)
    with caplog.at_level(logging.WARNING, "include.registry.mlflow_versions"):
        assert night(model, 4) == 4
    assert f"MLflow has lost the 3 versions of {model}: they are registered again" in caplog.text
    assert in_mlflow(client, model) == {1: 1, 2: 2, 3: 3, 4: 4}
    assert tracking.champion_alias(model) == 4


def test_an_empty_mlflow_is_filled_again(model: str, client: MlflowClient) -> None:
    assert [night(model, n) for n in (1, 2)] == [1, 2]
    lose_everything(client, model)
    assert night(model, 3) == 3
    assert in_mlflow(client, model) == {1: 1, 2: 2, 3: 3} and tracking.champion_alias(model) == 3


def test_a_deleted_version_stays_deleted_until_it_must_serve(
    model: str, client: MlflowClient, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERENNIAL_MLFLOW_PUBLIC_URL", "http://mlflow.example.org")
    assert night(model, 1) == 1
    client.delete_model_version(model, "1")
    assert night(model, 2) == 2 and in_mlflow(client, model) == {2: 2}
    with caplog.at_level(logging.WARNING, "include.registry.mlflow_versions"):
        promote(model, 1, "back", "ada", "the newer one is wrong")
    assert f"Version 1 of {model}" in caplog.text and "registered again as version 3 of MLflow" in caplog.text
    assert in_mlflow(client, model) == {2: 2, 3: 1} and tracking.champion_alias(model) == 3
    assert (
        mlflow_versions.page(model, 1)
        == f"http://mlflow.example.org/#/models/{model}/versions/3{tracking.TRAINING_PAGES}"
    )
    assert night(model, 3) == 4  # 3 is skipped: in MLflow it is the number of another version
    assert in_mlflow(client, model) == {2: 2, 3: 1, 4: 4}


def test_another_version_with_the_same_number_is_never_mistaken_for_ours(model: str, client: MlflowClient) -> None:
    assert [night(model, n) for n in (1, 2)] == [1, 2]
    client.delete_registered_model(model)
    client.create_registered_model(model)
    foreign = client.create_model_version(model, "somewhere:/else")
    assert night(model, 3) == 3
    client.set_model_version_tag(model, foreign.version, "perennial.version", "0")
    assert in_mlflow(client, model)[1] == 0
    champion = tracking.champion_alias(model)
    assert champion is not None and in_mlflow(client, model)[champion] == 3


@pytest.mark.parametrize(
    ("point", "when"),
    [
        ("include.registry.ledger:Ledger.allocate", "after"),
        ("include.registry.tracking:create_version", "before"),
        ("include.registry.tracking:create_version", "after"),
    ],
)
def test_a_run_killed_between_ledger_and_mlflow_gets_its_number_again(
    model: str, client: MlflowClient, point: str, when: str
) -> None:
    assert night(model, 1) == 1
    assert killed_at(point, when, lambda: night(model, 2))
    assert night(model, 2) == 2
    assert in_mlflow(client, model) == {1: 1, 2: 2}


def test_a_killed_run_that_is_not_retried_leaves_no_difference(model: str, client: MlflowClient) -> None:
    assert night(model, 1) == 1
    assert killed_at("include.registry.ledger:Ledger.allocate", "after", lambda: night(model, 2))
    assert night(model, 3) == 3
    assert in_mlflow(client, model) == {1: 1, 2: 2, 3: 3}


def test_a_number_is_never_used_twice(ledger: Ledger, model: str) -> None:
    assert [ledger.allocate(model, f"r{n}").version for n in (1, 2, 1)] == [1, 2, 1]
    assert ledger.allocate(model, "r3", at_least=7).version == 7
    assert ledger.allocate(model, "r3", at_least=9).version == 7
    assert ledger.allocate(model, "r4", at_least=2).version == 8
    with pytest.raises(ReleaseError, match="no version 5 in the ledger"):
        ledger.number(model, 5)


def test_a_deleted_experiment_is_restored(model: str, client: MlflowClient) -> None:
    tracking.start_or_resume(model, "night-1", "boosting")
    experiment = client.get_experiment_by_name(model)
    assert experiment is not None
    client.delete_experiment(experiment.experiment_id)
    run = tracking.start_or_resume(model, "night-2", "boosting")
    assert client.get_run(run).info.experiment_id == experiment.experiment_id


def test_a_ledger_of_an_older_version_keeps_its_numbers(
    services: Services, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    """In a database of migration 1, MLflow numbered the versions. They are mapped to the same numbers."""
    url = services.new_database(f"m{uuid.uuid4().hex[:8]}")
    engine = create_engine(url, poolclass=NullPool)
    schema.migrate(engine, schema.MIGRATIONS[:1])
    row = "('{m}', {n}, 'old-{n}', 'boosting', '{{}}', 't', 'a', 'b', '{{}}', 'challenger')"
    rows = ", ".join(row.format(m=model, n=n) for n in (1, 2))
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO perennial.version (model, version, run_id, candidate, recipe, twin, twin_first, "
                f"twin_last, metrics, state) VALUES {rows}".replace(":", r"\:")
            )
        )
    assert Ledger(url).migrate() == schema.MIGRATIONS[-1][0]
    monkeypatch.setenv("PERENNIAL_DATABASE_URL", url)
    ledger = Ledger.default()
    for n in (1, 2):
        run = tracking.start_or_resume(model, f"old-{n}", "boosting")
        assert tracking.create_version(model, f"old-{n}", run) == n == ledger.number(model, n).mlflow_version
        assert mlflow_versions.register(model, n, {}) == n
    assert night(model, 3) == 3 and tracking.champion_alias(model) == 3
    ledger.set_bundle(model, 1, BundleStore.default().write(model, files(model, 1)))
    MlflowClient(services.tracking_url).delete_registered_model(model)
    promote(model, 1, "back", "ada", "its MLflow run is not known to the ledger")
    assert tracking.champion_alias(model) == 1
