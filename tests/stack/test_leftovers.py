"""A home has at most one stack. The processes of a killed stack are found by evidence, never by name."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from include.errors import ConfigurationError
from include.stack import leftovers, running
from include.stack.layout import MARKER, Stack

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    found = Stack(tmp_path / "home", 18090, 15090, 18099)
    found.prepare()
    return found


@pytest.fixture
def children() -> Iterator[list[subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for child in started:
        child.kill()
        child.wait()


def environment(**more: str) -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k != "PERENNIAL_STACK"} | more


def test_a_second_run_on_the_same_home_is_refused(stack: Stack) -> None:
    code = (
        "import sys, time; from pathlib import Path; from include.stack import leftovers; "
        "from include.stack.layout import Stack\n"
        f"with leftovers.locked(Stack(Path({str(stack.home)!r}), 1, 2, 3)): print('locked', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment(PYTHONPATH=str(stack.project))
    )
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "locked\n"
        assert leftovers.owner(stack) == holder.pid
        with (
            pytest.raises(ConfigurationError, match=f"already runs on .* \\(pid {holder.pid}\\).*PERENNIAL_HOME"),
            leftovers.locked(stack),
        ):
            pass
        with pytest.raises(ConfigurationError, match="stop it first"):
            running.clean(stack)
    finally:
        holder.kill()
        holder.wait()
    assert leftovers.owner(stack) is None  # a killed process holds no lock
    with leftovers.locked(stack):
        assert leftovers.owner(stack) == os.getpid()


def test_finds_marked_processes_of_this_home_only(stack: Stack, children: list[subprocess.Popen[bytes]]) -> None:
    children.append(subprocess.Popen(SLEEP, env=environment(PERENNIAL_STACK=str(stack.home))))
    children.append(subprocess.Popen(SLEEP, env=environment(PERENNIAL_STACK=str(stack.home) + "2")))
    children.append(subprocess.Popen(SLEEP, env=environment(PERENNIAL_HOME=str(stack.home))))  # a user's shell
    time.sleep(0.3)
    assert [p.pid for p in leftovers.find(stack)] == [children[0].pid]


def test_finds_the_session_of_the_recorded_supervisor(stack: Stack, children: list[subprocess.Popen[bytes]]) -> None:
    """Task processes overwrite their environment with their title. The session still identifies their owner."""
    sleep = "import time; time.sleep(60)"
    code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {sleep!r}], process_group=0); {sleep}"
    leader = subprocess.Popen([sys.executable, "-c", code], env=environment(), start_new_session=True)
    children.append(leader)
    stack.record(**leftovers.identity(leader.pid))
    while len(psutil.Process(leader.pid).children()) < 1:
        time.sleep(0.05)
    (grandchild,) = psutil.Process(leader.pid).children()
    assert {p.pid for p in leftovers.find(stack)} == {leader.pid, grandchild.pid}
    leader.kill()  # kill -9: the grandchild remains, in another process group
    leader.wait()
    assert [p.pid for p in leftovers.find(stack)] == [grandchild.pid]
    assert leftovers.clean(stack) == 1
    assert not grandchild.is_running() or grandchild.status() == psutil.STATUS_ZOMBIE


def test_a_reused_pid_is_not_ours(stack: Stack, children: list[subprocess.Popen[bytes]]) -> None:
    children.append(subprocess.Popen(SLEEP, env=environment(), start_new_session=True))
    identity = leftovers.identity(children[0].pid)
    stack.record(**(identity | {"supervisor_started": identity["supervisor_started"] - 1000}))
    assert leftovers.find(stack) == []


def test_a_folder_with_other_files_is_not_a_home(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    stack = Stack(tmp_path, 1, 2, 3)
    with pytest.raises(ConfigurationError, match="has other files"):
        stack.prepare()
    with pytest.raises(ConfigurationError, match=f"no {MARKER}"):
        running.clean(stack)
    assert (tmp_path / "thesis.tex").exists()


def test_a_percent_sign_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="'%' in its name"):
        Stack(tmp_path / "100%", 1, 2, 3).prepare()


def test_clean_deletes_the_home(stack: Stack) -> None:
    running.clean(stack)
    assert not stack.home.exists()


def test_a_second_terminal_finds_the_ports(stack: Stack) -> None:
    stack.record()
    other = Stack(stack.home, 8080, 5000, 8000)
    assert other.as_recorded().ports == stack.ports
