"""Brings models to their first champion: one while the user waits, the others while the stack is already in use."""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from datetime import datetime

from include import catalog
from include.errors import PerennialError, TransientError
from include.partitions import utc_now
from include.progress import Progress, Report
from include.spec import Model
from include.stack import champion
from include.stack.airflow_api import AirflowApi
from include.stack.following import Follower, RunFailed, left_out, nothing
from include.stack.layout import Stack
from include.stack.newcomers import Newcomers, refusal
from include.stack.session import Background, Session, StackFailure, patiently

KINDS = ("collect", "load", "retrain", "release")
AT_A_TIME = 2  # of the others: while one waits for its training, another can collect
READINGS = 2  # of a DAG file that lack the expected DAG; the first may have begun before the folder existed
ATTEMPTS = 10  # at bringing a model to its first champion, while services that it needs are started again
QUIET_SECONDS = 20.0  # between two lines about one of them, which are not what the user watches


class Abandoned(PerennialError):
    """The stack is being stopped; this is not reported."""


def wait_for_dags(follower: Follower, report: Report) -> None:
    """Wait until Airflow knows the DAGs of a model that we start, and make sure that they are not paused.

    There is no deadline, because Airflow can be slow. What Airflow has parsed shows whether a DAG will not appear.

    Raises
    ------
    RunFailed : Airflow cannot import a DAG file (with its errors), or has read the file and the DAG is not in it.
    """
    api, wanted = follower.api, [f"{follower.model.name}_{kind}" for kind in KINDS]
    read = Reading(api, utc_now())
    while wanted:
        dag = follower.patiently(lambda: api.dag(wanted[0]))
        if dag is not None and not dag.is_stale:
            if dag.is_paused and not wanted[0].endswith("_retrain"):  # it is unpaused once there is data to train on
                follower.patiently(lambda: api.unpause(wanted[0]))
            wanted.pop(0)
            continue
        report(f"waiting for {wanted[0]}")
        if problem := follower.patiently(lambda: read.problem(wanted[0])):
            raise RunFailed(problem)
        follower.check()
        time.sleep(0.3)
    report("")


class Reading:
    """Airflow's parses of the DAG files since a moment, and the reason why a DAG is missing."""

    def __init__(self, api: AirflowApi, since: datetime) -> None:
        self._api = api
        self._since = since
        self._times: dict[str, set[str]] = defaultdict(set)

    def problem(self, dag_id: str) -> str | None:
        """Why this DAG will not appear; ``None`` while it still can.

        One file makes all DAGs of one kind. If Airflow has parsed those of other models twice since the start,
        and this one is missing, then its folder was not found, or it is broken now.
        """
        kind = dag_id[dag_id.rindex("_") :]
        file = f"{kind[1:]}.py: "  # dags/collect.py and so on
        if errors := [error for error in self._api.import_errors(self._since) if file in error]:
            return f"Airflow cannot import the file of the DAG {dag_id}:\n" + "\n".join(errors)
        for name, moment in self._api.parsed(kind).items():
            if name != dag_id and datetime.fromisoformat(moment) > self._since:
                self._times[name].add(moment)
        seen = next((name for name, times in self._times.items() if len(times) > READINGS), None)
        if seen is None:
            return None
        model = dag_id[: -len(kind)]
        reason = next((f": {e.problem}" for e in catalog.entries() if e.name == model and e.problem), "")
        return (
            f"Airflow has read its DAG files {len(self._times[seen])} times (with {seen}) and has not found "
            f"{dag_id}{reason or '. Was the folder there when the stack was started (PERENNIAL_MODELS)?'}"
        )


def bring(session: Session, follower: Follower, progress: Progress, newcomers: Newcomers) -> bool:
    """Load the data for the first training of a model, train and release; returns whether it has a champion now.

    A failure is printed and not raised, because it concerns only the model (a `StackFailure` is raised). A folder with
    mistakes is not trained.
    """
    model = follower.model
    for attempt in range(1, ATTEMPTS + 1):
        try:
            if attempt > 1 and has_champion(model):
                return True
            if problems := newcomers.mistakes(model.name):
                progress.say(f"\nerror: {refusal(model.name, problems)}\n")
                return False
            with progress.step(f"{model.name}: DAGs") as report:
                wait_for_dags(follower, report)
            _load_train_release(session, follower, progress)
            return True
        except (Abandoned, StackFailure):
            raise
        except TransientError as error:  # a service was restarted in between; every step can be repeated
            reason = str(error)
            if attempt < ATTEMPTS:
                progress.say(f"{model.name}: {reason}; it continues from there")
                follower.pause()
        except Exception as error:
            reason = str(error) if isinstance(error, PerennialError) else repr(error)
            break
    progress.say(
        f"\nerror: {model.name} has no champion yet. {reason}\n"
        f"Look at it in Airflow ({session.stack.airflow_url}/dags/{model.name}_retrain), correct the cause, and "
        "run it again there.\n"
    )
    return False


def _load_train_release(session: Session, follower: Follower, progress: Progress) -> None:
    model = follower.model
    last = follower.newest()
    missing = follower.missing(model.training.days_needed, last)
    if missing:
        with progress.bar(f"{model.name}: load days", len(missing)) as advance:
            left = follower.load(model.training.days_needed, advance, missing, last)
        if left:
            progress.say(left_out(model, left))
    with progress.step(f"{model.name}: retrain and release") as report:
        session.wait_for_servers(report, follower.check)
        outcome = follower.retrain(_first_run_id(follower, last.key), report, True, {"as_of": last.key})
    progress.say(outcome.sentence)
    if not has_champion(model):  # a scheduled run may have been faster, which is fine
        raise RunFailed(outcome.sentence)


def _first_run_id(follower: Follower, about: str) -> str:
    """``first__<as-of>``; with a number if runs of that name have ended without a champion."""
    model = follower.model
    for attempt in range(1, 1000):
        run_id = f"first__{about}" + (f"__{attempt}" if attempt > 1 else "")
        run = follower.api.run(f"{model.name}_retrain", run_id)
        if run is None or run.state not in ("success", "failed"):
            return run_id
    raise RunFailed(f"{model.name}: 1000 first runs have ended without a champion")


def has_champion(model: Model) -> bool:
    """Whether a version of this model serves, by the ledger."""
    return _champion(model) is not None


def _champion(model: Model) -> tuple[int, str] | None:
    """Version and digest of the champion, by the ledger.

    PostgreSQL's driver blocks signals while it waits, so another thread calls it.
    """
    from include.registry.ledger import Ledger

    found: list[tuple[int, str]] = []

    def ask() -> None:
        if row := Ledger.default().champion(model.name):
            found.append((row.version, row.digest))

    Background(ask).join(nothing)
    return found[0] if found else None


def answer_of(stack: Stack, model: Model, check: Callable[[], None]) -> champion.Answer | None:
    """The answer of this model's champion for a row; ``None`` if there is no champion."""
    return champion.ask(stack, model.name, lambda: _champion(model), check)


def paste(answer: champion.Answer) -> str:
    """A champion's prediction, and the command that repeats the request."""
    return f"{short(answer)} Try it:\n\n{answer.curl}"


def short(answer: champion.Answer) -> str:
    """A champion's prediction in one line."""
    prediction = answer.body["predictions"][0]
    return f"{answer.model}: version {answer.version} serves. Prediction for a sample row: {prediction}."


class Others:
    """Bring models to their first champion, a few at a time, in their order, and print when each is done.

    Parameters
    ----------
    models : models without a champion that are still to be tried.
    all_models : all models, for the last line.
    failed : names of models that were tried and have no champion.
    """

    def __init__(
        self,
        session: Session,
        models: Sequence[Model],
        all_models: Sequence[Model],
        newcomers: Newcomers,
        failed: Sequence[str] = (),
    ) -> None:
        self.failed: list[str] = list(failed)
        self._session = session
        self._all = all_models
        self._newcomers = newcomers
        self._waiting = deque(models)
        self._lock = threading.Lock()
        self._progress = Progress(terminal=False, quiet=QUIET_SECONDS)  # no spinner: several print at a time
        self._busy = min(AT_A_TIME, len(models))
        for _ in range(self._busy):
            Background(self._work)

    def _work(self) -> None:
        try:
            while self._waiting:
                self._bring(self._waiting.popleft())
        except (Abandoned, IndexError):
            return
        with self._lock:
            self._busy -= 1
            last = not self._busy
        if last:
            without = patiently(lambda: unserved(self._all), self._check)
            self._progress.say(f"\n{closing([m.name for m in self._all], without)}")

    def _bring(self, model: Model) -> None:
        follower = Follower(AirflowApi(self._session.stack), model, self._check)
        try:
            done = bring(self._session, follower, self._progress, self._newcomers)
            answer = answer_of(self._session.stack, model, self._check) if done else None
        except Abandoned:
            raise
        except Exception as error:
            self._check()
            self._progress.say(f"\nerror: {model.name}: {error}\n")
            done, answer = False, None
        if not done:
            self.failed.append(model.name)
        if answer:
            self._progress.say(f"\n{paste(answer)}\n")

    def _check(self) -> None:
        if self._session.ended.is_set():
            raise Abandoned("the stack is being stopped")


def unserved(models: Sequence[Model]) -> list[str]:
    """The models that have no champion now, by the ledger."""
    return [model.name for model in models if not has_champion(model)]


def closing(names: Sequence[str], without: Sequence[str]) -> str:
    """How many of the models serve, at the end of a start."""
    sentence = f"{len(names) - len(without)} of {len(names)} models serve."
    return sentence + (f" Without a champion: {', '.join(without)}; see above." if without else "")
