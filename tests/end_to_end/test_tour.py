"""`make tour` on a real stack: all steps with their outcomes, and nothing is left, also after Ctrl-C."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from include.alerting.messages import HEADINGS
from include.registry import tracking
from include.registry.incidents import Incidents
from include.registry.ledger import Ledger
from include.registry.retraining_requests import RetrainingRequests
from include.registry.versions import AUTOMATIC
from include.stack import credentials
from include.stack.tour import place, removal
from tests.alerting.servers import webhook
from tests.end_to_end.journeys import Journey
from tests.end_to_end.stack_runner import ROOT, TERMINAL_UMASK, Api, Running, outside

pytestmark = [pytest.mark.end_to_end, pytest.mark.usefixtures("settings")]
LIMIT = 1200.0  # seconds; ends a tour that hangs


ALERTS = "perennial_alerts"


@dataclass(frozen=True)
class Told:
    """What a tour printed, and the messages that its incidents were told by."""

    printed: str
    messages: Sequence[dict[str, Any]] = ()


def begin(running: Running, items: list[pytest.Function]) -> dict[str, Journey[Running, Told]]:
    steps = {"whole": whole, "interrupted": interrupted}
    return {"tour": Journey(lambda: running, steps).start()}


def whole(running: Running) -> Told:
    """Walk through the tour as in a terminal, with a webhook as the channel of alerts."""
    api = Api(running.stack)
    with webhook() as hook:
        connection = {"connection_id": ALERTS, "conn_type": "generic", "password": hook.url}
        api._send("POST", "/connections", json=connection)
        try:
            printed = running.terminal("include.stack", "tour")
            api.trigger_and_wait("perennial_watchdog", "after_the_tour")  # the end of what the removal has closed
        finally:
            api._send("DELETE", f"/connections/{ALERTS}")
        return Told(printed, list(hook.received))


def interrupted(running: Running) -> Told:
    """End a tour with Ctrl-C once its model is known to Airflow."""
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
    return Told("".join(printed))


def test_the_tour_shows_every_step(journeys: dict[str, Journey[Any, Told]]) -> None:
    printed = journeys["tour"].outcome("whole").printed
    name = place.NAME.search(printed)
    assert name is not None, printed
    said = " ".join(printed.split())
    for wanted in (
        "1/5 A champion", f"{name[0]}: promoted version 1: ", "The model server answers with version 1",
        "2/5 A poor challenger is rejected", f"{name[0]}: rejected: ",
        "3/5 A corrupted day goes to quarantine", "REJECTED 20", "rows are in quarantine", "PUBLISHED 20",
        "4/5 A rollback, its freeze, and the end of the freeze", "The model server answers with version 3",
        f"ROLLED BACK {name[0]} from v3 to v1 by admin: make tour: it looks wrong", f"{name[0]}: held: frozen by admin",
        f"LIFTED the freeze of {name[0]} by admin", "PROMOTED v4", "The model server answers with version 4",
        "5/5 The world changes, and the monitor has the model retrained", ". Retraining, because the champion is",
        "Retraining started as monitor__20", ", critical: ", "A newer fit of the champion's recipe is better.",
        f"{name[0]}: promoted version 5: ", "run monitor__20", "The model server answers with version 5",
        "Why it was trained: Retraining, because the champion is", "incident is over", "That was the tour.",
    ):  # fmt: skip
        assert wanted in said, printed
    pages = re.findall(r"^  look at .+: (\S+)$", printed, re.MULTILINE)
    assert len(pages) >= 7 and all(page.startswith("http://127.0.0.1:") for page in pages), pages


def test_drift_leads_to_a_new_champion_and_each_incident_is_told_once(
    journeys: dict[str, Journey[Any, Told]],
) -> None:
    """The retraining is the monitor's, its reason is in the ledger, and no message is lost or sent twice."""
    told = journeys["tour"].outcome("whole")
    found = place.NAME.search(told.printed)
    assert found is not None, told.printed
    name = found[0]
    request, decision = RetrainingRequests.default().newest(name), Ledger.default().last_decision(name)
    assert request is not None and decision is not None
    assert (request.granted, request.cause, request.run_id) == (True, "stale", f"monitor__{request.as_of}")
    assert (decision.run_id, decision.verdict, decision.version) == (request.run_id, "promote", 5)
    ours = [row for row in Incidents.default().of(name) if row.kind in ("data", "drift", "stale")]
    assert {row.kind for row in ours} == {"drift", "stale"} and {row.state for row in ours} == {"closed"}
    by = {row.kind: row.closed_by for row in ours}
    assert by == {"drift": "make tour", "stale": AUTOMATIC}
    told_of = [pair for one in told.messages for pair in headings(str(one["message"]))]
    for row in ours:
        assert [head for number, head in told_of if number == row.number] == ["New", "Over"], (row, told.messages)


def headings(message: str) -> list[tuple[int, str]]:
    """The incidents of a message, each with its heading; without those that are listed as still open."""
    found: list[tuple[int, str]] = []
    head = ""
    for line in message.splitlines():
        head = line if line in HEADINGS.values() else head
        numbered = re.match(r"Incident (\d+) ", line)
        if numbered and head != HEADINGS["report"]:
            found.append((int(numbered[1]), head))
    return found


@pytest.mark.parametrize("step", ["whole", "interrupted"])
def test_nothing_of_a_tour_is_left(
    journeys: dict[str, Journey[Any, Told]], running: Running, api: Api, step: str
) -> None:
    printed = journeys["tour"].outcome(step).printed
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
