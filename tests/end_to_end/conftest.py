"""One real stack for all end-to-end tests of a session: the project's models and the toy, loaded by `run` itself."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from include.settings import UMASK
from include.stack import environment
from tests.end_to_end.stack_runner import ROOT, Api, Running, in_environment
from tests.services import free_port

SCREENSHOTS = bool(os.environ.get("PERENNIAL_SCREENSHOTS"))  # made for the README, of the models that it shows
STACK = pytest.StashKey[Running]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """These before all others, so that their stack can end before those; the fresh clone first, whose time is measured
    and beside which no other stack may run yet; the slow ones late, for the others are sooner wrong; last of all the
    one that kills what the others use."""

    def order(item: pytest.Item) -> tuple[bool, bool, bool, bool]:
        slow = item.get_closest_marker("slow") is not None
        kills = "test_killed_components" in item.nodeid
        return "end_to_end" not in item.nodeid, "test_fresh_clone" not in item.nodeid, kills, slow

    items.sort(key=order)


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Stop the stack after the last of these tests: the others shall have the machine for themselves."""
    made = item.config.stash.get(STACK, None)
    if made is not None and (nextitem is None or "end_to_end" not in nextitem.nodeid):
        made.end()


def scenario_file(home: Path) -> Path:
    """Where the toy reads how its days are to be corrupted."""
    return home.parent / f"{home.name}-scenario.json"


def models_folder(home: Path) -> Path:
    """Where a test may put models of its own while everything runs."""
    return home.parent / "models"


def variables(made: Running) -> dict[str, str]:
    """What a stack of these tests is started with."""
    return {
        "PERENNIAL_MODELS": f"{ROOT / 'tests' / 'models_for_tests'}:{models_folder(made.home)}",
        "PERENNIAL_TOY_SCENARIO": str(scenario_file(made.home)),
        "AIRFLOW_CONN_STRANGERS": made.stack.database_url("strangers"),
    }


@pytest.fixture(scope="session")
def running(pytestconfig: pytest.Config) -> Iterator[Running]:
    """The stack, ready, with a champion of the toy (and of every model if screenshots for the README are made).

    While writing tests, ``PERENNIAL_TEST_HOME`` may name the home of one that runs already (with its ports in the usual
    variables, and ``PERENNIAL_MODELS``, ``PERENNIAL_TOY_SCENARIO`` and ``AIRFLOW_CONN_STRANGERS`` as below).
    """
    if already := os.environ.get("PERENNIAL_TEST_HOME"):
        ports = [int(os.environ[name]) for name in ("AIRFLOW_PORT", "MLFLOW_PORT", "SERVING_PORT")]
        made = Running(Path(already), (ports[0], ports[1], ports[2]), [])
        made.variables = variables(made)
        yield made
        return
    home = Path(tempfile.mkdtemp(prefix="prn-e2e-", dir="/tmp")) / "home"
    made = Running(
        home,
        (free_port(), free_port(), free_port()),
        [sys.executable, "-m", "include.stack", "run", *([] if SCREENSHOTS else ["--model", "toy"])],
    )
    made.variables = variables(made)
    models_folder(home).mkdir()
    made.start()
    pytestconfig.stash[STACK] = made
    try:
        made.until_serves("toy", 1800)  # a deadline, no promise: processors may be busy with other things
        yield made
    finally:
        made.end()
        shutil.rmtree(home.parent, ignore_errors=True)


@pytest.fixture(scope="session")
def api(running: Running) -> Api:
    return Api(running.stack)


@pytest.fixture
def settings(running: Running) -> Iterator[None]:
    """`include.settings` points at the running stack, and what a test itself writes there has the modes of a home."""
    before = os.umask(UMASK)
    try:
        with in_environment(environment.perennial_environment(running.stack)):
            yield
    finally:
        os.umask(before)


@pytest.fixture
def scenario(running: Running) -> Iterator[Callable[[str, dict[str, Any]], None]]:
    """Corrupt a day of the toy while everything runs: ``scenario("2026-01-05", {"empty": True})``."""
    file = scenario_file(running.home)
    days: dict[str, Any] = {}

    def corrupt(day: str, how: dict[str, Any]) -> None:
        days[day] = how
        file.write_text(json.dumps(days))

    yield corrupt
    for left in file.parent.glob(f"{file.name}*"):
        left.unlink()


@pytest.fixture
def run_id() -> str:
    return f"test__{uuid.uuid4().hex[:12]}"
