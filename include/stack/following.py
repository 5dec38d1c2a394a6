"""Starts and follows the DAG runs of a model through Airflow's API: loading, retraining, releasing."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from include.errors import PerennialError, TransientError
from include.partitions import Partition, newest_closed, utc_now
from include.progress import Advance, Report
from include.spec import Model
from include.stack.airflow_answers import Run, Task
from include.stack.airflow_api import TERMINAL, AirflowApi, Away

POLL_SECONDS = 1.0
SHOWN = 5  # days of a list that are shown
REFUSALS = 60  # consecutive error answers of the API before following gives up


T = TypeVar("T")


class RunFailed(PerennialError):
    """A DAG run ended badly; the message names the task and its last log line."""


@dataclass(frozen=True)
class Outcome:
    """How a night ended: one sentence, and the decision (promoted, rejected, held, skipped)."""

    sentence: str
    verdict: str
    version: int | None = None


def nothing() -> None:
    """A check that always passes."""


class Runs:
    """Starts and follows runs of any DAG.

    Parameters
    ----------
    check : called at every poll; raises when waiting has become pointless (a process of the stack has ended).
    """

    def __init__(self, api: AirflowApi, check: Callable[[], None] = nothing) -> None:
        self.api = api
        self.check = check

    def act(
        self, dag_id: str, run_id: str, report: Report, conf: Mapping[str, object] | None = None, unpause: bool = False
    ) -> Run:
        """Start (or find again) a run of a DAG and follow it to its end; returns it if it succeeded.

        Raises
        ------
        RunFailed : a task failed; or the DAG is paused (its runs would wait forever) and ``unpause`` is not given.
        """
        self.patiently(lambda: self.api.trigger(dag_id, run_id, conf))
        dag = self.patiently(lambda: self.api.dag(dag_id))
        if dag and dag.is_paused:
            if not unpause:
                raise RunFailed(f"{dag_id} is paused in Airflow: unpause it there; run {run_id} waits for that.")
            self.patiently(lambda: self.api.unpause(dag_id))
        return self.follow(dag_id, run_id, report)

    def follow(self, dag_id: str, run_id: str, report: Report) -> Run:
        """Wait for the end of a run; returns it if it succeeded."""
        while True:
            run = self.patiently(lambda: self.api.run(dag_id, run_id))
            if run is None:
                raise RunFailed(f"{dag_id}: run {run_id} has disappeared from Airflow.")
            tasks = self.patiently(lambda: self.api.tasks(dag_id, run_id))
            report(f"{dag_id}: {describe(tasks)}")
            if run.state in TERMINAL:
                break
            self.pause()
        if run.state == "failed":
            raise RunFailed(self._failure(dag_id, run_id, tasks))
        return run

    def _failure(self, dag_id: str, run_id: str, tasks: list[Task]) -> str:
        failed = [t for t in tasks if t.state == "failed"]
        if not failed:
            return f"{dag_id}: run {run_id} failed without a failed task (timed out?)"
        first = min(failed, key=lambda t: t.end_date or "9")
        line = self.patiently(lambda: self.api.last_log_line(first))
        return f"{dag_id}: task {first.name} failed (run {run_id}): {line}"

    def patiently(self, call: Callable[[], T]) -> T:
        """Call, and repeat while the API is away, for any length of time: `check` decides whether waiting is pointless.

        An API that answers with errors gets `REFUSALS` calls: they are counted, not timed.
        """
        refusals = 0
        while True:
            try:
                return call()
            except Away:
                refusals = 0
            except TransientError:
                refusals += 1
                if refusals > REFUSALS:
                    raise
            self.pause()

    def pause(self) -> None:
        """Wait until the next poll; raises if waiting has become pointless."""
        self.check()
        time.sleep(POLL_SECONDS)


class Follower(Runs):
    """Follows the runs of one model; ``check`` as in `Runs`."""

    def __init__(self, api: AirflowApi, model: Model, check: Callable[[], None] = nothing) -> None:
        super().__init__(api, check)
        self.model = model

    def url(self, kind: str) -> str:
        """The page in Airflow of a DAG of this model."""
        return f"{self.api.url}/dags/{self.model.name}_{kind}"

    def newest(self) -> Partition:
        """The newest partition with matured labels. What loads days and trains on them asks once: midnight may come."""
        return newest_closed(utc_now(), self.model.timezone, self.model.data.label.delay)

    def missing(self, days: int, last: Partition | None = None) -> list[str]:
        """Partitions that the lake does not have, of the ``days`` days up to ``last`` (default: `newest`)."""
        from include.data import collection

        return collection.missing_partitions(self.model, last or self.newest(), days)

    def load(
        self, days: int, advance: Advance, wanted: Sequence[str] | None = None, last: Partition | None = None
    ) -> list[str]:
        """Load what is missing, by a run of ``<model>_load``; returns what is missing afterwards.

        An active run (of an earlier command, or of a person) is followed first.

        Parameters
        ----------
        advance : called for each day that has been fetched since the last call, with its key.
        last : the newest of the days (default: `newest`).

        Raises
        ------
        RunFailed : nothing was loaded, or too little for a training.
        """
        dag_id = f"{self.model.name}_load"
        from include.data import collection

        last = last or self.newest()
        waiting, began = list(self.missing(days, last) if wanted is None else wanted), utc_now()

        def report(_: str) -> None:
            for key in collection.fetched_since(self.model, waiting, began):
                waiting.remove(key)
                advance(key)

        for run in self.patiently(lambda: list(self.api.runs(dag_id, state=["queued", "running"]))):
            with contextlib.suppress(RunFailed):  # the next run shows what is wrong
                self.act(dag_id, run.dag_run_id, report, unpause=True)
        if missing := self.missing(days, last):
            run_id = f"load__{utc_now():%Y-%m-%dT%H-%M-%S}"
            span = {"first": missing[0], "last": missing[-1]}
            self.act(dag_id, run_id, report, span, unpause=True)
        return self.missing(days, last)

    def retrain(
        self, run_id: str, report: Report, unpause: bool = False, conf: Mapping[str, object] | None = None
    ) -> Outcome:
        """Start (or find again) a run of ``<model>_retrain`` and follow it and its release to the end.

        Parameters
        ----------
        conf : parameters of the run.

        Raises
        ------
        RunFailed : a task failed; or the DAG is paused (its runs would wait forever) and ``unpause`` is not given.
        """
        run = self.act(f"{self.model.name}_retrain", run_id, report, conf, unpause)
        return self.patiently(lambda: self._outcome(run, report))

    def started(self, run_id: str, report: Report) -> Outcome:
        """The same of a run of ``<model>_retrain`` that something else has started.

        Raises
        ------
        RunFailed : a task failed, or there is no such run.
        """
        run = self.follow(f"{self.model.name}_retrain", run_id, report)
        return self.patiently(lambda: self._outcome(run, report))

    def _outcome(self, run: Run, report: Report) -> Outcome:
        """The decision of a successful retraining, and the outcome of its release."""
        from include.registry.ledger import Ledger

        name, run_id = self.model.name, run.dag_run_id
        decision = Ledger.default().last_decision(name)
        if decision is None or decision.run_id != run_id:
            outcome = (run.note or "SKIPPED: no reason given").split("\n\n")[0]  # what people wrote follows it
            return Outcome(f"{name}: {' '.join(outcome.split())}", "skipped")
        about = f"(as of {decision.as_of}, run {run_id})"
        if decision.verdict == "promote":
            release = self._release_of(int(decision.version or 0))
            self.follow(f"{name}_release", release, report)
            # a freeze in the meantime turns it into a hold
            decision = Ledger.default().decision(name, run_id) or decision
        if decision.verdict != "promote":
            verb = {"reject": "rejected", "hold": "held"}.get(decision.verdict, decision.verdict)
            return Outcome(f"{name}: {verb}: {decision.reason} {about}", verb, decision.version)
        return Outcome(
            f"{name}: promoted version {decision.version}: {decision.reason} {about}", "promoted", decision.version
        )

    def _release_of(self, version: int) -> str:
        """The run id of the release of a version (``v<version>__<digest>``, started by the retraining)."""
        dag_id = f"{self.model.name}_release"
        found = self.patiently(lambda: list(self.api.runs(dag_id, run_id_prefix_pattern=f"v{version}__")))
        if not found:
            raise RunFailed(f"{dag_id}: version {version} was to be promoted, but no release has been started for it.")
        return found[0].dag_run_id


def left_out(model: Model, keys: Sequence[str]) -> str:
    """Why days are missing in the lake after a load: their validation rejected them, or they were not fetched."""
    from include.data import collection

    rejected = collection.rejected(model, keys)
    lines = []
    for found, what in (
        (rejected, "failed validation: {} rejected"),
        ([key for key in keys if key not in rejected], "warning: {} not fetched"),
    ):
        if found:
            days = f"{len(found)} day{'' if len(found) == 1 else 's'} of {model.name} ({', '.join(found[:SHOWN])}"
            days += f"{', ...' if len(found) > SHOWN else ''}) {'was' if len(found) == 1 else 'were'}"
            lines.append(f"{what.format(days)}; see {model.name}_load in Airflow")
    return "\n".join(lines)


def describe(tasks: Sequence[Task]) -> str:
    """How far a run is: ``"3/9 tasks, train x2"``, naming what runs now."""
    done = [t for t in tasks if t.state in ("success", "skipped", "upstream_failed", "failed")]
    text = f"{len(done)}/{len(tasks)} tasks"
    running = Counter(t.task_id for t in tasks if t.state in ("running", "queued", "up_for_reschedule", "deferred"))
    again = Counter(t.task_id for t in tasks if t.state == "up_for_retry")
    text += "".join(f", {name}{f' x{n}' if n > 1 else ''}" for name, n in sorted(running.items()))
    return text + "".join(f", {name} waits for its retry" for name in sorted(again))
