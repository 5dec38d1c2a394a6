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
from include.partitions import newest_closed, utc_now
from include.spec import Model
from include.stack import champion, credentials, environment, leftovers, ports
from include.stack.airflow_api import AirflowApi
from include.stack.bootstrap import CannotInstall, check_python
from include.stack.following import Follower, RunFailed
from include.stack.layout import Stack
from include.stack.progress import Progress, Report
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
            credentials.prepare(stack)
            os.environ.update(environment.perennial_environment(stack))
            return _serve(Session(stack, signals), progress)
    except Stopped:
        return 0


def _serve(session: Session, progress: Progress) -> int:
    status = 0
    try:
        session.start(progress)
        status = _make_ready(session, progress)
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
    return status


def _make_ready(session: Session, progress: Progress) -> int:
    """Bring every model to a champion that answers; 1 when one could not be."""
    from include.registry.ledger import Ledger

    stack, status = session.stack, 0
    api = AirflowApi(stack)
    models = _models(progress)
    with progress.step("DAGs") as report:
        _wait_for_dags(session, api, models, report)
    fresh = [m for m in models if Ledger.default().champion(m.name) is None]
    for model in fresh:
        try:
            _first_champion(session, Follower(api, model, session.check), progress)
        except RunFailed as error:
            status = 1
            progress.say(
                f"\nerror: {model.name} has no champion yet. {error}\n"
                "Look at the run in Airflow, mend it, and run it again there.\n"
            )
    with progress.step("model server") as report:
        session.wait_for_servers(report)
        session.wait_for_airflow(report, ("metadatabase", "scheduler"))
        answers = [answer for m in models if (answer := _answer(stack, m.name))]
    progress.summary()
    _show(stack, answers, progress)
    resumed = [m for m in models if m not in fresh]
    if resumed:
        Background(_catch_up, session, resumed, progress)
    return status


def _models(progress: Progress) -> list[Model]:
    """The models that load, in the order of the catalog; the broken ones are named."""
    found = []
    for entry in catalog.entries():
        if entry.model is None:
            progress.say(f"warning: model {entry.name} is left out: {entry.problem}")
        else:
            found.append(entry.model)
    return found


def _wait_for_dags(session: Session, api: AirflowApi, models: list[Model], report: Report) -> None:
    """Wait until Airflow knows the DAGs that we start, and make sure that they are not paused."""
    wanted = [f"{model.name}_{kind}" for model in models for kind in ("collect", "retrain", "release")]
    deadline = time.monotonic() + 90
    while wanted:
        dag = Follower(api, models[0], session.check)._patiently(lambda: api.dag(wanted[0]))
        if dag is not None:
            if dag["is_paused"] and not wanted[0].endswith("_retrain"):  # that one when there is data to train on
                api.unpause(wanted[0])
            wanted.pop(0)
            continue
        report(f"waiting for {wanted[0]}")
        if time.monotonic() > deadline:
            problems = "\n".join(api.import_errors()) or "no import error is reported"
            raise ConfigurationError(f"Airflow has not found the DAG {wanted[0]} after 90 s:\n{problems}")
        session.check()
        time.sleep(0.3)


def _first_champion(session: Session, follower: Follower, progress: Progress) -> None:
    """Load the data that the first training needs, train, release."""
    from include.registry.ledger import Ledger

    model = follower.model
    missing = follower.missing(model.training.days_needed)
    if missing:
        with progress.step(f"{model.name}: collect {len(missing)} days") as report:
            left = follower.collect(model.training.days_needed, report, missing)
        if left:
            progress.say(
                f"warning: {len(left)} partitions are missing ({', '.join(left[:5])}): see {model.name}_collect"
            )
    with progress.step(f"{model.name}: retrain and release") as report:
        session.wait_for_servers(report)
        outcome = follower.retrain(_first_run_id(follower), report, unpause=True)
    progress.say(outcome.sentence)
    if Ledger.default().champion(model.name) is None:  # a scheduled run may have been faster: that is fine
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


def _answer(stack: Stack, model: str) -> champion.Answer | None:
    from include.registry.ledger import Ledger

    serving = Ledger.default().champion(model)
    return champion.ask(stack, model, serving.version, serving.digest) if serving else None


def _show(stack: Stack, answers: list[champion.Answer], progress: Progress) -> None:
    """What to open and what to paste."""
    lines = [
        "",
        f"Airflow  {stack.airflow_url}  user {credentials.USER}, password {credentials.read(stack, 'admin_password')}",
        f"MLflow   {stack.mlflow_url}",
        f"Models   {stack.serving_url}/docs",
    ]
    for answer in answers:
        lines += [
            "",
            f"{answer.model}: version {answer.version} serves. Ask it (it answers {answer.body['predictions'][0]}):",
            "",
            answer.curl,
        ]
    lines += ["", f"State is in {stack.home}. Ctrl-C stops everything; `make night` runs a whole night now."]
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
        listing: Any = httpx.get(f"{stack.serving_url}/models", headers=headers, timeout=5, trust_env=False).json()
    except (httpx.HTTPError, ValueError) as error:
        print(f"the model server does not answer: {error!r}")
        return 1
    for model in listing.get("models", listing) if isinstance(listing, dict) else listing:
        print(
            f"  {model.get('model') or model.get('name')}: version {model.get('version')}"
            if isinstance(model, dict)
            else f"  {model}"
        )
    return 0
