"""Airflow's runs, asked from its web server with a ticket, and the JSON in which it answers.

A task cannot list runs: the Execution API answers about one run or counts those of one DAG, which would be thousands of
calls for 500 models. A worker has neither the password of Airflow's database nor a credential for its API, because it
runs the models' code. So the task asks a read-only route of our plugin (`perennial.console.runs_for_tasks`).
"""

from __future__ import annotations

import logging
import time

from include.watchdog.records import AirflowView

log = logging.getLogger(__name__)

PATIENCE = 20.0
"""Seconds for one answer: Airflow's database has five for each of its queries."""
TRIES, PAUSE = 3, 2.0
"""Attempts, and seconds between two: a web server that restarts is back soon."""


def encode(view: AirflowView) -> bytes:
    """The answer of the web server."""
    import msgspec

    return msgspec.json.encode(view)


def decode(content: bytes) -> AirflowView:
    """The opposite of `encode`.

    Raises
    ------
    ValueError : this is not such an answer, for example because the web server runs another release.
    """
    import msgspec

    return msgspec.json.decode(content, type=AirflowView)


def ask(address: str, headers: dict[str, str]) -> AirflowView | None:
    """The answer of the web server; ``None`` if it does not answer as expected, which is then logged.

    Parameters
    ----------
    headers : with the ticket.
    """
    import httpx

    for attempt in range(1, TRIES + 1):
        try:
            answer = httpx.get(address, headers=headers, timeout=PATIENCE, trust_env=False)
            return decode(answer.raise_for_status().content)
        except (httpx.HTTPError, ValueError) as error:
            problem = f"{type(error).__name__}: {error}"
        if attempt < TRIES:
            time.sleep(PAUSE)
    log.warning("Airflow's web server did not report its runs (%s): what they would show stays unknown.", problem)
    return None
