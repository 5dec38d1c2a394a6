"""`<model>_retrain`, `_release` and `_rollback` on a real Airflow: decisions, refusals, kills, and swaps under load."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import mlflow
import psutil
import pytest
from mlflow.tracking import MlflowClient

from include import catalog, perennial
from include.data.lake import Lake
from include.errors import ConfigurationError
from include.partitions import partition, shift
from include.registry import tracking
from include.registry.bundles import BundleStore
from include.registry.ledger import Ledger
from include.registry.rows import VersionRow
from include.scoring.predictor import Predictor
from include.stack import credentials
from include.stack.airflow_answers import Run
from tests.end_to_end.stack_runner import ROOT, TERMINAL_UMASK, Api, Running, outside

pytestmark = [pytest.mark.end_to_end, pytest.mark.usefixtures("settings")]
RETRAIN, RELEASE, ROLLBACK, PREDICTIONS = "toy_retrain", "toy_release", "toy_rollback", "perennial_predictions"


def champion() -> int:
    row = Ledger.default().champion("toy")
    assert row is not None
    return row.version


def release_of(api: Api, run_id: str) -> Run:
    """Wait for the release that a retraining has started, and return it."""
    return api.wait(RELEASE, api.xcom(RETRAIN, run_id, "release", key="trigger_run_id"))


def serving_version() -> VersionRow:
    """Return the ledger's row of the champion."""
    row = Ledger.default().version("toy", champion())
    assert row is not None
    return row


def refreshing(seed: int) -> dict[str, Any]:
    """Return a conf that fits the champion's recipe with another seed: other scores, and no reason to reject them."""
    return {"candidates": ["baseline", serving_version().candidate], "seed": seed}


def promote_a_new_version(api: Api, run_id: str, seed: int) -> int:
    """Retrain the champion's recipe with another seed, and wait until the version serves."""
    conf = refreshing(seed)
    assert api.trigger_and_wait(RETRAIN, run_id, conf).state == "success"
    assert release_of(api, run_id).state == "success"
    return champion()


def client(running: Running) -> httpx.Client:
    token = credentials.read(running.stack, "serving_token")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.Client(base_url=running.stack.serving_url, headers=headers, trust_env=False, timeout=60)


@pytest.fixture(scope="module")
def requests(running: Running, api: Api) -> list[str]:
    """The ids of some predictions. The server closes their segment of the spool a minute later, meanwhile tests run."""
    serving = serving_version()
    assert serving.bundle is not None
    row = json.loads(BundleStore.default().open("toy", serving.bundle).read("probe.json"))["rows"][0]
    with client(running) as server:
        return [server.post("/models/toy/predict", json={"rows": [row]}).json()["request_id"] for _ in range(5)]


@pytest.mark.usefixtures("requests")
def test_the_first_run_that_a_newcomer_sees_made_the_champion(api: Api) -> None:
    """No skipped run of the night before, when the model had no data."""
    first = list(api.runs(RETRAIN))[-1]
    assert first.dag_run_id.startswith("first__") and first.note.startswith("PASSED v1"), first


def test_a_worse_challenger_is_rejected_and_the_same_run_again_is_skipped(api: Api, run_id: str) -> None:
    before = champion()
    conf = {"candidates": ["baseline", "coarse"]}
    run = api.trigger_and_wait(RETRAIN, run_id, conf | {"note": "a worse challenger"})
    assert run.state == "success", "a rejection is a decision, not a failure"
    states = api.states(RETRAIN, run_id)
    assert (states["gate"], states["package"], states["release"]) == ("success", "skipped", "skipped")
    decision = api.xcom(RETRAIN, run_id, "gate")
    assert decision["verdict"] == "reject"
    assert run.note.startswith("REJECTED v") and "significantly more than" in run.note
    assert run.note.endswith("\n\nNote by admin: a worse challenger")
    log = " ".join(api.log(RETRAIN, run_id, "gate").split())  # long sentences are wrapped
    assert "significantly more than" in log and log.index("REJECT ") < log.index("passed ")
    version = tracking._client().get_model_version("toy", str(decision["version"]))
    assert version.tags["perennial.verdict"] == "reject"
    assert "significantly more than" in version.tags["perennial.reason"]
    assert champion() == before
    again = api.trigger_and_wait(RETRAIN, f"{run_id}-again", conf)
    assert again.state == "success"
    assert api.states(RETRAIN, f"{run_id}-again")["snapshot"] == "skipped"
    assert again.note.startswith("SKIPPED: ")


def test_another_recipe_is_held_until_there_are_weeks_of_scores(api: Api, run_id: str) -> None:
    before, window = champion(), serving_version().recipe["window_days"]
    conf = {"candidates": ["baseline", "boosting"], "window_days": 16 if window != 16 else 15}
    assert api.trigger_and_wait(RETRAIN, run_id, conf).state == "success"
    assert api.xcom(RETRAIN, run_id, "evaluate")["kind"] == "change"
    decision = api.xcom(RETRAIN, run_id, "gate")
    assert decision["verdict"] == "hold"
    assert "of the 28 days of scores that another recipe needs" in decision["reason"]
    assert champion() == before


def test_a_better_or_equal_challenger_is_promoted_and_answers(running: Running, api: Api, run_id: str) -> None:
    before = champion()
    version = promote_a_new_version(api, run_id, 19)
    assert version > before
    assert api.xcom(RETRAIN, run_id, "gate")["verdict"] == "promote"
    with client(running) as server:
        assert server.get("/models/toy").json()["version"] == version
    assert tracking.champion_alias("toy") == version
    link = api._send("GET", f"/dags/{RETRAIN}/dagRuns/{run_id}/taskInstances/package/links").json()["extra_links"]
    status, card = api.page(link["Model card"])
    assert status == 200 and "toy" in card
    assert api.page(link["Model card"], token=False)[0] == 401


def test_a_script_of_public_mlflow_calls_finds_loads_and_scores_the_champion(running: Running) -> None:
    """As a client of MLflow does it: search versions, read metrics, load the champion, predict."""
    mlflow_client = MlflowClient()
    version = mlflow_client.get_model_version_by_alias("toy", "champion")
    found = {one.version: one for one in mlflow_client.search_model_versions("name = 'toy'")}
    assert found[version.version].tags["perennial.verdict"] == "promote"
    assert version.run_id is not None and "/perennial/-/models/toy" in version.description
    run = mlflow_client.get_run(version.run_id)
    assert run.data.metrics["holdout.log_loss"] < run.data.metrics["holdout.baseline.log_loss"]
    assert [used.dataset.name for used in run.inputs.dataset_inputs] == ["toy.rows"]
    experiment = mlflow_client.get_experiment(run.info.experiment_id)
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"

    loaded = mlflow.pyfunc.load_model("models:/toy@champion")
    assert len(loaded.predict(loaded.input_example)) == len(loaded.input_example) > 0
    rows = perennial.rows("toy", max(Lake.of(catalog.load("toy")).published())).head(50)
    scores = loaded.predict(rows)["score"]
    inputs = loaded.metadata.signature.inputs.input_names()
    as_json = json.loads(rows[inputs].to_json(orient="records", date_format="iso", double_precision=15))
    with client(running) as server:
        answer = server.post("/models/toy/predict", json={"rows": as_json}).json()
    assert answer["version"] == int(version.tags["perennial.version"])
    assert scores.tolist() == pytest.approx([one["score"] for one in answer["predictions"]], abs=1e-5)
    assert perennial.load("toy").predict(rows)["score"].tolist() == pytest.approx(scores.tolist(), abs=1e-9)


def test_a_notebook_finds_the_running_stack_by_its_home(running: Running, tmp_path: Path) -> None:
    """No variable of the stack is set but its home, and the notebook lies in another folder."""
    code = "from include import perennial; print(*perennial.decisions('toy')['verdict'])"
    variables = {
        "PYTHONPATH": str(ROOT),
        "PERENNIAL_HOME": str(running.home),
        "PERENNIAL_MODELS": running.variables["PERENNIAL_MODELS"],
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=outside() | variables,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and "promote" in done.stdout.split(), done.stderr


def test_missing_data_are_refused_with_their_day(api: Api, run_id: str) -> None:
    run = api.trigger_and_wait(RETRAIN, run_id, {"as_of": "2025-02-01", "note": "for the audit"}, note="see ticket 7")
    assert run.state == "failed"
    assert run.note.startswith("FAILED in `snapshot`: ") and "2025-02-01" in run.note.split("\n\n")[0]
    assert run.note.split("\n\n")[1:] == ["see ticket 7", "Note by admin: for the audit"], "what people wrote is kept"
    assert api.tries(RETRAIN, run_id)["snapshot"] == 1
    assert "2025-02-01" in api.log(RETRAIN, run_id, "snapshot")


def test_an_unknown_candidate_gets_the_nearest_name(api: Api, run_id: str) -> None:
    run = api.trigger_and_wait(RETRAIN, run_id, {"candidates": ["bosting"]})
    assert run.state == "failed"
    assert "did you mean 'boosting'" in api.log(RETRAIN, run_id, "snapshot")


def test_the_champion_is_never_compared_on_days_that_its_twin_has_seen(api: Api, run_id: str) -> None:
    """A run about an earlier day would judge the champion on days that it was fitted on, so the gate holds."""
    before = champion()
    row = Ledger.default().version("toy", before)
    assert row is not None
    model = catalog.load("toy")
    days = sorted(Lake.of(model).published())
    first_holdout_day_seen = row.twin_last  # a holdout that begins on the last day that the twin has seen
    as_of = shift(partition(first_holdout_day_seen, "UTC"), model.training.holdout_days - 1, "UTC").key
    conf = {"as_of": as_of, "candidates": ["baseline", "boosting"], "window_days": 8}
    assert as_of in days
    run = api.trigger_and_wait(RETRAIN, run_id, conf)
    assert run.state == "success", api.states(RETRAIN, run_id)
    evaluation = api.xcom(RETRAIN, run_id, "evaluate")
    assert evaluation["holdout"]["first"] <= row.twin_last
    assert "has seen" in evaluation["champion_unusable"]
    assert not (evaluation["champion"] or {}).get("metrics")
    assert api.xcom(RETRAIN, run_id, "gate")["verdict"] == "hold"
    assert champion() == before


def test_a_training_killed_with_sigkill_resumes_its_mlflow_run(api: Api, run_id: str, scenario: Any) -> None:
    scenario("candidates", {"pause": 8})
    body = {"dag_run_id": run_id, "logical_date": None, "conf": {"candidates": ["baseline", "coarse"], "seed": 5}}
    api._send("POST", f"/dags/{RETRAIN}/dagRuns", json=body)
    process = running_task(api, run_id, "train")
    deadline = time.monotonic() + 600
    while len(opened := mlflow_runs(run_id)) < 2:  # both wait in candidates.py, with their MLflow runs open
        assert time.monotonic() < deadline, f"no MLflow run for each candidate: {opened}"
        time.sleep(0.1)
    process.kill()
    scenario("candidates", {"pause": 0})
    assert api.wait(RETRAIN, run_id).state == "success"
    tries = api.tries(RETRAIN, run_id)
    assert sorted((tries["train[0]"], tries["train[1]"])) == [1, 2], tries
    runs = mlflow_runs(run_id)
    assert sorted(r.data.tags["perennial.candidate"] for r in runs) == ["baseline", "coarse"], "one run per candidate"
    assert {r.info.run_id for r in runs} == {r.info.run_id for r in opened}, "resumed, not opened again"
    assert all(r.info.status == "FINISHED" for r in runs)


def mlflow_runs(run_id: str) -> list[Any]:
    """Return the MLflow runs of one Airflow run."""
    mlflow = tracking._client()
    experiment = mlflow.get_experiment_by_name("toy")
    return list(mlflow.search_runs([experiment.experiment_id], f"tags.`perennial.run_id` = '{run_id}'"))


def running_task(api: Api, run_id: str, task_id: str) -> psutil.Process:
    """Return the process of a running task; Airflow names it after the task instance."""
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        for task in api.tasks(RETRAIN, run_id):
            if task.task_id == task_id and task.state == "running":
                for process in psutil.process_iter(["cmdline"]):
                    if (process.info["cmdline"] or [""])[0].strip() == f"airflow worker -- {task.id}":
                        return process
        time.sleep(0.1)
    raise AssertionError(f"{task_id} was never seen running: {api.states(RETRAIN, run_id)}")


def test_a_rollback_freezes_until_it_is_lifted_and_swaps_lose_no_request(
    running: Running, api: Api, run_id: str
) -> None:
    old = champion()
    new = promote_a_new_version(api, f"{run_id}-new", 18)
    store, ledger = BundleStore.default(), Ledger.default()
    scores = {}
    row: dict[str, Any] = {}
    for version in (old, new):
        known = ledger.version("toy", version)
        assert known is not None and known.bundle is not None
        bundle = store.open("toy", known.bundle)
        row = row or json.loads(bundle.read("probe.json"))["rows"][0]
        scores[version] = Predictor.load(bundle).predict([row]).predictions()[0].score
    assert scores[old] != scores[new], "the two versions must have different scores"

    stop, wrong, seen = threading.Event(), [], set()

    def ask() -> None:
        with client(running) as server:
            while not stop.is_set():
                answer = server.post("/models/toy/predict", json={"rows": [row]})
                body = answer.json()
                if answer.status_code != 200 or abs(body["predictions"][0]["score"] - scores[body["version"]]) > 1e-9:
                    wrong.append((answer.status_code, body))
                else:
                    seen.add(body["version"])

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        back = typed(running, "rollback", "--reason", "it's a test")
        assert f"ROLLED BACK toy from v{new} to v{old} by admin: it's a test; " in back, back
        assert champion() == old
        frozen = api.trigger_and_wait(RETRAIN, f"{run_id}-frozen", refreshing(17))
        assert frozen.state == "success"
        assert api.states(RETRAIN, f"{run_id}-frozen")["release"] == "skipped"
        assert frozen.note.split(": ")[1].startswith("frozen by admin since ") and "because it's a test" in frozen.note
        decision = ledger.last_decision("toy")
        assert decision is not None and (decision.verdict, decision.reason[:15]) == ("hold", "frozen by admin")
        assert champion() == old, "a retraining does not revert the rollback"
        lifted = typed(running, "unfreeze", "--reason", "fixed")
        assert (
            "LIFTED the freeze of toy by admin: fixed" in lifted and f"Version {decision.version} passed" in lifted
        ), lifted
        forward = api.trigger_and_wait(RELEASE, f"{run_id}-forward", {"version": new, "reason": "by hand"})
        assert forward.state == "success"
        time.sleep(0.5)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert seen == {old, new}
    audit = [(a.action, a.version, a.actor) for a in ledger.history("toy")]
    assert ("rollback", old, "admin") in audit
    assert ("promote", new, "admin") in audit


def typed(running: Running, command: str, *arguments: str) -> str:
    """Run `make <command> MODEL=toy` and return what it prints."""
    variables = outside() | dict(running.variables) | {"PERENNIAL_HOME": str(running.home)}
    line = [sys.executable, "-m", "include.stack", command, "--model", "toy", *arguments]
    done = subprocess.run(line, env=variables, cwd=ROOT, capture_output=True, text=True, umask=TERMINAL_UMASK)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_conf_that_cannot_reach_a_task_fails_at_once(api: Api, run_id: str) -> None:
    """PostgreSQL stores 1e30 as a whole number of 31 digits, which Airflow's supervisor cannot send to a task."""
    with pytest.raises(ConfigurationError, match="400.*param version"):
        api.trigger(RELEASE, f"{run_id}-form", {"version": 1e30})
    run = api.trigger_and_wait(PREDICTIONS, run_id, {"unknown": 1e30})
    assert run.state == "failed" and "more than 64 bits (unknown)" in run.note
    assert api.states(PREDICTIONS, run_id) == {"load_predictions": None}


def test_predictions_are_loaded_exactly_once(requests: list[str], api: Api, run_id: str) -> None:
    lake = Lake.of(catalog.load("toy"))
    deadline = time.monotonic() + 600
    found: list[str] = []
    while time.monotonic() < deadline and len(found) < 5:
        api.trigger_and_wait(PREDICTIONS, f"{run_id}-{time.time_ns()}")  # the schedule may have loaded them already
        table = lake.table("predictions").to_pandas(columns=["request_id"])
        found = [r for r in table["request_id"] if r in set(requests)]
    api.trigger_and_wait(PREDICTIONS, f"{run_id}-again")
    table = lake.table("predictions").to_pandas(columns=["request_id"])
    assert sorted(r for r in table["request_id"] if r in set(requests)) == sorted(requests)
