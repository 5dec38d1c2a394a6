"""The processor time of a stack that has nothing to do, by component.

The time of processes that end in between is part of their parent's: the sum over all living processes of their own time
and that of their children whose end they have seen does not lose any.
"""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping

import psutil

from include import catalog
from include.stack.supervision import Supervisor
from tests.bench.figures import Row, number
from tests.bench.shared import Bench
from tests.end_to_end.stack_runner import Api, Running

BAR = 15.0  # % of a core
ROUNDS = 3
SECONDS, QUIET_SECONDS = 30.0, 20.0
DRIVER = "make run"
KINDS = ("collect", "load", "retrain", "release")


def measure(bench: Bench) -> Iterator[Row]:
    """Wait until nothing runs, then measure some spans of 30 s."""
    parts = components(bench.running)
    wait_until_quiet(bench.api)
    spans = []
    for _ in range(bench.rounds(ROUNDS)):
        spans.append(shares(parts, SECONDS))
        bench.say(f"idle: {sum(spans[-1].values()):.1f} % of a core")
    by_role = {role: sum(span.get(role, 0.0) for span in spans) / len(spans) for role in {r for s in spans for r in s}}
    listed = sorted(by_role.items(), key=lambda one: -one[1])
    yield Row(
        "processor time of the idle stack, of one core",
        [sum(span.values()) for span in spans],
        "%",
        bar=BAR,
        details=", ".join(f"{role} {number(share)}" for role, share in listed if share >= 0.05),
    )


def components(running: Running) -> dict[int, str]:
    """The process of each component of a stack and of the command that started it, with its name."""
    assert running.process is not None
    found = {state.pid: state.name for state in Supervisor(running.stack).states() if state.pid}
    return found | {running.process.pid: DRIVER}


def wait_until_quiet(api: Api) -> None:
    """Wait until no run of a model is active, and then until its last processes have ended."""
    names = [f"{model.name}_{kind}" for model in catalog.by_priority() for kind in KINDS]
    while any(True for name in names for _ in api.runs(name, state=["queued", "running"])):
        time.sleep(1.0)
    time.sleep(QUIET_SECONDS)


def shares(roots: Mapping[int, str], seconds: float) -> dict[str, float]:
    """The processor time of each role in % of a core, measured over this time."""
    before, began = used(roots), time.monotonic()
    time.sleep(seconds)
    after, elapsed = used(roots), time.monotonic() - began
    return {role: 100 * (after[role] - before[role]) / elapsed for role in after}


def used(roots: Mapping[int, str]) -> dict[str, float]:
    """The seconds of processor time by role: of each root and its descendants, down to the next root."""
    found: dict[str, float] = defaultdict(float)
    waiting = [(pid, role) for pid, role in roots.items()]
    while waiting:
        pid, role = waiting.pop()
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            times = process.cpu_times()
            found[role] += times.user + times.system + times.children_user + times.children_system
            waiting += [(child.pid, role) for child in process.children() if child.pid not in roots]
    return found
