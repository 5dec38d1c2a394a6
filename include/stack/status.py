"""`make status`: what runs, what is down, which versions serve, and which models are frozen."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import httpx

from include import catalog
from include.errors import PerennialError, TransientError
from include.registry.rows import Standing
from include.stack import credentials, environment, leftovers, ports
from include.stack.layout import Stack
from include.stack.supervision import State, Supervisor


def status(stack: Stack) -> int:
    """Print it; 3 when no stack runs, 1 when a part is missing, else 0."""
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
    print("\n".join(served(listing or [], standings(listing or []))))
    return 0 if listing is not None and all(state.running for state in states) else 1


def _log(stack: Stack, state: State) -> str:
    return f" (see {stack.logs / state.name}.log)" if state.given_up else ""


def _listing(stack: Stack) -> list[dict[str, Any]] | None:
    """The models of the model server; None if it does not answer."""
    token = credentials.read(stack, "serving_token")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        answer = httpx.get(f"{stack.serving_url}/models", headers=headers, timeout=5, trust_env=False)
        listing: list[dict[str, Any]] = answer.raise_for_status().json()["models"]
    except (httpx.HTTPError, ValueError, KeyError):
        return None
    return listing


def standings(listing: Sequence[dict[str, Any]]) -> dict[str, Standing]:
    """What the ledger says about each model, by name; empty if it does not answer."""
    from include.registry.ledger import Ledger

    names = {*catalog.folders(), *(str(m["model"]) for m in listing)}
    try:
        return {name: Ledger.default().standing(name) for name in sorted(names)}
    except PerennialError:
        print("the ledger does not answer: what is frozen is not known")
        return {}


def served(listing: Sequence[dict[str, Any]], ledger: dict[str, Standing]) -> list[str]:
    """A line for each model: those of the house by priority, broken ones, and what serves without a folder."""
    lines = {m.name: "no champion yet" for m in catalog.by_priority()}
    lines |= {e.name: f"broken: {e.problem}" for e in catalog.entries() if e.problem}
    for state in listing:
        name = str(state["model"])
        if state.get("version") is not None:
            broken = f"; its folder is {lines[name]}" if lines.get(name, "").startswith("broken") else ""
            lines[name] = f"version {state['version']}{broken}"
        else:
            lines.setdefault(name, "out of service")
    for name, standing in ledger.items():
        if standing.frozen:
            reason = f": {standing.frozen_reason}" if standing.frozen_reason else ""
            lines[name] = f"{lines.get(name, 'out of service')}; promotion is frozen{reason}"
    return [f"  {name}: {line}" for name, line in lines.items()]
