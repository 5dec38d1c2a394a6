"""`make tour` on a real stack: all steps with their outcomes, and nothing is left, also after Ctrl-C."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import httpx
import pytest

from include.registry import tracking
from include.registry.ledger import Ledger
from include.stack import credentials
from include.stack.tour import place, removal
from tests.end_to_end.journeys import Journey
from tests.end_to_end.stack_runner import ROOT, TERMINAL_UMASK, Api, Running, outside

pytestmark = [pytest.mark.end_to_end, pytest.mark.usefixtures("settings")]
LIMIT = 1200.0  # seconds; ends a tour that hangs


def begin(running: Running, items: list[pytest.Function]) -> dict[str, Journey[Running, str]]:
    steps = {"whole": whole, "interrupted": interrupted}
    return {"tour": Journey(lambda: running, steps).start()}


def whole(running: Running) -> str:
    """Walk through the tour as in a terminal; return what it printed."""
    return running.terminal("include.stack", "tour")


def interrupted(running: Running) -> str:
    """End a tour with Ctrl-C once its model is known to Airflow; return what it printed."""
    line = [sys.executable, "-m", "include.stack", "tour"]
    variables = outside() | dict(running.variables) | {"PERENNIAL_HOME": str(running.home)}
    process = subprocess.Popen(
        line, cwd=ROOT, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, umask=TERMINAL_UMASK
    )
    printed: list[str] = []
    assert process.stdout is not None
    reader = threading.Thread(target=lambda: printed.extend(process.stdout or ()), daemon=True)
    reader.start()
    try:
        deadline = time.monotonic() + LIMIT
        while not re.search(r"^load days", "".join(printed), re.MULTILINE):
            assert process.poll() is None and time.monotonic() < deadline, "".join(printed)
            time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT) == 130, "".join(printed)
    finally:
        if process.poll() is None:
            process.kill()
        reader.join(10)
    return "".join(printed)


def test_the_tour_shows_every_step(journeys: dict[str, Journey[Any, str]]) -> None:
    printed = journeys["tour"].outcome("whole")
    name = place.NAME.search(printed)
    assert name is not None, printed
    said = " ".join(printed.split())
    for wanted in (
        "1/4 A champion", f"{name[0]}: promoted version 1: ", "The model server answers with version 1",
        "2/4 A poor challenger is rejected", f"{name[0]}: rejected: ",
        "3/4 A corrupted day goes to quarantine", "REJECTED 20", "rows are in quarantine", "PUBLISHED 20",
        "4/4 A rollback, its freeze, and the end of the freeze", "The model server answers with version 3",
        f"ROLLED BACK {name[0]} from v3 to v1 by admin: make tour: it looks wrong", f"{name[0]}: held: frozen by admin",
        f"LIFTED the freeze of {name[0]} by admin", "PROMOTED v4", "The model server answers with version 4",
        "That was the tour.",
    ):  # fmt: skip
        assert wanted in said, printed
    pages = re.findall(r"^  look at .+: (\S+)$", printed, re.MULTILINE)
    assert len(pages) >= 7 and all(page.startswith("http://127.0.0.1:") for page in pages), pages


@pytest.mark.parametrize("step", ["whole", "interrupted"])
def test_nothing_of_a_tour_is_left(
    journeys: dict[str, Journey[Any, str]], running: Running, api: Api, step: str
) -> None:
    printed = journeys["tour"].outcome(step)
    found = place.NAME.search(printed)
    assert found is not None and "warning: not removed" not in printed, printed
    name, stack = found[0], running.stack
    assert not list(stack.tours.iterdir()) and removal.left_over(stack) == []
    assert [dag for kind in removal.KINDS if (dag := f"{name}_{kind}") and api.dag(dag) is not None] == []
    left = [path for path in running.home.rglob(f"*{name}*") if path.exists()]
    assert [path for path in left if "postgres" not in path.parts] == []
    assert Ledger.default().standing(name).version is None and not tracking.is_registered(name)
    token = credentials.read(stack, "serving_token")
    headers = {"Authorization": f"Bearer {token}"}
    listed = httpx.get(f"{stack.serving_url}/models", headers=headers, timeout=30, trust_env=False).json()
    assert [model for model in listed["models"] if model["model"] == name and model.get("version")] == []
    assert name not in running.terminal("include.stack", "status")
