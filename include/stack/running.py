"""`make run`: from whatever is there to a champion that answers, then in the foreground until told to stop."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from include import catalog
from include.errors import ConfigurationError, PerennialError
from include.spec import Model
from include.stack import champion, credentials, environment, leftovers, modes, ports
from include.stack.airflow_api import AirflowApi
from include.stack.bootstrap import CannotInstall, check_python
from include.stack.first_champions import Others, answer_of, bring, closing, has_champion, paste, wait_for_dags
from include.stack.following import Follower, RunFailed
from include.stack.layout import Stack
from include.stack.progress import Progress
from include.stack.session import Background, Session
from include.stack.signals import Stopped, StopSignals


def run(stack: Stack) -> int:
    """Run the stack until a signal; the exit status (0: stopped as asked, 1: something did not work)."""
    try:
        check_python(sys.version_info[:2], sys.executable)
    except CannotInstall as error:
        raise ConfigurationError(str(error)) from None
    signals = StopSignals()
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
            return _serve(Session(stack, signals), progress)
    except Stopped:
        return 0


def _serve(session: Session, progress: Progress) -> int:
    status = 0
    others: Others | None = None
    try:
        session.start(progress)
        others = _make_ready(session, progress)
        while True:
            session.check()
            time.sleep(0.5)
    except Stopped:
        progress.say("\nstopping ...")
    except PerennialError as error:
        progress.say(f"\nerror: {error}")
        status = 1
    finally:
        began = time.monotonic()
        session.stop()
        progress.say(f"everything is stopped ({time.monotonic() - began:.1f} s); `make run` goes on from here")
    return 1 if others and others.failed else status


def _make_ready(session: Session, progress: Progress) -> Others:
    """Bring one model to a champion that answers, say what can be used, and bring the others to theirs beside it."""
    models = _models(progress)
    serving = [m for m in models if has_champion(m)]
    waiting = [m for m in models if m not in serving]
    failed: list[str] = []
    resumed = list(serving)
    if resumed:
        _await_dags(session, resumed, progress, failed)
    while waiting and not serving:  # of the highest priority first
        model = waiting.pop(0)
        done = bring(session, Follower(AirflowApi(session.stack), model, session.check), progress)
        (serving if done else failed).append(model if done else model.name)  # type: ignore[arg-type]
    with progress.step("model server") as report:
        session.wait_for_servers(report)
        session.wait_for_airflow(report, ("metadatabase", "scheduler"))
        answers = [answer for m in serving if (answer := answer_of(session.stack, m))]
    progress.summary()
    _show(session.stack, models, answers, waiting, progress)
    if not waiting:
        progress.say(closing(len(models), failed))
    if resumed:
        Background(_catch_up, session, resumed, progress)
    return Others(session, waiting, len(models), failed)


def _await_dags(session: Session, models: list[Model], progress: Progress, failed: list[str]) -> None:
    """Wait for the DAGs of models that serve already; one whose DAGs do not appear is said, and keeps serving."""
    with progress.step("DAGs") as report:
        for model in models:
            try:
                wait_for_dags(Follower(AirflowApi(session.stack), model, session.check), report)
            except RunFailed as error:
                failed.append(model.name)
                progress.say(f"\nerror: {error}\n")


def _models(progress: Progress) -> list[Model]:
    """The models that load, those of the highest priority first; the broken ones are named."""
    for entry in catalog.entries():
        if entry.model is None:
            progress.say(f"warning: model {entry.name} is left out: {entry.problem}")
    return catalog.by_priority()


def _show(
    stack: Stack, models: list[Model], answers: list[champion.Answer], waiting: list[Model], progress: Progress
) -> None:
    """What to open and what to paste."""
    lines = [
        "",
        f"Airflow  {stack.airflow_url}  user {credentials.USER}, password {credentials.read(stack, 'admin_password')}",
        f"MLflow   {stack.mlflow_url}  user {credentials.USER}, "
        f"password {credentials.read(stack, 'mlflow_admin_password')}",
        f"Models   {stack.serving_url}/docs",
    ]
    for answer in answers:
        lines += ["", paste(answer)]
    night = f"`make night MODEL={models[0].name}` runs a whole night now." if models else "There is no model yet."
    lines += ["", f"State is in {stack.home}. Ctrl-C stops everything; {night}"]
    if waiting:
        names = ", ".join(m.name for m in waiting)
        lines += [f"All this can be used now; meanwhile the first nights of {names} are run.", ""]
    progress.say("\n".join(lines))


def _catch_up(session: Session, models: list[Model], progress: Progress) -> None:
    """In the background of a resumed stack: collect what its models have missed meanwhile."""
    for model in models:
        follower = Follower(AirflowApi(session.stack), model)
        days = model.training.days_needed
        missing = follower.missing(days)
        if missing:
            progress.say(
                f"{model.name}: collecting {len(missing)} partitions that are missing ({missing[0]} to {missing[-1]})"
            )
            try:
                left = follower.collect(days, lambda _: None, missing)
            except PerennialError as error:
                progress.say(f"warning: {model.name}: {error}")
            else:
                progress.say(f"{model.name}: {len(missing) - len(left)} missing partitions collected, {len(left)} left")


def clean(stack: Stack) -> int:
    """Delete the home; refuses while its stack runs."""
    from include.stack.layout import MARKER

    if leftovers.owner(stack) or leftovers.find(stack):
        raise ConfigurationError(f"a stack runs on {stack.home}: stop it first (make stop).")
    if not stack.home.exists():
        return 0
    if not (stack.home / MARKER).exists():
        raise ConfigurationError(f"{stack.home} is no Perennial home (it has no {MARKER}): nothing deleted.")
    sockets: Path = stack.sockets
    if sockets.parent != stack.run:
        shutil.rmtree(sockets, ignore_errors=True)
    shutil.rmtree(stack.home)
    print(f"deleted {stack.home}")
    return 0


def stop(stack: Stack) -> int:
    """Stop the stack of this home, whoever started it, and what a killed one left."""
    import signal

    pid = leftovers.owner(stack)
    if pid:
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 30
        while leftovers.owner(stack) and time.monotonic() < deadline:
            time.sleep(0.2)
        if leftovers.owner(stack):
            raise PerennialError(
                f"the stack on {stack.home} (pid {pid}) has not ended after 30 s: kill -9 {pid}, then make stop"
            )
        print(f"stopped the stack on {stack.home}")
        return 0
    ended = leftovers.clean(stack)
    print(f"ended {ended} processes that were left" if ended else f"no stack runs on {stack.home}")
    return 0


def status(stack: Stack) -> int:
    """Print what runs and what serves; 3 when nothing does."""
    import httpx

    from include.stack.supervision import Supervisor

    if not leftovers.owner(stack):
        print(f"no stack runs on {stack.home}")
        return 3
    for state in Supervisor(stack).states():
        print(f"{state.name:<24} {state.state.lower():<9} pid {state.pid:<8} {state.uptime:>6} s")
    print(f"\nAirflow {stack.airflow_url}  MLflow {stack.mlflow_url}  models {stack.serving_url}")
    token = credentials.read(stack, "serving_token")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        answer = httpx.get(f"{stack.serving_url}/models", headers=headers, timeout=5, trust_env=False)
        listing: list[dict[str, Any]] = answer.raise_for_status().json()["models"]
    except (httpx.HTTPError, ValueError, KeyError) as error:
        print(f"the model server does not answer: {error!r}")
        return 1
    print("\n".join(_served(listing)))
    return 0


def _served(listing: list[dict[str, Any]]) -> list[str]:
    """A line for each model: those of the house by priority, broken ones, and what serves without a folder."""
    served = {str(m["model"]): m for m in listing}
    lines = {m.name: "no champion yet" for m in catalog.by_priority()}
    lines |= {e.name: f"broken: {e.problem}" for e in catalog.entries() if e.problem}
    for name, state in served.items():
        if state.get("version") is not None:
            broken = f"; its folder is {lines[name]}" if lines.get(name, "").startswith("broken") else ""
            lines[name] = f"version {state['version']}{broken}"
        else:
            lines.setdefault(name, "out of service")
    return [f"  {name}: {line}" for name, line in lines.items()]
