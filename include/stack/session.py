"""One running stack, from the first process to the last: start, watch, stop."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import httpx

from include.errors import PerennialError, TransientError
from include.stack import components, confidential, environment, leftovers, migrations, postgres, roles, supervision
from include.stack.airflow_api import AirflowApi
from include.stack.layout import Stack
from include.stack.progress import Progress, Report
from include.stack.signals import StopSignals

START_SECONDS = 120.0
RESTARTS = 4  # of one component within RESTART_WINDOW seconds: more is not bad luck
RESTART_WINDOW = 180.0


class StackFailure(PerennialError):
    """A process of the stack dies again and again, or does not come up."""


class Background:
    """A function that runs beside the main thread; its error is raised by `join`."""

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
        """Wait; ``check`` is asked meanwhile and may raise."""
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
        self.ended = threading.Event()  # set when it is being stopped: what runs beside the main thread gives up
        self._process: subprocess.Popen[bytes] | None = None
        self._supervisor = supervision.Supervisor(stack)
        self._pids: dict[str, int] = {}
        self._restarts: dict[str, list[float]] = defaultdict(list)
        self._checked = 0.0

    def start(self, progress: Progress) -> None:
        """Start everything; returns when Airflow's API answers and its scheduler lives."""
        stack = self.stack
        with progress.step("PostgreSQL"):
            fresh = postgres.prepare(stack)
            if fresh:
                migrations.forget(stack)
            configuration = stack.run / "supervisord.conf"
            services = [confidential.prepared(stack, service) for service in components.services(stack)]
            configuration.write_text(components.supervisor_configuration(stack, postgres.component(stack), services))
            with self.signals.held():
                self._process = supervision.launch(stack, configuration, self.environment)
                stack.record(**leftovers.identity(self._process.pid))
            self._supervisor.start("postgres")
            postgres.wait_until_ready(stack)
            roles.prepare(stack)
        with progress.step("databases"):
            self._supervisor.start("serving")
            airflow = Background(migrations.migrate_airflow, stack)
            mlflow = Background(self._start_mlflow)
            perennial = Background(migrations.migrate_perennial)
            for part in (airflow, mlflow, perennial):
                part.join(self.check)
        with progress.step("Airflow") as report:
            # the imports of all of them at once would keep the processor busy: what the first step needs comes first
            later = ["airflow-triggerer"] + ([] if fresh else ["airflow-dag-processor"])
            for service in services:
                if service.name not in later:
                    self._supervisor.start(service.name)
            self.wait_for_airflow(report, ("metadatabase", "scheduler"))
            for name in later:
                self._supervisor.start(name)

    def _start_mlflow(self) -> None:
        migrations.upgrade_mlflow(self.stack)
        self._supervisor.start("mlflow")
        migrations.mark(self.stack, "mlflow")

    def wait_for_airflow(self, report: Report, parts: tuple[str, ...]) -> None:
        """Wait until these parts of Airflow say that they are healthy."""
        api = AirflowApi(self.stack)

        def missing() -> list[str]:
            try:
                health = api.health()
            except PerennialError:
                return ["api-server"]
            return [part for part in parts if health.get(part) != "healthy"]

        self._wait(missing, report, self.check)

    def wait_for_servers(self, report: Report, check: Callable[[], None] | None = None) -> None:
        """Wait until MLflow and the model server answer; ``check`` as of `Follower` (default: our own)."""
        urls = {"mlflow": f"{self.stack.mlflow_url}/health", "serving": f"{self.stack.serving_url}/health/live"}

        def missing() -> list[str]:
            return [name for name, url in urls.items() if not answers(url)]

        self._wait(missing, report, check or self.check)

    def _wait(self, missing: Callable[[], list[str]], report: Report, check: Callable[[], None]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while waiting := missing():
            report(f"waiting for {', '.join(waiting)}")
            check()
            if time.monotonic() > deadline:
                logs = "\n".join(f"{log}:\n{supervision.tail(log)}" for log in self._logs(waiting))
                raise StackFailure(f"{', '.join(waiting)} did not come up within {START_SECONDS:.0f} s\n{logs}")
            time.sleep(0.2)

    def _logs(self, parts: list[str]) -> list[Any]:
        names = {
            "api-server": "airflow-api-server",
            "metadatabase": "postgres",
            "dag_processor": "airflow-dag-processor",
        }
        found = [names.get(part, part if part in ("mlflow", "serving") else f"airflow-{part}") for part in parts]
        return [self.stack.logs / f"{name}.log" for name in found]

    def check(self) -> None:
        """Raise when the stack cannot go on; cheap, so ask often.

        Raises
        ------
        StackFailure : supervisord is gone, or a process ends again and again; with the end of its log.
        """
        self.signals.check_parent()
        now = time.monotonic()
        if now - self._checked < 0.5:
            return
        self._checked = now
        if self._process is not None and self._process.poll() is not None:
            log = self.stack.logs / "supervisord.log"
            raise StackFailure(
                f"supervisord has ended (exit {self._process.returncode}); {log}:\n{supervision.tail(log)}"
            )
        try:
            states = self._supervisor.states()
        except TransientError:
            return
        for state in states:
            if state.running and state.pid:
                if self._pids.get(state.name, state.pid) != state.pid:
                    self._restarts[state.name].append(now)
                self._pids[state.name] = state.pid
            recent = [moment for moment in self._restarts[state.name] if now - moment < RESTART_WINDOW]
            if state.given_up or len(recent) > RESTARTS:
                log = self.stack.logs / f"{state.name}.log"
                raise StackFailure(
                    f"{state.name} ends again and again (last exit status {state.exit_status}); "
                    f"the end of {log}:\n{supervision.tail(log)}"
                )

    def stop(self) -> None:
        """Stop everything in order, PostgreSQL last, and whatever is left in the session after that."""
        self.ended.set()
        self.signals.stopping(self._kill)
        if self._process is not None:
            supervision.stop(self._process, 14)
        leftovers.clean(self.stack, patience=0)

    def _kill(self) -> None:
        leftovers.kill(self.stack)


def answers(url: str) -> bool:
    """Whether a GET of this URL succeeds now."""
    try:
        return httpx.get(url, timeout=5, trust_env=False).is_success
    except httpx.HTTPError:
        return False
