"""Brings models to their first champion: one while the user waits, the others while the stack is in use already."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence

from include.errors import PerennialError
from include.partitions import newest_closed, utc_now
from include.spec import Model
from include.stack import champion
from include.stack.airflow_api import AirflowApi
from include.stack.following import Follower, RunFailed
from include.stack.layout import Stack
from include.stack.progress import Progress, Report
from include.stack.session import Background, Session, StackFailure

KINDS = ("collect", "retrain", "release")
AT_A_TIME = 2  # of the others: while one waits for its training, the collecting of another fills the machine
QUIET_SECONDS = 20.0  # between two lines about one of them: they are not what the user looks at


class Abandoned(PerennialError):
    """The stack is being stopped: there is nothing to say about it."""


def wait_for_dags(follower: Follower, report: Report, seconds: float = 90) -> None:
    """Wait until Airflow knows the DAGs of a model that we start, and make sure that they are not paused.

    Raises
    ------
    RunFailed : one is not there after ``seconds``; with Airflow's import errors.
    """
    api, wanted = follower.api, [f"{follower.model.name}_{kind}" for kind in KINDS]
    deadline = time.monotonic() + seconds
    while wanted:
        dag = follower.patiently(lambda: api.dag(wanted[0]))
        if dag is not None and not dag["is_stale"]:  # stale: of an earlier start, and not parsed again yet
            if dag["is_paused"] and not wanted[0].endswith("_retrain"):  # that one when there is data to train on
                api.unpause(wanted[0])
            wanted.pop(0)
            continue
        report(f"waiting for {wanted[0]}")
        if time.monotonic() > deadline:
            problems = "\n".join(api.import_errors()) or "no import error is reported"
            raise RunFailed(f"Airflow has not found the DAG {wanted[0]} after {seconds:.0f} s:\n{problems}")
        follower.check()
        time.sleep(0.3)


def bring(session: Session, follower: Follower, progress: Progress) -> bool:
    """Load the data that the first training of a model needs, train, release; whether it has a champion now.

    A failure is said, not raised: it is the model's, not the stack's (`StackFailure` is).
    """
    model = follower.model
    try:
        with progress.step(f"{model.name}: DAGs") as report:
            wait_for_dags(follower, report)
        _load_train_release(session, follower, progress)
    except (Abandoned, StackFailure):
        raise
    except PerennialError as error:
        progress.say(
            f"\nerror: {model.name} has no champion yet. {error}\n"
            "Look at the run in Airflow, mend it, and run it again there.\n"
        )
        return False
    return True


def _load_train_release(session: Session, follower: Follower, progress: Progress) -> None:
    model = follower.model
    missing = follower.missing(model.training.days_needed)
    if missing:
        with progress.step(f"{model.name}: collect {len(missing)} days") as report:
            left = follower.collect(model.training.days_needed, report, missing)
        if left:
            progress.say(
                f"warning: {len(left)} partitions of {model.name} are missing ({', '.join(left[:5])}): see "
                f"{model.name}_collect"
            )
    with progress.step(f"{model.name}: retrain and release") as report:
        session.wait_for_servers(report, follower.check)
        outcome = follower.retrain(_first_run_id(follower), report, unpause=True)
    progress.say(outcome.sentence)
    if not has_champion(model):  # a scheduled run may have been faster: that is fine
        raise RunFailed(outcome.sentence)


def _first_run_id(follower: Follower) -> str:
    """``first__<as-of>``; with a number where runs of that name have ended without a champion."""
    model = follower.model
    about = newest_closed(utc_now(), model.timezone, model.data.label.delay).key
    for attempt in range(1, 1000):
        run_id = f"first__{about}" + (f"__{attempt}" if attempt > 1 else "")
        run = follower.api.run(f"{model.name}_retrain", run_id)
        if run is None or run["state"] not in ("success", "failed"):
            return run_id
    raise RunFailed(f"{model.name}: 1000 first runs have ended without a champion")


def has_champion(model: Model) -> bool:
    """Whether a version of this model serves, by the ledger."""
    from include.registry.ledger import Ledger

    return Ledger.default().champion(model.name) is not None


def answer_of(stack: Stack, model: Model) -> champion.Answer | None:
    """What the model server says about a row to the champion of this model; None where there is no champion."""
    from include.registry.ledger import Ledger

    serving = Ledger.default().champion(model.name)
    return champion.ask(stack, model.name, serving.version, serving.digest) if serving else None


def paste(answer: champion.Answer) -> str:
    """What a champion answers, and the line to ask it again."""
    said = answer.body["predictions"][0]
    return f"{answer.model}: version {answer.version} serves. Ask it (it answers {said}):\n\n{answer.curl}"


class Others:
    """Brings models to their first champion, a few at a time, in their order, and says so as each is done.

    Parameters
    ----------
    total : how many models there are, with those that have a champion already; for the last line.
    failed : those that have none although it was tried.
    """

    def __init__(self, session: Session, models: Sequence[Model], total: int, failed: Sequence[str] = ()) -> None:
        self.failed: list[str] = list(failed)
        self._session = session
        self._total = total
        self._waiting = deque(models)
        self._lock = threading.Lock()
        self._progress = Progress(terminal=False, quiet=QUIET_SECONDS)  # no spinner: several speak at a time
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
            self._progress.say(f"\n{closing(self._total, self.failed)}")

    def _bring(self, model: Model) -> None:
        follower = Follower(AirflowApi(self._session.stack), model, self._check)
        try:
            done = bring(self._session, follower, self._progress)
            answer = answer_of(self._session.stack, model) if done else None
        except Abandoned:
            raise
        except PerennialError as error:
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


def closing(total: int, failed: Sequence[str]) -> str:
    """How many of the models serve, at the end of a start."""
    sentence = f"{total - len(failed)} of {total} models serve."
    return sentence + (f" Without a champion: {', '.join(failed)}; see above." if failed else "")
