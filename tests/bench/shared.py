"""What the parts of `make bench` share: one stack in its own home, and plain processes to compare it with."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import include.models
from include import catalog
from include.stack import confidential, environment
from tests.end_to_end.stack_runner import ROOT, Api, Running, in_environment
from tests.services import free_port

READY_SECONDS = 1800.0  # high: a busy machine is not an error
RUN_SECONDS = 3600.0
LONGEST_LOG = 3000


class Bench(contextlib.ExitStack):
    """One run of `make bench`. The stack is started by the first part that needs it.

    Parameters
    ----------
    asked : the number of rounds; None: that of each part.
    """

    def __init__(self, asked: int | None = None) -> None:
        super().__init__()
        self._asked = asked
        self._failed = ""

    def rounds(self, default: int) -> int:
        return self._asked or default

    def say(self, text: str) -> None:
        """Report progress; the table is printed last."""
        print(text, flush=True)

    @cached_property
    def folder(self) -> Path:
        """A temporary folder with a short name, because a Unix socket's path has about 100 characters."""
        made = Path(tempfile.mkdtemp(prefix="prn-bench-", dir="/tmp"))
        self.callback(shutil.rmtree, made, ignore_errors=True)
        return made

    @cached_property
    def models(self) -> Path:
        """A folder of models that the stack looks into, and `include.catalog` of this process as well."""
        made = self.folder / "models"
        made.mkdir()
        include.models.__path__.append(str(made))
        self.callback(include.models.__path__.remove, str(made))
        return made

    @cached_property
    def running(self) -> Running:
        """A stack with a champion of the first model of the project, which is all that the parts need.

        Raises
        ------
        RuntimeError : it did not start, now or for an earlier part.
        """
        if self._failed:
            raise RuntimeError(f"the stack could not be started: {self._failed}")
        command = [sys.executable, "-m", "include.stack", "run", "--model", catalog.by_priority()[0].name]
        variables = {"PERENNIAL_MODELS": str(self.models)}
        made = Running(self.folder / "home", free_ports(), command, variables=variables)
        self.say("starting a stack ...")
        self.callback(stop, made.start())
        try:
            self.say(f"its champion serves after {made.until_all_serve(READY_SECONDS):.0f} s")
        except AssertionError as error:
            self._failed = str(error)
            raise RuntimeError(f"the stack did not start: {error}") from error
        self.enter_context(in_environment(self.variables(made)))
        return made

    @cached_property
    def api(self) -> Api:
        return Api(self.running.stack)

    def variables(self, running: Running) -> dict[str, str]:
        """The variables with which `include` in this process works on the stack."""
        return environment.perennial_environment(running.stack) | dict(running.variables)

    @contextlib.contextmanager
    def plain(self, **changes: str) -> Iterator[Plain]:
        """A plain process with the environment of a task of the stack; ``changes`` replace some of it."""
        own = environment.child_environment(self.running.stack, sys.executable, confidential.SCHEDULER)
        with plain(own | dict(self.running.variables) | changes, self.folder / "plain.log") as process:
            yield process


def free_ports() -> tuple[int, int, int]:
    return free_port(), free_port(), free_port()


def stop(running: Running) -> None:
    """Stop a stack as Ctrl-C does, and end what is left."""
    with contextlib.suppress(subprocess.TimeoutExpired, ProcessLookupError):
        if running.process is not None and running.process.poll() is None:
            running.interrupt(seconds=60)
    running.end()


class Plain:
    """A process of `tests.bench.plain`: all imports are done, and it works on one request after the other."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process, self._log = process, log

    def ask(self, task: str, **arguments: Any) -> Any:
        """The result of a task.

        Raises
        ------
        RuntimeError : the process has ended; with the end of its log.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps({"task": task, **arguments}) + "\n")
            self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("RESULT "):
                return json.loads(line.removeprefix("RESULT "))
        raise RuntimeError(f"the plain process has ended:\n{self._log.read_text()[-LONGEST_LOG:]}")


@contextlib.contextmanager
def plain(variables: Mapping[str, str], log: Path) -> Iterator[Plain]:
    """Start a plain process and end it with the block."""
    with open(log, "w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.plain"],
            cwd=ROOT,
            env={**os.environ, **variables, "PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        made = Plain(process, log)
        made.ask("ready")
        yield made
    finally:
        process.kill()
        process.wait()


def seconds_between(earlier: str | None, later: str | None) -> float:
    """The seconds between two ISO times."""
    first, second = (datetime.fromisoformat(t or "") for t in (earlier, later))
    return (second - first).total_seconds()


def wall(api: Api, dag_id: str, run_id: str, conf: Mapping[str, Any]) -> float:
    """Run a DAG; the seconds from the start of its run to the end of its last task.

    Raises
    ------
    RuntimeError : the run failed; with the state of each task.
    """
    run = api.trigger_and_wait(dag_id, run_id, dict(conf), seconds=RUN_SECONDS)
    if run.state != "success":
        raise RuntimeError(f"{dag_id} {run_id} has failed: {api.states(dag_id, run_id)} {run.note}")
    tasks = [t for t in api.tasks(dag_id, run_id) if t.state == "success"]
    return seconds_between(run.start_date, max(t.end_date or "" for t in tasks))
