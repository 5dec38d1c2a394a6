"""`make run`: from any state of the home to a champion that answers, then in the foreground until it is stopped."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from include import catalog
from include.errors import ConfigurationError, PerennialError, TransientError
from include.progress import Progress
from include.spec import Model
from include.stack import champion, credentials, environment, leftovers, modes, ports
from include.stack.airflow_api import AirflowApi
from include.stack.bootstrap import CannotInstall, check_python
from include.stack.first_champions import (
    Others,
    answer_of,
    bring,
    closing,
    has_champion,
    paste,
    short,
    unserved,
    wait_for_dags,
)
from include.stack.following import Follower, RunFailed, left_out
from include.stack.layout import Stack
from include.stack.newcomers import Newcomers
from include.stack.session import Background, Session, patiently
from include.stack.signals import Stopped, StopSignals

LAST_LOOK_SECONDS = 10.0  # to read the ledger before everything is stopped


def run(stack: Stack, only: Sequence[str] = (), signals: StopSignals | None = None) -> int:
    """Run the stack until a signal; return the exit status (0: stopped as requested, 1: something did not work).

    Parameters
    ----------
    only : names of the models to bring to a first champion; empty: all. Models that have a champion serve in any case.
    signals : installed before this module was imported, which takes seconds.

    Raises
    ------
    ConfigurationError : ``only`` has an unknown name (the message suggests the closest one).
    """
    try:
        check_python(sys.version_info[:2], sys.executable)
    except CannotInstall as error:
        raise ConfigurationError(str(error)) from None
    for name in only:
        catalog.entry(name)
    signals = signals or StopSignals()
    progress = Progress()
    try:
        stack.prepare()
        with leftovers.locked(stack):
            ended = leftovers.clean(stack)
            if ended:
                progress.say(f"ended {ended} processes that an earlier stack of {stack.home} had left")
            ports.require_free(stack)
            modes.close(stack.home, leave=frozenset({stack.pgdata}))
            credentials.prepare(stack)
            os.environ.update(environment.perennial_environment(stack))
            return _serve(Session(stack, signals), progress, only)
    except Stopped:
        return 0


def _serve(session: Session, progress: Progress, only: Sequence[str]) -> int:
    status = 0
    all_models: list[Model] = []
    others: Others | None = None
    # so that processes that we start ourselves are found at the end, too
    os.environ["PERENNIAL_STACK"] = str(session.stack.home)
    try:
        newcomers = Newcomers(session.stack)
        if newcomers.new:
            progress.say(f"new since the last start: {', '.join(newcomers.new)}")
        all_models = _models(progress)
        chosen = [model for model in all_models if not only or model.name in only]
        for model in chosen[:1]:  # it is trained first; the others are linted before their turn
            Background(newcomers.lint_early, model.name)
        session.start(progress)
        progress.say(addresses(session.stack))
        others = _make_ready(session, progress, all_models, chosen, newcomers)
        while True:
            session.check()
            time.sleep(0.5)
    except Stopped:
        progress.say("\nstopping ...")
        session.give_up()  # another signal ends the wait in the next line
        status = _left_without(all_models, others)
    except PerennialError as error:
        progress.say(f"\nerror: {error}")
        status = 1
    finally:
        began = time.monotonic()
        session.stop()
        progress.say(f"everything is stopped ({time.monotonic() - began:.1f} s); `make run` continues from here")
    return status


def _left_without(all_models: list[Model], others: Others | None) -> int:
    """1 if a model that was tried still has no champion when the stack is stopped, else 0."""
    failed = [model for model in all_models if others and model.name in others.failed]
    without: list[str] = []
    deadline = time.monotonic() + LAST_LOOK_SECONDS

    def check() -> None:
        if time.monotonic() > deadline:
            raise TransientError("the ledger does not answer")

    try:
        Background(lambda: without.extend(unserved(failed))).join(check)
        return 1 if without else 0
    except Exception:  # the ledger does not answer, so the last known state counts
        return 1 if failed else 0


def _make_ready(
    session: Session, progress: Progress, all_models: list[Model], chosen: list[Model], newcomers: Newcomers
) -> Others:
    """Bring one model to a champion that answers and print what can be used; the others follow in the background."""
    serving = patiently(lambda: [m for m in all_models if has_champion(m)], session.check)
    waiting = [m for m in chosen if m not in serving]
    all_models = [m for m in all_models if m in serving or m in chosen]  # a model that was not requested is not missing
    failed: list[str] = []
    resumed = list(serving)
    if resumed:
        _await_dags(session, resumed, progress, failed)
    while waiting and not serving:  # of the highest priority first
        model = waiting.pop(0)
        done = bring(session, Follower(AirflowApi(session.stack), model, session.check), progress, newcomers)
        (serving if done else failed).append(model if done else model.name)  # type: ignore[arg-type]
    with progress.step("model server") as report:
        session.wait_for_servers(report)
        session.wait_for_airflow(report, ("metadatabase", "scheduler"))
        answers = [answer for m in serving if (answer := _answer(session, m, progress))]
    progress.summary()
    _show(session.stack, all_models, answers, waiting, progress)
    if not waiting:
        progress.say(closing([m.name for m in all_models], patiently(lambda: unserved(all_models), session.check)))
    if resumed:
        Background(_catch_up, session, resumed, progress)
    return Others(session, waiting, all_models, newcomers, failed)


def _answer(session: Session, model: Model, progress: Progress) -> champion.Answer | None:
    """The answer of a model's champion. If it does not answer, this is printed, and the others continue."""
    try:
        return answer_of(session.stack, model, session.check)
    except TransientError as error:
        progress.say(f"\nerror: {model.name}: {error}\n")
        return None


def _await_dags(session: Session, models: list[Model], progress: Progress, failed: list[str]) -> None:
    """Wait for the DAGs of models that already serve. One without DAGs is named, and continues to serve."""
    with progress.step("DAGs") as report:
        for model in models:
            try:
                wait_for_dags(Follower(AirflowApi(session.stack), model, session.check), report)
            except RunFailed as error:
                failed.append(model.name)
                progress.say(f"\nerror: {error}\n")


def _models(progress: Progress) -> list[Model]:
    """The models that load, by descending priority. Broken ones are named in a warning."""
    for entry in catalog.entries():
        if entry.model is None:
            progress.say(f"warning: model {entry.name} is left out: {entry.problem}")
    return catalog.by_priority()


def addresses(stack: Stack) -> str:
    """The addresses to open in a browser, and how to log in."""
    return "\n".join(
        [
            "",
            f"Airflow  {stack.airflow_url}  user {credentials.USER}, "
            f"password {credentials.password(stack, credentials.USER)}",
            f"         {stack.airflow_url}/plugin/models  how every model is, on one page",
            f"         also {credentials.OPERATOR} (starts and clears runs) and {credentials.VIEWER} (reads): "
            f"passwords in {champion.shown(credentials.passwords_file(stack))}",
            f"MLflow   {stack.mlflow_url}  user {credentials.USER}, "
            f"password {credentials.read(stack, 'mlflow_admin_password')}",
            f"Server   {stack.serving_url}/docs  answers predictions",
            "",
        ]
    )


def _show(
    stack: Stack, models: list[Model], answers: list[champion.Answer], waiting: list[Model], progress: Progress
) -> None:
    """Print the addresses to open, and one line to paste."""
    lines = [addresses(stack), *(short(answer) for answer in answers[1:]), *(paste(answer) for answer in answers[:1])]
    night = f"`make night MODEL={models[0].name}` runs a whole night now." if models else "There are no models yet."
    lines += ["", f"State is in {stack.home}. Ctrl-C stops everything; {night}"]
    if waiting:
        names = ", ".join(m.name for m in waiting)
        lines += [f"All this can be used now; in the meantime, the first nights of {names} run.", ""]
    progress.say("\n".join(lines))


def _catch_up(session: Session, models: list[Model], progress: Progress) -> None:
    """In the background of a resumed stack, collect the days that its models missed; Airflow runs missed nights."""
    for model in models:
        follower = Follower(AirflowApi(session.stack), model, session.check_ended)
        try:
            _load_missing(follower, progress)
        except PerennialError as error:
            progress.say(f"warning: {model.name}: {error}")


def _load_missing(follower: Follower, progress: Progress) -> None:
    model = follower.model
    days = model.training.days_needed
    if missing := follower.missing(days):
        progress.say(f"{model.name}: loading {len(missing)} days that are missing ({missing[0]} to {missing[-1]})")
        left = follower.load(days, lambda _: None, missing)
        progress.say(f"{model.name}: {len(missing) - len(left)} of {len(missing)} missing days loaded")
        if left:
            progress.say(left_out(model, left))


def clean(stack: Stack) -> int:
    """Delete the home; refuses while its stack runs."""
    from include.stack.layout import MARKER

    if leftovers.owner(stack) or leftovers.find(stack):
        raise ConfigurationError(f"a stack runs on {stack.home}: stop it first (make stop).")
    if not stack.home.exists():
        return 0
    if not (stack.home / MARKER).exists():
        raise ConfigurationError(f"{stack.home} is not a Perennial home (it has no {MARKER}): nothing was deleted.")
    sockets: Path = stack.sockets
    if sockets.parent != stack.run:
        shutil.rmtree(sockets, ignore_errors=True)
    shutil.rmtree(stack.home)
    print(f"deleted {stack.home}")
    return 0


def stop(stack: Stack) -> int:
    """Stop the stack of this home, and processes that a killed one left."""
    import signal

    pid = leftovers.owner(stack)
    if pid:
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 60
        while leftovers.owner(stack) and time.monotonic() < deadline:
            time.sleep(0.2)
        if leftovers.owner(stack):
            raise PerennialError(
                f"the stack on {stack.home} (pid {pid}) has not ended after 60 s: kill -9 {pid}, then make stop"
            )
        print(f"stopped the stack on {stack.home}")
        return 0
    ended = leftovers.clean(stack)
    print(f"ended {ended} processes that were left" if ended else f"no stack runs on {stack.home}")
    return 0
