"""Tracking on a real MLflow server: runs resume, a version is created once, the alias moves and is never missing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from include.errors import ConfigurationError, IntegrityError, PerennialError, TransientError
from include.registry import tracking

pytestmark = pytest.mark.usefixtures("environment")
RUN = "scheduled__2026-05-03T06:30:00+00:00"


@pytest.fixture
def client(environment: None, services: Any) -> MlflowClient:
    return MlflowClient(services.tracking_url)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The HTTP requests that the test sends."""
    import requests

    made: list[str] = []
    original = requests.Session.request

    def counted(self: Any, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        made.append(f"{method} {url.rsplit('/mlflow/')[-1]}")
        return original(self, method, url, *args, **kwargs)

    monkeypatch.setattr(requests.Session, "request", counted)
    return made


def test_a_retry_resumes_its_run(model: str, client: MlflowClient) -> None:
    run = tracking.start_or_resume(model, RUN, "boosting")
    assert (
        tracking.start_or_resume(model, RUN, "boosting") == run == tracking.start_or_resume(model, RUN, "boosting", run)
    )
    assert tracking.start_or_resume(model, RUN, "logistic") != run
    assert tracking.start_or_resume(model, "manual__1", "boosting") != run
    tracking.finish(run, "FAILED")
    assert client.get_run(run).info.status == "FAILED"
    assert tracking.start_or_resume(model, RUN, "boosting") == run
    assert client.get_run(run).info.status == "RUNNING"
    client.delete_run(run)
    assert tracking.start_or_resume(model, RUN, "boosting", run) != run


def test_logged_values_can_be_read_back(model: str, client: MlflowClient) -> None:
    run = tracking.start_or_resume(model, RUN, "boosting")
    params = {f"p{n}": n for n in range(150)}
    tracking.log(run, params, {"log_loss": 0.494, "seconds": 1.5}, {"perennial.snapshot": "abc"})
    tracking.log(run, params)  # a retry
    tracking.log(run)
    tracking.log_artifact_bytes(run, "holdout/by_day.json", b"{}")
    data = client.get_run(run).data
    assert data.params == {name: str(value) for name, value in params.items()}
    assert data.metrics == {"log_loss": 0.494, "seconds": 1.5} and data.tags["perennial.snapshot"] == "abc"
    assert [a.path for a in client.list_artifacts(run, "holdout")] == ["holdout/by_day.json"]
    with pytest.raises(IntegrityError, match="other parameters"):
        tracking.log(run, {"p1": "another"})
    with pytest.raises(ConfigurationError, match="not an artifact path"):
        tracking.log_artifact_bytes(run, "../x", b"")


def test_several_artifacts_are_stored_at_once_and_read_back(model: str, client: MlflowClient) -> None:
    run = tracking.start_or_resume(model, RUN, "boosting")
    files = {"holdout/a.svg": b"<svg/>", "holdout/b.svg": b"2", "card.html": b"3"}
    tracking.log_artifacts_bytes(run, files)
    tracking.log_artifacts_bytes(run, {"holdout/b.svg": b"replaced"})
    assert {path: tracking.artifact_bytes(run, path) for path in files} == {**files, "holdout/b.svg": b"replaced"}
    assert not tracking.has_model_files(run)
    tracking.log_model_files(run, {"MLmodel": b"1", "data/a": b"2"})
    assert tracking.has_model_files(run) and tracking.artifact_bytes(run, "model/data/a") == b"2"
    with pytest.raises(PerennialError, match="holdout/absent.svg"):
        tracking.artifact_bytes(run, "holdout/absent.svg")


def test_an_experiment_is_one_of_models_and_its_runs_name_their_data(model: str, client: MlflowClient) -> None:
    run = tracking.start_or_resume(model, RUN, "boosting")
    experiment = client.get_experiment_by_name(model)
    assert experiment is not None and experiment.tags[tracking.KIND_TAG] == tracking.KIND
    client.delete_experiment_tag(experiment.experiment_id, tracking.KIND_TAG)  # as an earlier version left it
    tracking.start_or_resume(model, "another", "boosting")
    assert client.get_experiment(experiment.experiment_id).tags[tracking.KIND_TAG] == tracking.KIND
    for _ in range(2):  # a retry
        tracking.log_dataset(run, "rows", "d" * 64, {"path": "/lake/rows", "delta_table_version": 3}, {"rows": 5})
    (used,) = client.get_run(run).inputs.dataset_inputs
    assert (used.dataset.name, used.dataset.digest) == ("rows", "d" * 36)
    assert [(tag.key, tag.value) for tag in used.tags] == [("mlflow.data.context", "training")]


def test_a_run_creates_one_version(model: str, client: MlflowClient) -> None:
    run = tracking.start_or_resume(model, RUN, "boosting")
    assert tracking.create_version(model, RUN, run, {"perennial.candidate": "boosting"}) == 1
    assert tracking.create_version(model, RUN, run) == 1
    assert tracking.create_version(model, "manual__1", run) == 2
    tracking.tag_version(model, 1, {"perennial.verdict": "rejected: worse"})
    tracking.describe_version(model, 1, "x" * 6000)
    assert client.get_model_version(model, "1").description == "x" * 4999 + "…"
    tags = client.get_model_version(model, "1").tags
    assert tags == {"perennial.candidate": "boosting", "perennial.run_id": RUN, "perennial.verdict": "rejected: worse"}


def test_concurrent_tries_agree_on_the_version(model: str) -> None:
    run = tracking.start_or_resume(model, RUN, "boosting")
    barrier, numbers = threading.Barrier(4), []

    def work() -> None:
        barrier.wait()
        numbers.append(tracking.create_version(model, RUN, run))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert numbers == [1] * 4


def test_the_alias_moves_without_a_gap(model: str) -> None:
    run = tracking.start_or_resume(model, RUN, "boosting")
    for n in (1, 2):
        assert tracking.create_version(model, f"run-{n}", run) == n
    assert tracking.champion_alias(model) is None
    tracking.set_champion_alias(model, 1)
    seen: set[int | None] = set()
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            seen.add(tracking.champion_alias(model))

    watcher = threading.Thread(target=watch)
    watcher.start()
    for n in range(20):
        tracking.set_champion_alias(model, 1 + n % 2)
    stop.set()
    watcher.join()
    assert seen <= {1, 2}
    tracking.remove_champion_alias(model)
    tracking.remove_champion_alias(model)
    assert tracking.champion_alias(model) is None


def test_the_number_of_round_trips_is_as_stated(model: str, calls: list[str]) -> None:
    def cost(work: Callable[[], Any]) -> int:
        calls.clear()
        work()
        return len(calls)

    run = tracking.start_or_resume(model, "warm-up", "x")
    tracking.create_version(model, "warm-up", run)
    assert cost(lambda: tracking.start_or_resume(model, RUN, "boosting")) == 3, calls
    assert cost(lambda: tracking.start_or_resume(model, RUN, "boosting")) == 2, calls
    assert cost(lambda: tracking.start_or_resume(model, RUN, "boosting", run)) == 1, calls
    assert cost(lambda: tracking.log(run, {"a": 1}, {"b": 2.0}, {"c": "3"})) == 1, calls
    assert cost(lambda: tracking.log_artifact_bytes(run, "a.txt", b"")) <= 2, calls
    assert cost(lambda: tracking.log_dataset(run, "rows", "d", {}, {})) == 1, calls
    assert cost(lambda: tracking.log_model_files(run, {"MLmodel": b"", "a": b"", "b": b""})) <= 5, calls
    assert cost(lambda: tracking.has_model_files(run)) == 4, calls
    assert cost(lambda: tracking.create_version(model, RUN, run)) == 3, calls
    assert cost(lambda: tracking.describe_version(model, 1, "text")) == 2, calls
    assert cost(lambda: tracking.create_version(model, RUN, run)) == 1, calls
    assert cost(lambda: tracking.set_champion_alias(model, 1)) == 2, calls
    assert cost(lambda: tracking.tag_version(model, 1, {"a": "b"})) == 2, calls
    assert cost(lambda: tracking.finish(run)) == 1, calls


def log_data(digest: str, run: str) -> None:
    tracking.log_dataset(run, "rows", digest, {}, {})


def test_trainings_that_begin_together_name_the_same_data(model: str) -> None:
    """MLflow's server refuses one of two that name new data at once."""
    runs = [tracking.start_or_resume(model, f"{RUN}{at}", "boosting") for at in range(4)]
    for digest in ("one", "two", "three", "four", "five"):
        with ThreadPoolExecutor(len(runs)) as pool:
            list(pool.map(partial(log_data, digest), runs))
    for run in runs:
        assert len(MlflowClient().get_run(run).inputs.dataset_inputs) == 5


def test_an_unreachable_server_is_a_transient_error_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ada:s3cret@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    began = time.monotonic()
    with pytest.raises(TransientError, match="could not end the MLflow run abc") as error:
        tracking.finish("abc")
    assert "s3cret" not in str(error.value) and time.monotonic() - began < 60  # MLflow's own retries take minutes


def test_a_refusal_of_mlflow_is_not_retried(model: str) -> None:
    with pytest.raises(ConfigurationError, match="RESOURCE_DOES_NOT_EXIST"):
        tracking.tag_version(model, 99, {"a": "b"})


def test_addresses_of_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERENNIAL_MLFLOW_PUBLIC_URL", "https://mlflow.example.org/")
    shown = "?workflowType=machine_learning"
    assert tracking.run_url("abc") == f"https://mlflow.example.org/#/runs/abc{shown}"
    assert (
        tracking.artifact_url("abc", "card.html") == f"https://mlflow.example.org/#/runs/abc/artifacts/card.html{shown}"
    )
    assert tracking.version_url("parcels", 3) == f"https://mlflow.example.org/#/models/parcels/versions/3{shown}"
