"""`make status`: what runs, what is down, which versions serve, and which models are frozen."""

from __future__ import annotations

import os
from collections.abc import Mapping

import httpx

from include import catalog
from include.errors import PerennialError, TransientError
from include.registry.rows import Standing
from include.stack import credentials, environment, leftovers, ports
from include.stack.layout import Stack
from include.stack.supervision import State, Supervisor
from include.stack.tour.place import is_tour

NEVER, OUT_OF_SERVICE = "no champion yet", "out of service"


def status(stack: Stack) -> int:
    """Print the status; return 3 if no stack runs, 1 if a part is missing, else 0."""
    if not leftovers.owner(stack):
        print(f"no stack runs on {stack.home}")
        return 3
    try:
        states = Supervisor(stack).states()
    except TransientError:
        print(f"the stack on {stack.home} is starting or stopping: its processes are not known yet")
        return 1
    for state in states:
        print(f"{state.name:<24} {state.described}{ports.taken(stack, state.name)}{_log(stack, state)}")
    print(f"\nAirflow {stack.airflow_url}  MLflow {stack.mlflow_url}  models {stack.serving_url}")
    os.environ.update(environment.perennial_environment(stack))
    listing = _listing(stack)
    if listing is None:
        serving = next((s for s in states if s.name == "serving"), None)
        print(f"the model server does not answer: {serving.described if serving else 'not started yet'}")
    print("\n".join(served(listing, standings())))
    return 0 if listing is not None and all(state.running for state in states) else 1


def _log(stack: Stack, state: State) -> str:
    return f" (see {stack.logs / state.name}.log)" if state.given_up else ""


def _listing(stack: Stack) -> dict[str, int | None] | None:
    """The serving version of each model of the model server; None if the server does not answer."""
    token = credentials.read(stack, "serving_token")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        answer = httpx.get(f"{stack.serving_url}/models", headers=headers, timeout=5, trust_env=False)
        return {str(m["model"]): m.get("version") for m in answer.raise_for_status().json()["models"]}
    except (httpx.HTTPError, ValueError, KeyError):
        return None


def standings() -> dict[str, Standing] | None:
    """The ledger's record of each model, by name; None if the ledger does not answer."""
    from include.registry.ledger import Ledger

    try:
        return {standing.model: standing for standing in Ledger.default().standings()}
    except PerennialError:
        print("the ledger does not answer: which models have a champion, and what is frozen, is not known")
        return None


def served(serving: Mapping[str, int | None] | None, ledger: Mapping[str, Standing] | None) -> list[str]:
    """A line for each model: those that load (by priority), then broken ones and those that serve without a folder.

    Parameters
    ----------
    serving : the serving version of each model of the model server; None if the server does not answer.
    ledger : what should serve, of the models that were ever released; None if it does not answer.
    """
    broken = {e.name: f"broken: {e.problem}" for e in catalog.entries() if e.problem}
    folders = [*(m.name for m in catalog.by_priority()), *broken]
    lines = []
    for name in dict.fromkeys([*folders, *(serving or {}), *(ledger or {})]):
        line = _service(name, serving, ledger, name in folders)
        if is_tour(name) and name not in folders and line == OUT_OF_SERVICE:
            continue  # the ledger keeps what happened in a tour
        if name in broken:
            line = broken[name] if line == NEVER else f"{line}; its folder is {broken[name]}"
        standing = (ledger or {}).get(name)
        if standing and standing.frozen:
            reason = f": {standing.frozen_reason}" if standing.frozen_reason else ""
            line = f"{line}; promotion is frozen{reason}"
        lines.append(f"  {name}: {line}")
    return lines


def _service(
    name: str, serving: Mapping[str, int | None] | None, ledger: Mapping[str, Standing] | None, has_folder: bool
) -> str:
    """Which version of a model serves, using only the answers of the server and the ledger."""
    if (version := (serving or {}).get(name)) is not None:
        return f"version {version}"
    if ledger is None:
        return "not known" if serving is None else "does not serve; whether it has a champion is not known"
    standing = ledger.get(name)
    if standing is not None and standing.version is not None:
        serves = "whether it serves is not known" if serving is None else "it does not serve"
        return f"version {standing.version} is the champion; {serves}"
    return NEVER if has_folder and not (standing and standing.epoch) else OUT_OF_SERVICE
