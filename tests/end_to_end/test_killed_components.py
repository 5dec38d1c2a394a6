"""Kill each component during a retraining: it restarts, the others keep running, and the retraining succeeds."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import psutil
import pytest

from include.registry import tracking
from include.registry.bundles import BundleStore
from include.registry.ledger import Ledger
from include.stack import credentials, spawn
from include.stack.session import answers
from include.stack.supervision import State, Supervisor
from tests.end_to_end.stack_runner import Api, Running

pytestmark = [pytest.mark.end_to_end, pytest.mark.usefixtures("settings")]
LIMIT = 180.0  # seconds; ends a test that hangs
HEARTBEATS = {
    "airflow-scheduler": "scheduler",
    "airflow-dag-processor": "dag_processor",
    "airflow-triggerer": "triggerer",
}


@dataclass
class Client:
    """Continuously requests predictions from the model server and records each failure."""

    running: Running
    row: dict[str, Any]
    answers: int = 0
    failures: list[tuple[float, str]] = field(default_factory=list)
    versions: list[int] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Client:
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _ask(self) -> None:
        token = credentials.read(self.running.stack, "serving_token")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        url = f"{self.running.stack.serving_url}/models/toy/predict"
        with httpx.Client(headers=headers, trust_env=False, timeout=30) as server:
            while not self._stop.wait(0.05):
                at = time.monotonic()
                try:
                    answer = server.post(url, json={"rows": [self.row]})
                    answer.raise_for_status()
                except httpx.HTTPError as error:
                    self.failures.append((at, repr(error)))
                    continue
                self.answers += 1
                if self.versions[-1:] != [version := int(answer.json()["version"])]:
                    self.versions.append(version)


@dataclass
class Kills:
    """Kills components of the stack and measures how long each is down."""

    running: Running
    recovery: dict[str, float] = field(default_factory=dict)
    serving_down: tuple[float, float] = (0.0, 0.0)

    def kill(self, name: str, healthy: Callable[[datetime], bool], child: bool = False) -> None:
        """Kill a component (or its child) with SIGKILL, and wait until it has been replaced by a healthy process."""
        before = self.state(name)
        victim = psutil.Process(before.pid)
        at, began = datetime.now(UTC), time.monotonic()
        (victim.children()[0] if child else victim).kill()
        leader = int(self.running.stack.recorded()["supervisor_pid"])  # type: ignore[call-overload]
        while (state := self.state(name)).pid in (0, before.pid) or spawn.orphans(leader) or not healthy(at):
            assert time.monotonic() - began < LIMIT, f"{name}: {state}\n{self.running.output}"
            assert self.running.process is not None and self.running.process.poll() is None, self.running.output
            time.sleep(0.1)
        self.recovery[f"{name}{' (child)' if child else ''}"] = round(time.monotonic() - began, 1)
        if name == "serving":
            self.serving_down = (began - 1, time.monotonic())

    def state(self, name: str) -> State:
        return next(s for s in Supervisor(self.running.stack).states() if s.name == name)


def database_answers(running: Running) -> bool:
    try:
        Ledger.default().champion("toy")
    except Exception:  # the connection was refused or interrupted
        return False
    return True


def beats(running: Running, name: str, since: datetime) -> bool:
    """Return whether this Airflow component has written a heartbeat after ``since``."""
    part = HEARTBEATS[name]
    try:
        health = httpx.get(f"{running.stack.airflow_url}/api/v2/monitor/health", timeout=5, trust_env=False).json()[
            part
        ]
        beat = health[f"latest_{part}_heartbeat"]
    except (httpx.HTTPError, ValueError, KeyError):
        return False
    return bool(beat) and health["status"] == "healthy" and datetime.fromisoformat(beat) > since


def test_every_component_can_be_killed_while_a_model_is_retrained(
    running: Running, api: Api, run_id: str, scenario: Any, record_property: Any
) -> None:
    stack, ledger = running.stack, Ledger.default()
    old = ledger.champion("toy")
    assert old is not None
    row = json.loads(BundleStore.default().open("toy", old.digest).read("probe.json"))["rows"][0]
    serving = ledger.version("toy", old.version)
    assert serving is not None
    scenario("candidates", {"pause": 20})  # slows down each step of the retraining
    seed = 20 + old.version  # a different model each time, so that the test can be repeated on the same stack
    conf = {"candidates": ["baseline", serving.candidate], "seed": seed}
    kills = Kills(running)
    with Client(running, row) as client:
        api.trigger("toy_retrain", run_id, conf)
        kills.kill("mlflow", lambda _: answers(f"{stack.mlflow_url}/health"))
        kills.kill("mlflow", lambda _: answers(f"{stack.mlflow_url}/health"), child=True)
        kills.kill("serving", lambda _: answers(f"{stack.serving_url}/health/ready"))
        kills.kill("airflow-dag-processor", lambda at: beats(running, "airflow-dag-processor", at))
        kills.kill("airflow-triggerer", lambda at: beats(running, "airflow-triggerer", at))
        kills.kill("airflow-api-server", lambda _: answers(f"{stack.airflow_url}/api/v2/monitor/health"))
        kills.kill("postgres", lambda _: database_answers(running))
        scenario("candidates", {"pause": 0})
        kills.kill("airflow-scheduler", lambda at: beats(running, "airflow-scheduler", at))
        run = patiently(lambda: api.wait("toy_retrain", run_id, LIMIT))
        assert run.state == "success", api.states("toy_retrain", run_id)
        release = api.xcom("toy_retrain", run_id, "release", key="trigger_run_id")
        assert patiently(lambda: api.wait("toy_release", release, LIMIT)).state == "success"
        new = ledger.champion("toy")
        assert new is not None
        deadline = time.monotonic() + LIMIT
        while client.versions[-1] != new.version:
            assert time.monotonic() < deadline, client.versions
            time.sleep(0.1)
    print("\nseconds until each killed component had recovered:", kills.recovery)
    print(f"predictions: {client.answers} succeeded, {len(client.failures)} failed while the model server was down")
    record_property("recovery_seconds", kills.recovery)
    first, last = kills.serving_down
    assert [failure for failure in client.failures if not first <= failure[0] <= last] == []
    decision = ledger.last_decision("toy")
    assert decision is not None
    assert (decision.run_id, decision.verdict, decision.version) == (run_id, "promote", new.version)
    assert client.versions == [old.version, new.version]
    assert tracking.champion_alias("toy") == new.version
    promotions = [a for a in ledger.history("toy") if a.action == "promote" and a.version == new.version]
    assert len(promotions) == 1
    assert new.epoch == old.epoch + 1
    assert "Skipping registering function" not in (stack.logs / "airflow-scheduler.log").read_text()
    assert all(state.running for state in Supervisor(stack).states())


def patiently(call: Callable[[], Any]) -> Any:
    """Repeat a call while it fails: the API server's database may still be recovering."""
    from include.errors import TransientError

    deadline = time.monotonic() + LIMIT
    while True:
        try:
            return call()
        except TransientError:
            assert time.monotonic() < deadline
        time.sleep(0.5)
