"""The servers of the tests end with the test run, even if it is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.services import STOP_SECONDS

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import time
from tests.services import services
with services(mlflow=False) as running:
    print(running.keeper, running.folder, flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_killed_run_leaves_nothing_behind(number: signal.Signals) -> None:
    run = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert run.stdout is not None
    keeper, folder = run.stdout.readline().split()
    children = psutil.Process(int(keeper)).children(recursive=True)
    assert any("postgres" in child.name() for child in children)
    run.send_signal(number)
    run.wait(STOP_SECONDS)
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline and (Path(folder).exists() or any(child.is_running() for child in children)):
        time.sleep(0.1)
    assert not Path(folder).exists()
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
