"""`make night`: a whole night of one model now, on the running stack: collect what is missing, retrain, release."""

from __future__ import annotations

import os
from collections.abc import Mapping

from include import catalog
from include.errors import ConfigurationError
from include.partitions import utc_now
from include.progress import Progress
from include.spec import Model
from include.stack import asked, environment, leftovers
from include.stack.airflow_api import AirflowApi
from include.stack.first_champions import has_champion, wait_for_dags
from include.stack.following import Follower, RunFailed, Runs, left_out
from include.stack.layout import Stack
from include.stack.newcomers import Newcomers, refusal


def night(stack: Stack, model_name: str | None, seed: str | None = None, force: str | None = None) -> int:
    """Run a night; prints the outcome as one line, last. 0 for a decision, 1 for a failure.

    Parameters
    ----------
    model_name : ``None`` if there is only one model.
    seed : ``SEED=``, a random seed other than the model's.
    force : ``FORCE=1``, train even if nothing has changed since the last decision.

    Raises
    ------
    ConfigurationError : no stack runs on this home; the model does not exist, or there are several and none was named;
        a value is wrong; or the model has no champion yet and its folder has mistakes.
    """
    model = catalog.chosen(model_name, "night")
    conf: dict[str, object] = {}
    if (number := asked.seed(seed)) is not None:
        conf["seed"] = number
    if asked.force(force):
        conf["force"] = True
    follower = connected(stack, model)
    progress = Progress()
    try:
        require_no_mistakes(stack, follower, progress)
        return _night(follower, progress, conf)
    except RunFailed as failure:
        progress.say(f"{model.name}: FAILED: {failure}")
        return 1
    except KeyboardInterrupt:
        progress.say(
            f"\nno longer followed: its runs continue in Airflow ({follower.url('retrain')} and "
            f"{follower.url('load')})."
        )
        return 130


def require_no_mistakes(stack: Stack, follower: Follower, progress: Progress) -> None:
    """Refuse the first night of a folder that `make run` would not train either.

    A model that has a champion is not linted: its gate compares, and its champion continues to serve.

    Raises
    ------
    ConfigurationError : the folder has mistakes; with the first of them.
    """
    name = follower.model.name
    if follower.patiently(lambda: has_champion(follower.model)):
        return
    with progress.step(f"{name}: lint"):
        problems = Newcomers(stack, starting=False).mistakes(name)
    if problems:
        raise ConfigurationError(refusal(name, problems, f"make night MODEL={name}"))


def _night(follower: Follower, progress: Progress, conf: Mapping[str, object]) -> int:
    model = follower.model
    days = model.training.days_needed
    if follower.patiently(lambda: follower.api.dag(f"{model.name}_collect")) is None:
        # the model is new: Airflow looks for new DAGs every few seconds
        with progress.step(f"{model.name}: DAGs") as report:
            wait_for_dags(follower, report)
    last = follower.newest()
    missing = follower.missing(days, last)
    left = []
    if missing:
        with progress.bar(f"{model.name}: load missing days", len(missing)) as advance:
            left = follower.load(days, advance, missing, last)
    if left:
        progress.say(left_out(model, left))
    with progress.step(f"{model.name}: retrain and release") as report:
        outcome = follower.retrain(f"night__{utc_now():%Y-%m-%dT%H-%M-%S}", report, conf={"as_of": last.key, **conf})
    progress.say(outcome.sentence)
    return 0


def connected(stack: Stack, model: Model) -> Follower:
    """A follower of a model's runs on the stack of this home; from then on, `include.settings` points at it as well.

    Raises
    ------
    ConfigurationError : no stack runs there.
    """
    runs = runs_on(stack)
    return Follower(runs.api, model, runs.check)


def runs_on(stack: Stack) -> Runs:
    """Like `connected`, for runs that work without the model's folder."""
    if not leftovers.owner(stack):
        raise ConfigurationError(f"no stack runs on {stack.home}: start it with `make run` in another terminal.")
    stack = stack.as_recorded()
    os.environ.update(environment.perennial_environment(stack))
    return Runs(AirflowApi(stack), lambda: _still_there(stack))


def _still_there(stack: Stack) -> None:
    if not leftovers.owner(stack):
        raise RunFailed(f"the stack on {stack.home} was stopped in the meantime")
