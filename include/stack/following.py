"""Starts and follows the DAG runs of a model through Airflow's API: collect, retrain, release."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TypeVar

from include.errors import PerennialError, TransientError
from include.partitions import newest_closed, utc_now
from include.progress import Report
from include.spec import Model
from include.stack.airflow_answers import Backfill, Run, Task
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

    def missing(self, days: int) -> list[str]:
        """Partitions that the lake does not have, of the ``days`` days up to the newest one with matured labels."""
        from include.data import collection

        last = newest_closed(utc_now(), self.model.timezone, self.model.data.label.delay)
        return collection.missing_partitions(self.model, last, days)

    def collect(self, days: int, report: Report, wanted: list[str] | None = None) -> list[str]:
        """Collect what is missing, by back-fills of ``<model>_collect``; returns what is missing afterwards.

        An active back-fill (of an earlier `run`, or of a person) is awaited first.
        """
        dag_id = f"{self.model.name}_collect"
        asked: set[str] = set()
        total = len(self.missing(days) if wanted is None else wanted)
        while True:
            active = self.patiently(lambda: self.api.active_backfill(dag_id))
            if active:
                self._await_backfill(dag_id, active, total, days, report)
                continue
            missing = self.missing(days)
            open_ranges = ranges(key for key in missing if key not in asked)
            report(f"{total - len(missing)}/{total} partitions")
            if not open_ranges:
                return missing
            first, last = open_ranges[0]
            self.patiently(lambda first=first, last=last: self.api.backfill(dag_id, first, last))  # type: ignore[misc]
            asked.update(keys(first, last))

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

    def _outcome(self, run: Run, report: Report) -> Outcome:
        """The decision of a successful retraining, and the outcome of its release."""
        from include.registry.ledger import Ledger

        name, run_id = self.model.name, run.dag_run_id
        decision = Ledger.default().last_decision(name)
        if decision is None or decision.run_id != run_id:
            note = " ".join((run.note or "skipped: no reason given").split())
            return Outcome(f"{name}: {note}", "skipped")
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

    def _await_backfill(self, dag_id: str, backfill: Backfill, total: int, days: int, report: Report) -> None:
        """Wait until every run of a back-fill has ended, and close it; or until a person has cancelled it."""
        before = -1
        while True:
            runs = self.patiently(lambda: self._runs_since(dag_id, backfill.created_at))
            left = sum(1 for run in runs if run.state not in TERMINAL)
            missing = len(self.missing(days))
            report(f"{max(0, total - missing)}/{total} partitions")
            if left == 0 and runs:
                self.patiently(lambda: self.api.complete_backfill(backfill.id))
                return
            # Just created, empty (Airflow closes it itself), or cancelled (its runs are never scheduled again).
            if not runs or left == before:
                again = self.patiently(lambda: self.api.active_backfill(dag_id))
                if not again or again.id != backfill.id:
                    return
            before = left
            self.pause()

    def _runs_since(self, dag_id: str, created_at: str) -> list[Run]:
        """The back-fill runs that were created after a moment (ISO times in UTC compare as text)."""
        found = []
        for run in self.api.runs(dag_id, run_type="backfill"):
            if (run.queued_at or run.start_date or "9") < created_at:
                break
            found.append(run)
        return found


def left_out(model: Model, keys: Sequence[str]) -> str:
    """Why days are missing in the lake after collecting: their validation rejected them, or they were not fetched."""
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
            lines.append(f"{what.format(days)}; see {model.name}_collect in Airflow")
    return "\n".join(lines)


def ranges(wanted: Iterable[str]) -> list[tuple[str, str]]:
    """Partition keys as contiguous ranges, both ends included, oldest first."""
    found: list[tuple[str, str]] = []
    for key in sorted(wanted):
        if found and date.fromisoformat(key) - date.fromisoformat(found[-1][1]) == timedelta(days=1):
            found[-1] = (found[-1][0], key)
        else:
            found.append((key, key))
    return found


def keys(first: str, last: str) -> list[str]:
    """All keys of a range."""
    from include.partitions import keys_between

    return keys_between(first, last)


def describe(tasks: Sequence[Task]) -> str:
    """How far a run is: ``"3/9 tasks, train x2"``, naming what runs now."""
    done = [t for t in tasks if t.state in ("success", "skipped", "upstream_failed", "failed")]
    text = f"{len(done)}/{len(tasks)} tasks"
    running = Counter(t.task_id for t in tasks if t.state in ("running", "queued", "up_for_reschedule", "deferred"))
    again = Counter(t.task_id for t in tasks if t.state == "up_for_retry")
    text += "".join(f", {name}{f' x{n}' if n > 1 else ''}" for name, n in sorted(running.items()))
    return text + "".join(f", {name} waits for its retry" for name in sorted(again))
