"""The promise of the README: clone, `make run`, a champion answers; then stop, kill, resume, and run two copies."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from include import catalog
from include.registry.bundles import BundleStore
from tests.end_to_end.stack_runner import Running, clone_project, outside
from tests.services import free_port

pytestmark = pytest.mark.end_to_end
FIRST = catalog.by_priority()[0].name
DEADLINE = 1800.0  # seconds; high, because a busy machine is not a defect. The durations are printed


@pytest.fixture(scope="module")
def clone() -> Iterator[Path]:
    """The committed project plus the changes of the work tree, in an empty folder."""
    folder = Path(tempfile.mkdtemp(prefix="prn-clone-", dir="/tmp"))
    target = folder / "perennial"
    clone_project(target)
    yield target
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def cloned(clone: Path, pytestconfig: pytest.Config) -> Iterator[Running]:
    """`make run` in the clone, with the first model only, or with all models if ``--full`` is given."""
    command = ["make", "run", *([] if pytestconfig.getoption("--full") else [f"MODELS={FIRST}"])]
    made = Running(clone / "var", (free_port(), free_port(), free_port()), command, folder=clone)
    yield made
    made.end()


def ask(running: Running, line: str | None = None) -> dict[str, object]:
    """Paste a printed line (by default the first) into a shell; return the answer."""
    done = subprocess.run(
        line or running.curl_line(), shell=True, cwd=running.folder, capture_output=True, text=True, check=True
    )
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def score(answer: dict[str, object]) -> float:
    return float(answer["predictions"][0]["score"])  # type: ignore[index]


def test_from_an_empty_folder_to_a_champion_that_answers(
    cloned: Running, record_property: pytest.FixtureRequest
) -> None:
    seconds = cloned.start().until_ready(DEADLINE)
    print(f"\nmake run: {seconds:.0f} s from an empty folder to a champion that answers\n{cloned.output}")
    record_property("make_run_seconds", round(seconds, 1))  # type: ignore[operator]
    answer = ask(cloned)
    assert answer["model"] == FIRST
    bundle = BundleStore(cloned.home / "bundles").open(FIRST, str(answer["digest"]))
    assert score(answer) == pytest.approx(json.loads(bundle.read("probe.json"))["scores"][0], abs=1e-6)


@pytest.mark.full
def test_the_other_models_follow_while_the_first_is_in_use(cloned: Running) -> None:
    seconds = cloned.until_all_serve(DEADLINE)
    print(f"\nmake run: {seconds:.0f} s until all models serve")
    answers = [ask(cloned, line) for line in cloned.curl_lines()]
    assert [a["model"] for a in answers][0] == FIRST
    listed = {m.name for m in catalog.by_priority() if m.name != "toy"}
    assert {a["model"] for a in answers} == listed and len(listed) >= 3
    status = subprocess.run(
        ["make", "status"], cwd=cloned.folder, env=outside(), capture_output=True, text=True, check=True
    )
    for name in listed:
        assert re.search(rf"^  {name}: +PROMOTED \(version 1\); version 1 serves", status.stdout, re.M), status.stdout


# The tests below measure nothing, so the stack of all other tests can start at the same time (`launched`).
@pytest.mark.usefixtures("launched")
@pytest.mark.full
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_leaves_nothing_and_starting_again_resumes(cloned: Running, number: int) -> None:
    before = ask(cloned)
    print(f"\nstopped by {signal.Signals(number).name} in {cloned.interrupt(number, DEADLINE):.1f} s")
    assert cloned.processes() == []
    seconds = cloned.start().until_ready(DEADLINE)
    print(f"\nresumed after {signal.Signals(number).name} in {seconds:.1f} s")
    assert ask(cloned)["version"] == before["version"]
    assert score(ask(cloned)) == score(before)


@pytest.mark.usefixtures("launched")
def test_after_kill_9_of_everything_it_resumes(cloned: Running) -> None:
    before = ask(cloned)
    cloned.kill_everything()
    assert cloned.processes() == []
    seconds = cloned.start().until_ready(DEADLINE)
    print(f"\nresumed after kill -9 of everything in {seconds:.1f} s")
    assert ask(cloned)["version"] == before["version"]
    assert score(ask(cloned)) == score(before)


def test_a_night_on_the_running_stack_ends_with_one_line(cloned: Running) -> None:
    ports = dict(zip(("AIRFLOW_PORT", "MLFLOW_PORT", "SERVING_PORT"), map(str, cloned.ports), strict=True))
    began = time.monotonic()
    done = subprocess.run(
        ["make", "night", f"MODEL={FIRST}"],
        cwd=cloned.folder,
        env=outside() | ports,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.strip().splitlines()[-1]
    print(f"\nmake night: {time.monotonic() - began:.0f} s: {last}")
    assert last.startswith(f"{FIRST}: ") and any(w in last for w in ("promoted", "rejected", "held", "SKIPPED"))
    wrong = subprocess.run(
        ["make", "night", f"MODEL={FIRST[:-1]}"],
        cwd=cloned.folder,
        env=outside() | ports,
        capture_output=True,
        text=True,
    )
    assert wrong.returncode != 0
    assert f"did you mean '{FIRST}'" in wrong.stdout + wrong.stderr


def test_two_copies_run_at_once_and_a_taken_port_is_reported_before_anything_starts(
    cloned: Running, running: Running
) -> None:
    assert running.process is not None and running.process.poll() is None, (
        "the stack of the other tests must run: it is the second copy"
    )
    assert {p.pid for p in running.processes()} & {p.pid for p in cloned.processes()} == set()
    third = Running(cloned.folder / "var3", cloned.ports, ["make", "run"], folder=cloned.folder).start()
    try:
        assert third.until_ended(DEADLINE) != 0
        for variable in ("AIRFLOW_PORT", "MLFLOW_PORT", "SERVING_PORT"):
            assert variable in third.output
        assert not third.stack.pgdata.exists(), f"PostgreSQL was set up before the ports were checked:\n{third.output}"
        assert third.processes() == []
    finally:
        third.end()


def test_stopping_leaves_no_process(cloned: Running) -> None:
    cloned.interrupt(signal.SIGINT, DEADLINE)
    assert cloned.processes() == []
