"""The model server's figures of the last 24 hours: recorded with the newest day, unknown if it is silent."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from include.data import monitoring
from include.data.lake import Lake
from include.data.monitoring import Kind, Measured
from include.monitoring import run, server_figures
from include.monitoring.counters import DayFacts
from include.monitoring.run import Monitored
from include.partitions import earlier, utc_now
from include.registry.bundles import BundleStore, ReleaseRecord
from include.registry.incidents import Incidents
from include.registry.ledger import Ledger
from include.spec import Model
from include.statistics.results import Cause, Result, State
from include.training.proving import _json_row
from tests import homes
from tests.monitoring.championed import LAST, night_after
from tests.services import model_server
from tests.training import toy_days

pytestmark = pytest.mark.slow
NEXT, LATER = earlier(LAST, -1), earlier(LAST, -2)


@pytest.fixture
def lake(home: homes.Home, toy: Model) -> Lake:
    return Lake.of(toy)


@pytest.fixture
def serving(home: homes.Home, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """A model server that serves version 1, while the context is open; its address stays in the environment."""
    version = Ledger.default().version("toy", 1)
    assert version is not None and version.bundle is not None
    record = ReleaseRecord("toy", 1, version.bundle, 1, "2026-04-27T04:00:00+00:00", "release-1")
    BundleStore.default().write_release(record)

    @contextlib.contextmanager
    def serves() -> Iterator[str]:
        with model_server({"PERENNIAL_HOME": str(home.folder)}, home.folder / "server.log") as url:
            monkeypatch.setenv("PERENNIAL_SERVING_URL", url)
            yield url

    return serves


def predict(url: str, toy: Model, times: int) -> set[int]:
    """The statuses of the answers to as many requests."""
    frame = toy_days.day(toy, LAST).head(1).to_dict("records")[0]
    row = _json_row(toy, {str(name): value for name, value in frame.items()}) | {"at": utc_now().isoformat()}
    with httpx.Client(base_url=url, trust_env=False) as client:
        return {client.post("/models/toy/predict", json={"rows": [row]}).status_code for _ in range(times)}


def look(toy: Model, key: str) -> Monitored:
    return run.monitor(toy, key, f"run-{key}", night_after(key, toy))


def service(lake: Lake, key: str) -> dict[str, Result]:
    found = monitoring.read(lake, key, key, [Kind.COUNTER])
    return {one.result.measure: one.result for one in found if one.result.cause is Cause.SERVICE}


def incidents() -> list[tuple[str, str, str, str]]:
    return [(one.kind, one.cause, one.severity, one.state) for one in Incidents.default().of("toy")]


def test_figures_of_the_server_belong_to_the_newest_day_and_stay_with_it(
    lake: Lake, toy: Model, serving: Callable[[], Any]
) -> None:
    with serving() as url:
        assert predict(url, toy, 120) == {200}
        look(toy, earlier(LAST, 1))
        assert service(lake, earlier(LAST, 1)) == {}, "nothing is known of the requests of an older day"
        look(toy, LAST)
        found = service(lake, LAST)
        assert found["prediction_errors"].state is State.HEALTHY and found["prediction_errors"].value == 0
        assert found["latency"].state is State.UNKNOWN and 0 < (found["latency"].value or 0) < 5
        assert "0 days are known, and 60 are needed" in found["latency"].sentence
        predict(url, toy, 5)
        look(toy, LAST)
        assert service(lake, LAST) == found, "a second look records the same"
    toy_days.publish(lake, toy, NEXT, toy_days.day(toy, NEXT))
    corrected = toy_days.day(toy, LAST)
    toy_days.publish(lake, toy, LAST, corrected.assign(z=corrected["z"] + 0.01))
    assert LAST in look(toy, NEXT).again
    assert service(lake, LAST) == found, "what was recorded stays when the day is measured again"


def test_a_server_that_fails_opens_an_incident_that_only_a_server_that_answers_closes(
    lake: Lake, toy: Model, serving: Callable[[], Any]
) -> None:
    with serving() as url:
        record = next(BundleStore.default().root.rglob("release*.json"))
        kept = record.read_bytes()
        record.unlink()
        while predict(url, toy, 1) == {200}:
            pass
        assert predict(url, toy, 300) == {503}
        look(toy, LAST)
        assert incidents() == [("service", "requests:prediction_errors", "critical", "open")]
    toy_days.publish(lake, toy, NEXT, toy_days.day(toy, NEXT))
    found = look(toy, NEXT)
    assert {one.state for one in service(lake, NEXT).values()} == {State.UNKNOWN}
    assert any("the model server did not answer" in line for line in found.lines)
    assert [one[-1] for one in incidents()] == ["open"], "a silent server is not a healthy one"
    record.write_bytes(kept)
    toy_days.publish(lake, toy, LATER, toy_days.day(toy, LATER))
    with serving() as url:
        assert predict(url, toy, 30) == {200}
        look(toy, LATER)
        assert [one[-1] for one in incidents()] == ["closed"]


def test_a_server_without_the_model_and_a_deployment_without_a_server(
    home: homes.Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = DayFacts(rows=1)
    monkeypatch.delenv("PERENNIAL_SERVING_URL", raising=False)
    assert server_figures.with_figures("toy", facts) == facts
    with model_server({"PERENNIAL_HOME": str(home.folder)}, home.folder / "server.log") as url:
        monkeypatch.setenv("PERENNIAL_SERVING_URL", url)
        assert server_figures.with_figures("other", facts).silent == "the model server does not have other"


def test_slow_days_do_not_become_usual(lake: Lake, toy: Model) -> None:
    lake.create()
    for at, (state, value) in enumerate(((State.UNKNOWN, 0.1), (State.HEALTHY, 0.2), (State.VIOLATED, 0.9)), start=1):
        told: dict[str, Any] = {"measure": "latency", "value": value, "high": 0.4, "state": state, "sentence": "slow"}
        result = Result(subject="", formula=1, cause=Cause.SERVICE, **told)
        key = earlier(LAST, at)
        one = Measured(partition=key, kind=Kind.COUNTER, rows=1, result=result)
        monitoring.write(lake, {(key, Kind.COUNTER): [one]}, "code")
    assert sorted(server_figures.usual_latency(lake, LAST, 90)) == [0.1, 0.2]
    assert server_figures.usual_latency(lake, LAST, 1) == (0.1,)
