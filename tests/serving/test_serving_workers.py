"""Several workers on one port: they answer, record and report as one server, and none of them outlives it."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from server_kit import PATIENCE, ROOT, Releases, Server, constant_files, row, wait_for

from include.errors import ConfigurationError, ReleaseError
from include.release.live import LiveServer
from include.scoring.record import closed_segments, lines
from include.serving.siblings import SILENT, Report, furthest_behind, unserved
from include.serving.status import ModelDetails
from include.serving.workers import Workers
from include.settings import Settings

TOKEN = "s3cret"


class Pair:
    """A server with two workers, and the ids of the requests that it has answered."""

    def __init__(self, home: Path) -> None:
        self.releases = Releases(home / "bundles")
        self.releases.put("parcels", constant_files("parcels", 0.25), 1, 1)
        self.server = Server(home, TOKEN, SERVING_WORKERS="2").start()
        self.answered: list[str] = []

    @property
    def parent(self) -> psutil.Process:
        assert self.server.process is not None
        return psutil.Process(self.server.process.pid)

    @property
    def workers(self) -> dict[int, psutil.Process]:
        """The processes by number."""
        found = {}
        for process in self.parent.children():
            with contextlib.suppress(psutil.NoSuchProcess):  # ended meanwhile, or not yet collected by its parent
                number = re.search(r'"number":(\d)', " ".join(process.cmdline()))
                if number:
                    found[int(number[1])] = process
        return found

    def predict(self, times: int = 1) -> set[int]:
        """Send requests, each on its own connection; the versions that answered."""
        versions = set()
        for _ in range(times):
            status, answer = self.server.predict("parcels", row())
            assert status == 200, answer
            self.answered.append(answer["request_id"])
            versions.add(answer["version"])
        return versions

    def total(self, name: str) -> float:
        """The sum of a series over the workers, its labels in the order of the text."""
        text = str(self.server.get("/metrics")[1])
        return sum(float(v) for v in re.findall(rf"^{name}\{{(?:.*,)?worker=\"\d\"\}} (\S+)$", text, re.MULTILINE))

    def ready(self) -> bool:
        return self.server.get("/health/ready")[0] == 200


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """One server for all tests of this file that leave it running."""
    pair = Pair(tmp_path_factory.mktemp("pair"))
    yield pair
    if pair.server.process is not None and pair.server.process.poll() is None:
        pair.server.stop()


def test_the_workers_are_counted_together(pair: Pair) -> None:
    pair.predict(20)
    for worker in pair.workers.values():  # each answers at least some
        worker.suspend()
        pair.predict(5)
        worker.resume()
    text = str(pair.server.get("/metrics")[1])
    for number in (0, 1):
        assert f'perennial_serving_worker_up{{worker="{number}"}} 1.0' in text
        answered = rf'^perennial_serving_requests_total\{{.*outcome="answered".*worker="{number}"\}} (\S+)'
        (count,) = re.findall(answered, text, re.MULTILINE)
        assert float(count) >= 5
    assert pair.total("perennial_serving_rows_total") == len(pair.answered) == 30
    assert len(re.findall("^# TYPE perennial_serving_rows_total ", text, re.MULTILINE)) == 1
    assert len(list((pair.server.home / "spool").glob("*/lock"))) == 2
    assert pair.server.get("/metrics", {"Authorization": "Bearer no"})[0] == 401


def test_a_release_waits_for_the_slower_worker(pair: Pair) -> None:
    url = f"http://127.0.0.1:{pair.server.port}"
    slow = pair.workers[1]
    slow.suspend()
    try:
        record = pair.releases.put("parcels", constant_files("parcels", 0.5), 2, 2)
        wait_for(lambda: pair.predict() == {2})
        with LiveServer(url, TOKEN) as live, ThreadPoolExecutor() as threads:
            # all at once, because each asks the slow worker and waits for it
            waited = threads.submit(live.wait_for, "parcels", 2, record.digest, 0.1)
            paths = ("/models/parcels", "/models", "/health/ready", "/metrics")
            one, every, ready, metrics = threads.map(pair.server.get, paths)
            assert isinstance(waited.exception(PATIENCE), ReleaseError)
        assert one[0] == 503 and SILENT in str(one[1])
        (model,) = every[1]["models"]
        assert (model["serving"], model["version"], model["reason"]) == (False, None, SILENT)
        assert ready[0] == 503
        assert 'perennial_serving_worker_up{worker="0"} 1.0' in metrics[1]
        assert 'perennial_serving_worker_up{worker="1"} 0.0' in metrics[1]
    finally:
        slow.resume()
    with LiveServer(url, TOKEN) as live:
        live.wait_for("parcels", 2, record.digest, PATIENCE)
    assert pair.predict(10) == {2}
    wait_for(pair.ready)


def test_a_killed_worker_is_replaced_while_the_other_answers(pair: Pair) -> None:
    pair.predict(10)
    wait_for(lambda: pair.total("perennial_serving_spool_written_rows_total") == len(pair.answered))
    killed = pair.workers[0]
    killed.kill()
    wait_for(lambda: 0 not in pair.workers or pair.workers[0].pid != killed.pid)
    pair.predict(10)
    wait_for(lambda: 0 in pair.workers and pair.ready())
    assert "Worker 0 of the model server ended (signal SIGKILL)" in pair.server.log.read_text()
    assert pair.predict(10) == {2}


def test_a_stop_ends_all_and_every_row_was_recorded_once(pair: Pair) -> None:
    """Stops the server."""
    family = [pair.parent, *pair.workers.values()]
    assert len(family) == 3
    pair.predict(10)
    assert pair.server.stop(signal.SIGTERM) == 0
    assert not any(process.is_running() for process in family)
    spool = pair.server.home / "spool"
    recorded = Counter(line.request_id for s in closed_segments(spool, "parcels") for line in lines(s))
    assert recorded == Counter(pair.answered)
    assert len({s.app_id for s in closed_segments(spool, "parcels")}) == 2
    assert not list((pair.server.home / "run").iterdir())
    assert "Traceback" not in pair.server.log.read_text()
    assert TOKEN not in pair.server.log.read_text()


def test_the_workers_of_a_killed_parent_stop(pair: Pair) -> None:
    """On the home of the server that was stopped."""
    pair.server.start()
    workers = list(pair.workers.values())
    pair.predict(10)
    assert pair.server.stop(signal.SIGKILL) == -signal.SIGKILL
    gone, alive = psutil.wait_procs(workers, PATIENCE)
    assert len(gone) == 2 and not alive
    assert not list((pair.server.home / "run").iterdir())
    assert not list((pair.server.home / "spool").glob("*/*/*.open"))


def started(home: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "include.serving.server", *arguments], cwd=ROOT, capture_output=True, text=True,
        env={"PERENNIAL_HOME": str(home), "PATH": "/bin", "SERVING_WORKERS": "2"} | variables, timeout=PATIENCE,
    )  # fmt: skip


def test_a_taken_port_is_an_error(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = started(tmp_path, "--port", str(taken.getsockname()[1]))
    assert done.returncode == 1
    assert "address already in use" in done.stderr


def test_a_server_whose_workers_cannot_start_ends(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    done = started(tmp_path, "--port", port, PERENNIAL_SPOOL="/dev/null/spool")
    assert done.returncode == 1
    assert "could not start" in done.stderr and "Not a directory" in done.stderr
    assert not list((tmp_path / "run").iterdir())


def test_a_long_home_has_its_sockets_elsewhere(tmp_path: Path) -> None:
    folder = Workers([], 2, tmp_path / ("long" * 30))._folder()
    try:
        assert len(str(folder)) < 90 and folder.stat().st_mode & 0o777 == 0o700
    finally:
        folder.rmdir()


@pytest.mark.parametrize(
    ("value", "nearest"), [("0", 1), ("-3", 1), ("100", 64), ("2.5", 2), ("two", 1), ("1e9", 1), ("²", 1), (" 2", 1)]
)
def test_a_wrong_number_of_workers_is_named(monkeypatch: pytest.MonkeyPatch, value: str, nearest: int) -> None:
    monkeypatch.setenv("SERVING_WORKERS", value)
    with pytest.raises(ConfigurationError, match=re.escape(f"SERVING_WORKERS is {value!r}: ") + rf".*\({nearest}\)"):
        Settings.from_environment()


def serving(epoch: int) -> ModelDetails:
    return ModelDetails(
        model="parcels", serving=True, version=epoch, digest=f"{epoch}", epoch=epoch, released_at="", run_id="",
        loaded_at="", source="store", pending_error=None, reason=None,
    )  # fmt: skip


ABSENT = unserved("parcels", "no version of this model is in service")


@pytest.mark.parametrize(
    ("states", "released", "version", "reason"),
    [
        ([serving(2), serving(3)], True, 2, None),
        ([serving(3), serving(3)], True, 3, None),
        ([ABSENT, serving(1)], True, None, ABSENT.reason),  # a first release, which one worker has not seen
        ([ABSENT, serving(1)], False, 1, None),  # a removal, which one worker has not seen
        ([ABSENT, ABSENT], False, None, ABSENT.reason),
        ([None, serving(1)], True, None, SILENT),
        ([None, ABSENT], False, None, SILENT),
        ([[], serving(1)], True, None, "a worker of this server has not looked for its release record yet"),
    ],
)
def test_the_state_that_is_furthest_behind(
    states: list[ModelDetails | list[ModelDetails] | None], released: bool, version: int | None, reason: str | None
) -> None:
    reports = [s if s is None else Report(True, s if isinstance(s, list) else [s]) for s in states]
    for order in (reports, reports[::-1]):
        found = furthest_behind(order, lambda name: released)["parcels"]
        assert (found.version, found.reason) == (version, reason)
