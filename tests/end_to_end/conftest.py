"""One real stack for all end-to-end tests of a session: the project's flights and the toy, loaded by `run` itself."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from include.stack import environment
from tests.end_to_end.stack_runner import ROOT, Api, Running, in_environment
from tests.services import free_port


@pytest.fixture(scope="session")
def running() -> Iterator[Running]:
    """The stack, ready, with a champion of every model."""
    home = Path(tempfile.mkdtemp(prefix="prn-e2e-", dir="/tmp")) / "home"
    made = Running(
        home,
        (free_port(), free_port(), free_port()),
        [sys.executable, "-m", "include.stack", "run"],
        variables={
            "PERENNIAL_MODELS": str(ROOT / "tests" / "models_for_tests"),
            "PERENNIAL_TOY_SCENARIO": str(home.parent / "scenario.json"),
        },
    ).start()
    try:
        made.until_ready(400)
        yield made
    finally:
        made.end()
        shutil.rmtree(home.parent, ignore_errors=True)


@pytest.fixture(scope="session")
def api(running: Running) -> Api:
    return Api(running.stack)


@pytest.fixture
def settings(running: Running) -> Iterator[None]:
    """`include.settings` points at the running stack."""
    with in_environment(environment.perennial_environment(running.stack)):
        yield


@pytest.fixture
def scenario(running: Running) -> Iterator[Callable[[str, dict[str, Any]], None]]:
    """Corrupt a day of the toy while everything runs: ``scenario("2026-01-05", {"empty": True})``."""
    file = running.home.parent / "scenario.json"
    days: dict[str, Any] = {}

    def corrupt(day: str, how: dict[str, Any]) -> None:
        days[day] = how
        file.write_text(json.dumps(days))

    yield corrupt
    file.unlink(missing_ok=True)


@pytest.fixture
def run_id() -> str:
    return f"test__{uuid.uuid4().hex[:12]}"
