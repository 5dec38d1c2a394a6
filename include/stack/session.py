"""One running stack, from the first process to the last: start, watch, stop."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx

from include.errors import PerennialError, TransientError
from include.partitions import utc_now
from include.progress import Progress, Report
from include.stack import (
    components,
    confidential,
    environment,
    leftovers,
    migrations,
    ports,
    postgres,
    roles,
    supervision,
)
from include.stack.airflow_api import AirflowApi
from include.stack.layout import Stack
from include.stack.signals import StopSignals
from include.stack.watch import Watch

T = TypeVar("T")
LOOK_SECONDS = 0.5  # between two looks at the components
RELAUNCHES = 4  # of supervisord within RELAUNCH_WINDOW seconds; more are not a coincidence
RELAUNCH_WINDOW = 600.0
FIRST = {"serving": 0, "postgres": 1}  # the order of a restart; the model server needs no database
# the component behind a part that is waited for, if it is not airflow-<part>
COMPONENTS = {
    "metadatabase": "postgres",
    "mlflow": "mlflow",
    "serving": "serving",
    "dag_processor": "airflow-dag-processor",
}


class StackFailure(PerennialError):
    """The stack cannot continue: supervisord has ended, or PostgreSQL never came up."""


class Background:
    """A function that runs in its own thread; `join` raises its error."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(function, arguments), daemon=True)
        self._thread.start()

    def _run(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        try:
            function(*arguments)
        except BaseException as error:
            self._error = error

    def join(self, check: Callable[[], None]) -> None:
        """Wait; ``check`` is called in the meantime and can raise."""
        while self._thread.is_alive():
            self._thread.join(0.1)
            check()
        if self._error is not None:
            raise self._error


class Session:
    """The processes of one `run`."""

    def __init__(self, stack: Stack, signals: StopSignals) -> None:
        self.stack = stack
        self.signals = signals
        self.environment = environment.common_environment(stack, sys.executable)  # of supervisord: no secret
        self.ended = threading.Event()  # set when the stack is being stopped, so that other threads give up
        self._process: subprocess.Popen[bytes] | None = None
        self._supervisor = supervision.Supervisor(stack)
        self.say: Callable[[str], None] | None = None  # to the terminal; None while the stack starts
        self._relaunched: list[float] = []
        self._since = utc_now()

    def start(self, progress: Progress) -> None:
        """Start everything; returns when Airflow's API answers and its scheduler is healthy."""
        stack = self.stack
        with progress.step("PostgreSQL"):
            fresh = postgres.prepare(stack)
            if fresh:
                migrations.forget(stack)
            configuration = stack.run / "supervisord.conf"
            services = [confidential.prepared(stack, service) for service in components.services(stack)]
            configuration.write_text(components.supervisor_configuration(stack, postgres.component(stack), services))
            self.launch(configuration)
            self._supervisor.start("postgres")
            postgres.wait_until_ready(stack, self._check_first)
            roles.prepare(stack)
        Background(self._keep_watch, Watch(stack, self._supervisor, progress.say), progress)
        with progress.step("databases"):
            self._supervisor.start("serving")
            airflow = Background(self._surviving, migrations.migrate_airflow, stack)
            mlflow = Background(self._surviving, self._start_mlflow)
            perennial = Background(self._surviving, migrations.migrate_perennial)
            for part in (airflow, mlflow, perennial):
                part.join(self.check)
        with progress.step("Airflow") as report:
            # imports of all components at once keep the processor busy, so the components of the first step start first
            later = ["airflow-triggerer"] + ([] if fresh else ["airflow-dag-processor"])
            for service in services:
                if service.name not in later:
                    self._supervisor.start(service.name)
            self.wait_for_airflow(report, ("metadatabase", "scheduler"))
            for name in later:
                self._supervisor.start(name)
        self.say = progress.say

    def launch(self, configuration: Path) -> None:
        """Start supervisord, without any component yet."""
        with self.signals.held():
            self._process = supervision.launch(self.stack, configuration, self.environment)
            self.stack.record(**leftovers.identity(self._process.pid))
        supervision.wait_until_it_answers(self.stack, self._process, self.signals.check_parent)
        self._supervisor.reconnect()

    def _relaunch(self, why: str) -> None:
        """Start a supervisord that was killed, and everything, the model server first.

        Its processes survive, but another supervisord cannot supervise them, so they are ended. The models are
        unavailable for some seconds.
        """
        self._relaunched = [t for t in self._relaunched if time.monotonic() - t < RELAUNCH_WINDOW] + [time.monotonic()]
        if self.say is None or len(self._relaunched) > RELAUNCHES:
            log = self.stack.logs / "supervisord.log"
            raise StackFailure(
                f"{why}, so nothing can be restarted: everything is stopped. Run `make run` again. "
                f"The end of {log}:\n{supervision.tail(log)}"
            )
        self.say(f"\n{why}: it is restarted, with everything else; the model server comes first.\n")
        leftovers.clean(self.stack, patience=0)
        self.launch(self.stack.run / "supervisord.conf")
        names = [state.name for state in self._supervisor.states()]
        for name in sorted(names, key=lambda name: FIRST.get(name, len(FIRST))):
            with contextlib.suppress(TransientError):  # it is retried, or supervisord has ended again
                self._supervisor.start(name)
            if name == "postgres":
                postgres.wait_until_ready(self.stack, self.check)

    def _keep_watch(self, watch: Watch, progress: Progress) -> None:
        reported = ""
        while not self.ended.wait(LOOK_SECONDS):
            try:
                watch.look()
            except Exception as error:  # an error in here must not end the stack or the watch
                if repr(error) != reported:
                    reported = repr(error)
                    progress.say(f"warning: the components could not be checked: {reported}")

    def _surviving(self, migration: Callable[..., None], *arguments: Any) -> None:
        """Run a migration, and repeat it if PostgreSQL was restarted in the meantime; migrations can be repeated."""
        while True:
            before = self._pid_of("postgres")
            try:
                return migration(*arguments)
            except Exception:
                postgres.wait_until_ready(self.stack, self.check_ended)
                if self._pid_of("postgres") == before:
                    raise

    def _pid_of(self, name: str) -> int:
        return next((state.pid for state in self._supervisor.states() if state.name == name), 0)

    def check_ended(self) -> None:
        """Raise when the stack is being stopped; for threads other than the main one."""
        if self.ended.is_set():
            raise StackFailure("the stack is being stopped")

    def _start_mlflow(self) -> None:
        migrations.upgrade_mlflow(self.stack)
        self._supervisor.start("mlflow")
        migrations.mark(self.stack, "mlflow")

    def wait_for_airflow(self, report: Report, parts: tuple[str, ...]) -> None:
        """Wait until these parts of Airflow report that they are healthy."""
        api = AirflowApi(self.stack)

        def missing() -> list[str]:
            try:
                health = api.health(self._since)
            except PerennialError:
                return ["api-server"]
            if ports.taken(self.stack, "airflow-api-server"):
                return ["api-server"]
            return [part for part in parts if health.get(part) != "healthy"]

        self._wait(missing, report, self.check)

    def wait_for_servers(self, report: Report, check: Callable[[], None] | None = None) -> None:
        """Wait until MLflow and the model server answer; ``check`` as in `Follower` (default: our own)."""
        urls = {"mlflow": f"{self.stack.mlflow_url}/health", "serving": f"{self.stack.serving_url}/health/live"}

        def missing() -> list[str]:
            return [name for name, url in urls.items() if not answers(url) or ports.taken(self.stack, name)]

        self._wait(missing, report, check or self.check)

    def _wait(self, missing: Callable[[], list[str]], report: Report, check: Callable[[], None]) -> None:
        """Wait for these parts without a deadline: the watch reports and restarts what is down."""
        while waiting := missing():
            report(f"waiting for {', '.join(self._described(part) for part in waiting)}")
            check()
            time.sleep(0.2)
        report("")

    def _described(self, part: str) -> str:
        """A part of Airflow, or a server, with the state of its process: "scheduler (running, pid 12, 34 s)"."""
        component = COMPONENTS.get(part, f"airflow-{part}")
        try:
            found = next((state for state in self._supervisor.states() if state.name == component), None)
        except TransientError:
            found = None
        taken = ports.taken(self.stack, component)
        return f"{part} ({found.described}{taken})" if found else f"{part}{taken}"

    def check(self) -> None:
        """Raise when the stack cannot continue; cheap, so call it often.

        Raises
        ------
        StackFailure : supervisord ends while the stack starts, or repeatedly (with the end of its log). Otherwise it
            is restarted.
        """
        self.signals.check_parent()
        if self._process is not None and self._process.poll() is not None:
            self._relaunch(f"supervisord has ended ({_ended(self._process.returncode)})")

    def _check_first(self) -> None:
        """Nothing serves before PostgreSQL has started, so a PostgreSQL that cannot start ends the stack."""
        self.check()
        try:
            states = self._supervisor.states()
        except TransientError:
            return
        for state in states:
            if state.given_up:
                log = self.stack.logs / f"{state.name}.log"
                raise StackFailure(f"{state.name} does not start; the end of {log}:\n{supervision.tail(log)}")

    def stop(self) -> None:
        """Stop everything in order, PostgreSQL last, and then end all other processes of the session."""
        self.give_up()
        if self._process is not None:
            supervision.stop(self._process, 14)
        leftovers.clean(self.stack, patience=0)

    def give_up(self) -> None:
        """End the other threads. After this call, a signal kills every process of the stack."""
        self.ended.set()
        self.signals.stopping(self._kill)

    def _kill(self) -> None:
        leftovers.kill(self.stack)


def patiently(call: Callable[[], T], check: Callable[[], None]) -> T:
    """Call, and repeat while a service is unreachable; ``check`` raises if waiting has become pointless."""
    while True:
        try:
            return call()
        except TransientError:
            check()
        time.sleep(LOOK_SECONDS)


def answers(url: str) -> bool:
    """Whether a GET of this URL succeeds now."""
    try:
        return httpx.get(url, timeout=30, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _ended(code: int) -> str:
    """How a process ended: "exit status 2", "signal SIGKILL"."""
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
