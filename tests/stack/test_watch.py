"""Components that are killed, crash or leave children behind, under a real supervisord."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from include.errors import TransientError
from include.stack import components, environment, leftovers, postgres, spawn, status, supervision, watch
from include.stack import session as session_module
from include.stack.components import Component
from include.stack.layout import Stack
from include.stack.session import Session, StackFailure
from include.stack.signals import StopSignals
from include.stack.supervision import State, Supervisor
from include.stack.watch import Watch
from tests.services import free_port

SLEEP = (sys.executable, "-S", "-c", "import time; time.sleep(600)")
# A server whose child listens, as MLflow's does. Its grandchild has its own group, like a task of Airflow's scheduler.
FORKING = """
import os, socket, sys, time
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", int(sys.argv[1])))
listener.listen()
if not os.fork():
    if not os.fork():
        os.setpgid(0, 0)
    while True:
        listener.accept()[0].sendall(b"%d" % os.getpid())
listener.close()
time.sleep(600)
"""
# ends at once unless the file exists
ON_A_FILE = "import os, sys, time; print('no such table'); os.path.exists(sys.argv[1]) or sys.exit(3); time.sleep(600)"


@pytest.fixture
def stack(tmp_path: Path, request: pytest.FixtureRequest) -> Stack:
    """A stack with a home. If the parameter names another fixture, the stack of this fixture."""
    if named := getattr(request, "param", None):
        made: Stack = request.getfixturevalue(named)
        return made
    found = Stack(tmp_path / "home", 18090, 15090, 18099)
    found.prepare()
    return found


@pytest.fixture
def supervised(stack: Stack) -> Iterator[Callable[..., Supervisor]]:
    """Start a supervisord with these programs and the stack's configuration, with some ``settings`` replaced."""
    started = []

    def supervise(programs: dict[str, tuple[str, ...]], **settings: int) -> Supervisor:
        parts = [Component(name, command, stack.run) for name, command in programs.items()]
        text = components.supervisor_configuration(stack, Component("postgres", SLEEP, stack.run), parts)
        for name, value in {"startsecs": 0, "startretries": 0, **settings}.items():
            text = text.replace(f"\n{name}=3\n", f"\n{name}={value}\n")
        (stack.run / "supervisord.conf").write_text(text)
        process = supervision.launch(stack, stack.run / "supervisord.conf", dict(os.environ))
        started.append(process)
        stack.record(**leftovers.identity(process.pid))
        supervision.wait_until_it_answers(stack, process, lambda: None)
        made = Supervisor(stack)
        for name in programs:
            made.start(name)
        return made

    yield supervise
    for process in started:
        supervision.stop(process)
    leftovers.clean(stack, patience=0)


def program(stack: Stack, code: str, *arguments: str) -> tuple[str, ...]:
    """A Python program as a command."""
    path = stack.run / f"program{len(code)}.py"
    path.write_text(code)
    return (sys.executable, "-S", str(path), *arguments)


def state(supervisor: Supervisor, name: str) -> State:
    return next(found for found in supervisor.states() if found.name == name)


def running(supervisor: Supervisor, name: str, other_than: int = 0) -> int:
    """The pid of a component, once a process other than ``other_than`` runs."""
    return eventually(lambda: (s := state(supervisor, name)).state == "RUNNING" and s.pid != other_than and s.pid)


def eventually(found: Callable[[], Any], seconds: float = 60) -> Any:
    """The first true value of ``found``. The limit only ends a test that would hang."""
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return value


def test_a_killed_component_is_never_seen_as_given_up(stack: Stack, supervised: Callable[..., Supervisor]) -> None:
    """supervisord passes through EXITED between the end of a program and its next start."""
    supervisor = supervised({"victim": SLEEP})
    seen: list[State] = []
    stop = threading.Event()

    def look() -> None:
        looking = Supervisor(stack)
        while not stop.is_set():
            seen.append(state(looking, "victim"))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        pid = kills = 0
        while kills < 12 or not any(s.state == "EXITED" for s in list(seen)):
            pid = running(supervisor, "victim", pid)
            os.kill(pid, signal.SIGKILL)
            kills += 1
            assert kills < 500, "without the state EXITED the test shows nothing"
        running(supervisor, "victim", pid)
    finally:
        stop.set()
        thread.join()
    assert not any(s.given_up for s in seen)
    assert all(s.uptime == 0 for s in seen if not s.pid)


def test_a_component_that_never_started_has_no_pid_and_no_uptime(supervised: Callable[..., Supervisor]) -> None:
    supervisor = supervised({"victim": SLEEP})
    assert state(supervisor, "postgres").described == "not started yet"
    running(supervisor, "victim")
    assert state(supervisor, "victim").described.startswith("running, pid ")


def test_a_component_that_cannot_start_is_reported_and_retried_and_the_others_stay(
    stack: Stack, supervised: Callable[..., Supervisor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "BACK_SECONDS", 0)
    table = stack.run / "table"
    supervisor = supervised({"broken": program(stack, ON_A_FILE, str(table)), "other": SLEEP}, startsecs=3)
    other = running(supervisor, "other")
    messages: list[str] = []
    watching = Watch(stack, supervisor, messages.append)
    monkeypatch.setattr(watching, "_parts", {"broken": watch.Part(rest=0.01)})

    def look_until(word: str) -> None:
        def found() -> bool:
            watching.look()
            return any(word in line for line in messages)

        eventually(found)

    look_until("broken is down")
    assert "no such table" in messages[-1], "the message has the end of the log"
    assert watching.down == ["broken"]
    look_until("broken is still down")
    table.touch()
    look_until("broken is back")
    assert watching.down == []
    assert state(supervisor, "other").pid == other
    assert not any("other" in line for line in messages)


def test_a_component_that_ends_repeatedly_pauses_and_comes_back(
    stack: Stack, supervised: Callable[..., Supervisor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "BACK_SECONDS", 0)
    supervisor = supervised({"victim": SLEEP})
    now = [0.0]
    messages: list[str] = []
    watching = Watch(stack, supervisor, messages.append, clock=lambda: now[0])
    pid = 0
    for _ in range(watch.RESTARTS + 2):
        pid = running(supervisor, "victim", pid)
        watching.look()
        if watching.down:
            break
        os.kill(pid, signal.SIGKILL)
    assert watching.down == ["victim"]
    assert "ended 5 times within 180 s" in messages[-1] and "started again in 5 s" in messages[-1]
    assert sum("was restarted" in line for line in messages) == watch.RESTARTS + 1
    eventually(lambda: state(supervisor, "victim").state == "STOPPED")
    watching.look()
    assert not state(supervisor, "victim").pid, "it pauses"
    assert "down" in state(supervisor, "victim").described
    now[0] = 6.0
    watching.look()
    running(supervisor, "victim")
    watching.look()
    assert messages[-1].startswith("victim is back") and watching.down == []


# another program on the ports of the stack; it answers every request
OTHER_PROGRAM = """
import sys, http.server, threading
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
servers = [http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Handler) for port in sys.argv[1:]]
threads = [threading.Thread(target=server.serve_forever) for server in servers]
[thread.start() for thread in threads]
print("ready", flush=True)
"""


@pytest.fixture
def taken(tmp_path: Path) -> Iterator[Stack]:
    """A stack whose ports another program uses since the start."""
    found = Stack(tmp_path / "home", free_port(), free_port(), free_port())
    found.prepare()
    command = [sys.executable, "-c", OTHER_PROGRAM, str(found.mlflow_port), str(found.serving_port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as stranger:
        assert stranger.stdout and stranger.stdout.readline()
        yield found
        stranger.kill()


@pytest.mark.parametrize("stack", ["taken"], indirect=True)
def test_a_component_whose_port_is_taken_is_reported_down_even_if_it_fails_slowly(
    stack: Stack, supervised: Callable[..., Supervisor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each failed start takes 260 s, so there are never five ends within RESTART_WINDOW, and no state is FATAL."""
    monkeypatch.setattr(watch, "BACK_SECONDS", 0)
    supervisor = supervised({"mlflow": SLEEP})
    now = [0.0]
    messages: list[str] = []
    watching = Watch(stack, supervisor, messages.append, clock=lambda: now[0])
    pid = 0
    while not watching.down and now[0] < 5000:
        pid = running(supervisor, "mlflow", pid)
        watching.look()
        now[0] += 260
        if not watching.down:
            os.kill(pid, signal.SIGKILL)
    assert watching.down == ["mlflow"]
    why = "mlflow is down: it has ended 3 times in a row without having answered on its port; its port"
    assert f"{why} {stack.mlflow_port} is taken (held by" in messages[-1] and "The end of" in messages[-1]
    assert "was restarted" not in "".join(messages), "a new pid is not reported while another program has the port"
    eventually(lambda: state(supervisor, "mlflow").state == "STOPPED")
    now[0] += 10
    watching.look()
    running(supervisor, "mlflow")
    watching.look()
    assert watching.down == ["mlflow"], "it runs, but another program answers"


def test_a_component_that_ends_before_it_answers_shows_its_log_from_the_second_time(
    stack: Stack, supervised: Callable[..., Supervisor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "RESTARTS", 1)  # supervisord takes a second for each
    port = free_port()
    stack = Stack(stack.home, 18090, port, 18099)
    supervisor = supervised({"mlflow": program(stack, FORKING, str(port))})
    messages: list[str] = []
    now = [0.0]
    watching = Watch(stack, supervisor, messages.append, clock=lambda: now[0])

    def works() -> bool:
        watching.look()
        return watching._parts["mlflow"].works

    eventually(works)
    for _ in range(watch.RESTARTS + 2):  # it works each time before it ends
        pid = running(supervisor, "mlflow")
        os.kill(pid, signal.SIGKILL)
        running(supervisor, "mlflow", pid)
        eventually(works)
        now[0] += 260
    assert watching.down == [] and "The end of" not in "".join(messages)
    watching._parts["mlflow"].works = False
    os.kill(pid := running(supervisor, "mlflow"), signal.SIGKILL)
    running(supervisor, "mlflow", pid)
    watching.look()
    assert "It had not answered on its port before (1 in a row). The end of" in messages[-1]


@pytest.fixture
def environment_kept(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """`status` sets the variables of the stack for its process; later tests of this worker must not see them."""
    for name in environment.perennial_environment(stack):
        monkeypatch.setenv(name, os.environ.get(name, ""))


@pytest.mark.usefixtures("environment_kept")
@pytest.mark.parametrize("stack", ["taken"], indirect=True)
def test_another_program_that_answers_on_a_port_is_not_mistaken_for_a_server(
    stack: Stack, supervised: Callable[..., Supervisor], signals: StopSignals, capsys: pytest.CaptureFixture[str]
) -> None:
    supervised({"mlflow": SLEEP, "serving": SLEEP})
    messages: list[str] = []

    def waits() -> None:
        raise StackFailure("it waits")

    with pytest.raises(StackFailure, match="it waits"):
        Session(stack, signals).wait_for_servers(messages.append, waits)
    assert f"its port {stack.mlflow_port} is taken (held by" in messages[-1]
    with leftovers.locked(stack):
        status.status(stack)
    assert f"; its port {stack.serving_port} is taken (held by" in capsys.readouterr().out


def test_a_failed_start_of_a_component_is_retried(
    stack: Stack, supervised: Callable[..., Supervisor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "BACK_SECONDS", 0)
    supervisor = supervised({"victim": SLEEP})
    now = [100.0]
    messages: list[str] = []
    watching = Watch(stack, supervisor, messages.append, clock=lambda: now[0])
    supervisor.stop_one("victim")
    eventually(lambda: state(supervisor, "victim").stopped)
    watching._parts["victim"] = watch.Part(down_since=0.0, retry_at=50.0)

    def refused(name: str) -> None:
        raise TransientError("supervisord does not answer: timed out")

    with monkeypatch.context() as patch:
        patch.setattr(supervisor, "start", refused)
        watching.look()
    assert "victim is still down: supervisord does not answer" in messages[-1]
    now[0] += 100
    watching.look()
    running(supervisor, "victim")
    watching.look()
    assert watching.down == []


def test_a_component_whose_stop_failed_is_not_reported_down_forever(
    stack: Stack, supervised: Callable[..., Supervisor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "BACK_SECONDS", 0)
    supervisor = supervised({"victim": SLEEP})
    running(supervisor, "victim")
    watching = Watch(stack, supervisor, lambda _: None, clock=lambda: 100.0)
    watching._parts["victim"] = watch.Part(down_since=0.0, retry_at=50.0)
    watching.look()
    watching.look()
    assert watching.down == []


def test_children_of_a_killed_component_end_before_it_starts_again(
    stack: Stack, supervised: Callable[..., Supervisor]
) -> None:
    port = free_port()
    supervisor = supervised({"server": program(stack, FORKING, str(port)), "other": SLEEP})
    other = running(supervisor, "other")

    def answering() -> int:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                return int(connection.recv(20))
        except (OSError, ValueError):
            return 0

    eventually(answering)
    first = running(supervisor, "server")
    (child,) = psutil.Process(first).children()
    (grandchild,) = eventually(child.children)
    os.kill(first, signal.SIGKILL)  # the children keep the port; the grandchild is in another group
    assert os.getpgid(grandchild.pid) != os.getpgid(child.pid)
    second = running(supervisor, "server", first)
    assert psutil.wait_procs([child, grandchild], timeout=30)[1] == []
    eventually(lambda: answering() and {p.pid for p in psutil.Process(second).children(recursive=True)})
    assert running(supervisor, "other") == other, "a component that has not ended is not touched"
    assert spawn.orphans(int(supervisor.stack.recorded()["supervisor_pid"])) == []  # type: ignore[call-overload]


def test_a_killed_supervisord_ends_the_stack_with_one_clear_message(
    stack: Stack, supervised: Callable[..., Supervisor], signals: StopSignals
) -> None:
    supervised({"victim": SLEEP})
    session = Session(stack, signals)
    leader = psutil.Process(int(stack.recorded()["supervisor_pid"]))  # type: ignore[call-overload]
    session._process = subprocess.Popen(SLEEP)
    session.check()
    session._process.kill()
    session._process.wait()
    with pytest.raises(StackFailure, match=r"supervisord has ended \(signal SIGKILL\).*Run `make run` again"):
        session.check()
    assert leader.is_running()
    session.stop()
    assert leftovers.find(stack) == []


def test_a_supervisord_that_is_killed_later_is_restarted_with_the_model_server_first(
    stack: Stack, supervised: Callable[..., Supervisor], signals: StopSignals, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervised({"serving": SLEEP, "other": SLEEP})
    leftovers.clean(stack, patience=0)
    session = Session(stack, signals)
    session.launch(stack.run / "supervisord.conf")
    supervisor = session._supervisor
    for name in ("postgres", "serving", "other"):
        supervisor.start(name)
    before = {name: running(supervisor, name) for name in ("postgres", "serving", "other")}
    there: list[str] = []

    def ready(stack: Stack, check: Callable[[], None]) -> None:
        check()
        there.extend(found.name for found in supervisor.states() if found.pid)

    monkeypatch.setattr(postgres, "wait_until_ready", ready)
    monkeypatch.setattr(session_module, "RELAUNCHES", 2)
    messages: list[str] = []
    session.say = messages.append
    for _ in range(session_module.RELAUNCHES):
        assert session._process
        session._process.kill()
        session._process.wait()
        session.check()
        after = {name: running(supervisor, name, pid) for name, pid in before.items()}
        assert {process.pid for process in leftovers.find(stack)} == {session._process.pid, *after.values()}
        assert sorted(there) == ["postgres", "serving"], "the model server does not wait for the database"
        before = after
        there.clear()
    assert session._process
    assert "supervisord has ended (signal SIGKILL): it is restarted, with everything else" in messages[0]
    session._process.kill()
    session._process.wait()
    with pytest.raises(StackFailure, match="Run `make run` again"):
        session.check()
    session.stop()
    assert leftovers.find(stack) == []


@pytest.mark.usefixtures("environment_kept")
def test_status_while_starting_shows_neither_a_pid_nor_a_raw_error(
    stack: Stack, supervised: Callable[..., Supervisor], capsys: pytest.CaptureFixture[str]
) -> None:
    with leftovers.locked(stack):
        assert status.status(stack) == 1
        assert "is starting or stopping" in capsys.readouterr().out
        supervised({"serving": SLEEP})
        assert status.status(stack) == 1
    output = capsys.readouterr().out
    assert "postgres                 not started yet" in output
    assert "the model server does not answer: running, pid" in output or "does not answer: starting, pid" in output
    assert "Error" not in output and " pid 0 " not in output
    assert "The ledger does not answer" in output and "Airflow's runs cannot be read" in output
    assert "toy:" in output and "UNKNOWN; what serves is not known" in output
