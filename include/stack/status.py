"""`make status`: what runs, what is down, and how every model is, as on the Models page."""

from __future__ import annotations

import os

from include.errors import TransientError
from include.overview import model_server
from include.overview.all_models import overview
from include.overview.document import lines
from include.partitions import utc_now
from include.stack import airflow_runs, environment, leftovers, ports
from include.stack.airflow_api import AirflowApi
from include.stack.layout import Stack
from include.stack.supervision import State, Supervisor

PATIENCE = 5.0  # seconds that the model server has for its answer


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
    server = model_server.ask(PATIENCE)
    if server is None:
        serving = next((s for s in states if s.name == "serving"), None)
        print(f"the model server does not answer: {serving.described if serving else 'not started yet'}")
    now = utc_now()
    print("\n".join(["", *lines(overview(airflow_runs.runs(AirflowApi(stack), now), now))]))
    return 0 if server is not None and all(state.running for state in states) else 1


def _log(stack: Stack, state: State) -> str:
    return f" (see {stack.logs / state.name}.log)" if state.given_up else ""
