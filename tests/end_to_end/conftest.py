"""One real stack for all end-to-end tests of a session: the project's models and the toy, loaded by `run` itself."""

from __future__ import annotations

import contextlib
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
from tests.end_to_end.journeys import Journey
from tests.end_to_end.stack_runner import ROOT, Api, Running, in_environment
from tests.services import free_port

SCREENSHOTS = bool(os.environ.get("PERENNIAL_SCREENSHOTS"))  # for the README, which shows all models
STACK = pytest.StashKey[contextlib.ExitStack]()
JOURNEYS = pytest.StashKey[dict[str, dict[str, Journey[Any, Any]]]]()


ORDER = (
    "test_fresh_clone",  # it is timed, so no other stack may run yet
    "test_retrain",
    "test_collect",
    "test_load",
    "test_browser",
    "",  # all others; they wait for journeys, which began when the stack was ready
    "test_secrets",  # runs when nothing else uses the home
    "test_killed_components",  # it kills what the others use
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run these tests before all others, so that their stack can end first; sort them as in `ORDER`."""

    def order(item: pytest.Item) -> tuple[bool, int]:
        module = Path(str(item.path)).stem
        return "end_to_end" not in item.nodeid, ORDER.index(module if module in ORDER else "")

    items.sort(key=order)


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Stop the stack after the last of these tests, so that the others have the machine to themselves."""
    made = item.config.stash.get(STACK, None)
    if made is not None and (nextitem is None or "end_to_end" not in nextitem.nodeid):
        made.close()


def scenario_file(home: Path) -> Path:
    """Return the file from which the toy reads how to corrupt its days."""
    return home.parent / f"{home.name}-scenario.json"


def models_folder(home: Path) -> Path:
    """Return the folder in which a test can put its own models while the stack runs."""
    return home.parent / "models"


def variables(made: Running) -> dict[str, str]:
    """Return the environment variables with which the stack of these tests is started."""
    return {
        "PERENNIAL_MODELS": f"{ROOT / 'tests' / 'models_for_tests'}:{models_folder(made.home)}",
        "PERENNIAL_TOY_SCENARIO": str(scenario_file(made.home)),
        "AIRFLOW_CONN_SHOP_DB": made.stack.database_url("shop_db"),
        "PERENNIAL_AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "3",  # seconds; the tests wait for retries of killed tasks
    }


@pytest.fixture(scope="session")
def launched(pytestconfig: pytest.Config) -> Iterator[Running]:
    """The stack, started but not yet ready, for tests that need no stack or another one.

    While you write tests, ``PERENNIAL_TEST_HOME`` can name the home of a stack that already runs. Its ports must be in
    the usual variables, and it must have been started with the environment of `variables`.
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
    with closed_by_hook(pytestconfig) as until_the_end:
        until_the_end.callback(shutil.rmtree, home.parent, ignore_errors=True)
        until_the_end.callback(made.end)
        yield made.start()


@pytest.fixture(scope="session")
def running(request: pytest.FixtureRequest, pytestconfig: pytest.Config, launched: Running) -> Iterator[Running]:
    """The ready stack, with a champion of the toy (and of every model if screenshots for the README are made).

    `include.settings` points at it until the last of these tests has ended, and files that this process writes there
    have the modes of a home. Both are set once for all tests, because journeys work in threads.
    """
    if launched.process is not None:
        launched.until_serves("toy", 1800)  # high, because the machine may be busy
    with closed_by_hook(pytestconfig) as until_the_end:
        until_the_end.callback(os.umask, os.umask(UMASK))
        until_the_end.enter_context(in_environment(environment.perennial_environment(launched.stack)))
        begun: dict[str, dict[str, Journey[Any, Any]]] = {}
        pytestconfig.stash[JOURNEYS] = begun
        until_the_end.callback(end, launched, begun)
        ours = [item for item in request.session.items if isinstance(item, pytest.Function)]
        for module in {item.module for item in ours if hasattr(item.module, "begin")}:
            begun[module.__name__] = module.begin(launched, [item for item in ours if item.module is module])
        yield launched


@contextlib.contextmanager
def closed_by_hook(config: pytest.Config) -> Iterator[contextlib.ExitStack]:
    """Callbacks for the end of these tests: `pytest_runtest_teardown` calls them before the session ends."""
    whole = config.stash.setdefault(STACK, contextlib.ExitStack())
    part = whole.enter_context(contextlib.ExitStack())
    try:
        yield part
    finally:
        part.close()


def end(stack: Running, begun: dict[str, dict[str, Journey[Any, Any]]]) -> None:
    """Stop the journeys and the stack, before the environment variables that they use are removed."""
    left = [journey for named in begun.values() for journey in named.values()]
    for journey in left:
        journey.stop()
    if stack.process is not None:
        stack.end()
    for journey in left:
        journey.join(300)


@pytest.fixture
def journeys(request: pytest.FixtureRequest, running: Running) -> dict[str, Journey[Any, Any]]:
    """The journeys of the test's module, by name: see `tests.end_to_end.journeys`."""
    begun = request.config.stash[JOURNEYS]
    return begun[request.module.__name__]


@pytest.fixture(scope="session")
def api(running: Running) -> Api:
    return Api(running.stack)


@pytest.fixture
def settings(running: Running) -> None:
    """`include.settings` points at the running stack: see `running`."""


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
