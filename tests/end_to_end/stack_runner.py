"""Starts the whole stack as a user does, reads what it prints, and finds all its processes."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from include.stack.airflow_answers import Run
from include.stack.airflow_api import AirflowApi
from include.stack.layout import Stack

ROOT = Path(__file__).parent.parent.parent
LIMIT = 600.0  # seconds for a run; ends a test that hangs
TERMINAL_UMASK = 0o022  # that of most terminals; the file modes in a home do not depend on it
READY = re.compile(r"^State is in ", re.MULTILINE)
ALL_TRIED = re.compile(r"^(\d+) of (\d+) models serve", re.MULTILINE)


def outside() -> dict[str, str]:
    """Return the environment of a person's terminal, without variables of this test run, of a stack or of `make`."""
    ours = ("AIRFLOW", "PERENNIAL", "MLFLOW", "PYTHONPATH", "MAKE", "MFLAGS")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def clone_project(target: Path) -> None:
    """Clone the committed project into a new folder, with the changes of the work tree."""
    subprocess.run(["git", "clone", "--quiet", "--no-local", str(ROOT), str(target)], check=True)
    listed = ["git", "ls-files", "--modified", "--others", "--exclude-standard", "-z"]
    changed = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, changed.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
        else:
            (target / name).unlink(missing_ok=True)


@dataclass
class Running:
    """A stack that was started in the foreground, in a separate process group as in a terminal."""

    home: Path
    ports: tuple[int, int, int]
    command: list[str]
    folder: Path = ROOT
    variables: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None
    started: float = 0.0
    lines: list[str] = field(default_factory=list)

    def start(self) -> Running:
        """Start the stack and return at once."""
        airflow, mlflow, serving = map(str, self.ports)
        ours = {
            "PERENNIAL_HOME": str(self.home),
            "AIRFLOW_PORT": airflow,
            "MLFLOW_PORT": mlflow,
            "SERVING_PORT": serving,
        }
        self.lines.clear()
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            self.command,
            cwd=self.folder,
            env=outside() | ours | dict(self.variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            umask=TERMINAL_UMASK,
        )
        self._reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
        self._reader.start()
        return self

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.lines.append(line)

    @property
    def output(self) -> str:
        return "".join(self.lines)

    def until_ready(self, seconds: float) -> float:
        """Wait for the summary, printed when the first model serves; return the seconds since the start."""
        self._await(READY, seconds)
        return time.monotonic() - self.started

    def until_all_serve(self, seconds: float) -> float:
        """Wait until every model serves; return the seconds since the start."""
        found = self._await(ALL_TRIED, seconds)
        assert found[1] == found[2], self.output
        return time.monotonic() - self.started

    def until_serves(self, model: str, seconds: float) -> None:
        """Wait until this model serves. Models of lower priority follow while tests already run."""
        self._await(re.compile(rf"^{model}: version \d+ serves", re.MULTILINE), seconds)

    def _await(self, line: re.Pattern[str], seconds: float) -> re.Match[str]:
        deadline = time.monotonic() + seconds
        while not (found := line.search(self.output)):
            assert self.process is not None
            assert self.process.poll() is None, f"ended with {self.process.returncode}:\n{self.output}"
            assert time.monotonic() < deadline, f"no {line.pattern!r} after {seconds} s:\n{self.output}"
            time.sleep(0.1)
        return found

    def curl_line(self) -> str:
        """Return the first `curl` line that was printed."""
        return self.curl_lines()[0]

    def curl_lines(self) -> list[str]:
        """Return the `curl` lines that were printed, one for each model that serves."""
        return [line.strip() for line in self.lines if line.startswith("curl ")]

    def terminal(self, *arguments: str) -> str:
        """Run a module of the project as a person would in a second terminal; returns what it printed.

        Raises
        ------
        AssertionError : its exit status is not 0.
        """
        ports = dict(zip(("AIRFLOW_PORT", "MLFLOW_PORT", "SERVING_PORT"), map(str, self.ports), strict=True))
        done = subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=ROOT,
            env=outside() | dict(self.variables) | ports | {"PERENNIAL_HOME": str(self.home)},
            capture_output=True,
            text=True,
            timeout=1800,
            umask=TERMINAL_UMASK,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def until_ended(self, seconds: float) -> int:
        """Wait until the command has ended and all its output was read; return its exit status."""
        assert self.process is not None
        status = self.process.wait(seconds)
        self._reader.join(10)  # not longer: a process that it has left behind can keep the pipe open
        return status

    def interrupt(self, number: int = signal.SIGINT, seconds: float = 20) -> float:
        """Send a signal to the whole group, as a terminal does; return the seconds until the stack has ended."""
        assert self.process is not None
        began = time.monotonic()
        os.killpg(self.process.pid, number)
        self.process.wait(seconds)
        return time.monotonic() - began

    def processes(self) -> list[psutil.Process]:
        """Return every living process of this stack, found by its home in the environment or the command line."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                    continue
                if process.environ().get("PERENNIAL_HOME") == str(self.home) or str(self.home) in " ".join(
                    process.cmdline()
                ):
                    found.append(process)
        return found

    def kill_everything(self) -> None:
        """Run ``kill -9`` on every process, including PostgreSQL and the driver."""
        for _ in range(5):
            for process in self.processes():
                with contextlib.suppress(psutil.Error):
                    process.kill()
            time.sleep(0.2)
        assert self.process is not None
        self.process.wait(10)

    def end(self) -> None:
        """Stop the stack in any state; for the end of a test."""
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired, ProcessLookupError):
                self.interrupt(signal.SIGTERM, 30)
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()

    @property
    def stack(self) -> Stack:
        return Stack(Path(os.path.realpath(self.home)), *self.ports)


class Api(AirflowApi):
    """Airflow's API with methods that only tests need."""

    def trigger_and_wait(
        self, dag_id: str, run_id: str, conf: dict[str, Any] | None = None, seconds: float = LIMIT, **body: Any
    ) -> Run:
        """Start a run, wait until it has ended, and return it, whatever its state."""
        request = {"dag_run_id": run_id, "logical_date": None, "conf": conf or {}} | body
        self._send("POST", f"/dags/{dag_id}/dagRuns", json=request)
        return self.wait(dag_id, run_id, seconds)

    def wait(self, dag_id: str, run_id: str, seconds: float = LIMIT) -> Run:
        """Wait until the run has ended, and return it."""
        deadline = time.monotonic() + seconds
        while True:
            run = self.run(dag_id, run_id)
            if run is not None and run.state in ("success", "failed"):
                return run
            assert time.monotonic() < deadline, (
                f"{dag_id} {run_id} is {run and run.state}: {self.states(dag_id, run_id)}"
            )
            time.sleep(0.3)

    def states(self, dag_id: str, run_id: str) -> dict[str, str | None]:
        """Return the state of each task; mapped tasks are named ``train[0]``."""
        return {t.name: t.state for t in self.tasks(dag_id, run_id)}

    def tries(self, dag_id: str, run_id: str) -> dict[str, int]:
        """Return the number of the last try of each task; mapped tasks are named ``train[0]``."""
        return {t.name: t.try_number for t in self.tasks(dag_id, run_id)}

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        """Return one XCom value."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        return self._send("GET", path, params={"map_index": map_index, "deserialize": True}).json()["value"]

    def log(self, dag_id: str, run_id: str, task_id: str, attempt: int = 1, map_index: int = -1) -> str:
        """Return the log of one try as text."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{attempt}"
        content = self._send("GET", path, params={"map_index": map_index, "full_content": True}).json()["content"]
        lines = []
        for line in content:
            lines.append(str(line.get("event", line)) if isinstance(line, dict) else str(line))
            for error in (line.get("error_detail") or []) if isinstance(line, dict) else []:
                lines.append(f"{error['exc_type']}: {error['exc_value']}")
        return "\n".join(lines)

    def page(self, path: str, token: bool = True) -> tuple[int, str]:
        """Return the status and text of a page outside of ``/api/v2``, with or without the login."""
        if not self._token:
            self._login()
        headers = {"Authorization": f"Bearer {self._token}"} if token else {}
        answer = self._client.get(path, headers=headers)
        return answer.status_code, answer.text


@contextlib.contextmanager
def in_environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set a stack's variables for `include.settings` until the end of the block."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
