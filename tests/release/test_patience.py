"""Verification against a server that is busy, that cannot serve the version, or that is unreachable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from include.errors import ReleaseError
from include.registry.bundles import BundleStore, ReleaseRecord
from include.release import live
from include.release.live import LiveServer
from include.serving.app import ModelServer, create_app
from include.settings import Settings
from tests.release import bundles

MODEL, TIMEOUT = "parcels", 60.0


class Clock:
    """A clock that only sleeps and requests advance; ``do`` is called once, at its time."""

    def __init__(self) -> None:
        self.now, self.at, self.do = 0.0, float("inf"), lambda: None

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.now >= self.at:
            self.at = float("inf")
            self.do()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(live, "time", SimpleNamespace(monotonic=made.monotonic, sleep=made.sleep))
    monkeypatch.setattr(live, "_POLL_SECONDS", 5.0)
    return made


@pytest.fixture
def store(tmp_path: Path) -> BundleStore:
    return BundleStore(tmp_path / "bundles")


@pytest.fixture
def app(store: BundleStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelServer:
    """The real server with version 1 in service. Its watcher reads the store only when a test lets it."""
    monkeypatch.setenv("PERENNIAL_HOME", str(tmp_path))
    release(store, 1)
    made = create_app(replace(Settings.from_environment(), bundles=store.root, serving_token=None))
    made.watcher.look()
    return made


def release(store: BundleStore, version: int, **more: Any) -> str:
    digest = store.write(MODEL, bundles.files(MODEL, version, **more))
    store.write_release(ReleaseRecord(MODEL, version, digest, version, "2026-05-03T00:00:00+00:00", "run"))
    return digest


def seen(client: httpx.Client) -> LiveServer:
    server = LiveServer("http://server", "token")
    server._client.close()
    server._client = client
    return server


def test_verification_waits_for_a_busy_server(app: ModelServer, store: BundleStore, clock: Clock) -> None:
    """It serves the old version for eight times the timeout, and then switches to the new one."""
    digest = release(store, 2)
    clock.at, clock.do = 8 * TIMEOUT, app.watcher.look
    assert seen(TestClient(app)).wait_for(MODEL, 2, digest, TIMEOUT) >= 8 * TIMEOUT


def test_a_server_that_never_switches_fails_verification_in_the_end(
    app: ModelServer, store: BundleStore, clock: Clock
) -> None:
    digest = release(store, 2)
    with pytest.raises(
        ReleaseError, match=r"did not report within 600 s that it serves version 2: it serves version 1"
    ):
        seen(TestClient(app)).wait_for(MODEL, 2, digest, TIMEOUT)


def test_a_server_that_cannot_serve_the_version_fails_verification_soon(
    app: ModelServer, store: BundleStore, clock: Clock
) -> None:
    digest = release(store, 2, probe_is_wrong=True)
    app.watcher.look()
    with pytest.raises(ReleaseError, match=r"within 60 s .*reason: .*probe row 0"):
        seen(TestClient(app)).wait_for(MODEL, 2, digest, TIMEOUT)
    assert clock.now < 2 * TIMEOUT


def test_an_error_about_an_earlier_bundle_does_not_count(app: ModelServer, store: BundleStore, clock: Clock) -> None:
    release(store, 2, probe_is_wrong=True)
    app.watcher.look()
    digest = release(store, 3)
    clock.at, clock.do = 5 * TIMEOUT, app.watcher.look
    assert seen(TestClient(app)).wait_for(MODEL, 3, digest, TIMEOUT) >= 5 * TIMEOUT


@pytest.mark.parametrize(
    ("error", "times"),
    [(httpx.ConnectError, 3), (httpx.ReadError, 3), (httpx.ReadTimeout, 10), (httpx.ConnectTimeout, 10)],
)
def test_a_server_without_an_answer_is_unreachable_or_busy(
    clock: Clock, error: Callable[[str], Exception], times: int
) -> None:
    def silent(request: httpx.Request) -> httpx.Response:
        raise error("no")

    client = httpx.Client(transport=httpx.MockTransport(silent), base_url="http://server")
    with pytest.raises(ReleaseError, match="it does not answer"):
        seen(client).wait_for(MODEL, 2, "d", TIMEOUT)
    assert times * TIMEOUT <= clock.now < (times + 1) * TIMEOUT


def test_time_in_which_the_machine_is_suspended_does_not_count(clock: Clock) -> None:
    """The machine was suspended for an hour between two requests."""
    looks = []

    def away(request: httpx.Request) -> httpx.Response:
        looks.append(clock.now)
        clock.now += 3600 if len(looks) == 2 else 0
        raise httpx.ConnectError("no")

    client = httpx.Client(transport=httpx.MockTransport(away), base_url="http://server")
    with pytest.raises(ReleaseError):
        seen(client).wait_for(MODEL, 2, "d", TIMEOUT)
    assert len(looks) > 30


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ('{"predictions": [{"score": null}]}', "something other than predictions .*Expected `float`"),
        ("<html>a proxy</html>", "something other than predictions .*<html>a proxy"),
        ('{"model": "parcels", "version": 1, "digest": "D", "request_id": "r", "predictions": [{"score": 0.5}]}',
         "the model server gave 1 answers to 5 probe rows"),
        ('{"model": "parcels", "version": 2, "digest": "D", "request_id": "r", "predictions": []}', "not as version 1"),
    ],
)  # fmt: skip
def test_an_answer_other_than_predictions_of_the_probe_fails_verification(
    store: BundleStore, clock: Clock, body: str, problem: str
) -> None:
    bundle = store.open(MODEL, release(store, 1))
    text = body.replace('"D"', f'"{bundle.digest}"')
    transport = httpx.MockTransport(lambda request: httpx.Response(200, text=text))
    with pytest.raises(ReleaseError, match=problem):
        seen(httpx.Client(transport=transport, base_url="http://server")).compare(bundle, 1, TIMEOUT)
    assert clock.now == 0
