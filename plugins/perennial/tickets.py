"""A ticket with which the running task of `perennial_watchdog` asks the web server for Airflow's runs.

A worker runs the models' code, so it has neither the password of Airflow's database nor a credential for its API. But
a task can write XComs, because the Execution API knows it by a token that Airflow's supervisor keeps. So the task makes
a secret, writes its digest as an XCom, and sends the secret to the web server, which looks for a digest that a running
task of this DAG wrote in the last minutes. A ticket opens one read-only route and nothing else; nothing about it needs
to be configured, stored by us, or cleaned up; and the XCom, which people can read, is worth nothing.

Recording failed runs by a listener (`on_dag_run_failed`) would be simpler, but Airflow calls it in the scheduler, which
would wait for the ledger, and what ends while the scheduler is killed would be lost. The web server reads the state
itself, so a look after a crash finds what the one before would have found.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta

DAG_ID = "perennial_watchdog"
KEY = "perennial_ticket"
"""Of the XCom with the digest."""
PREFIX, PATH = "/perennial-runs", "/watchdog"
"""Where the route is, on the web server that also serves the Execution API to the task."""
VALID = timedelta(minutes=5)
HEADER = "Authorization"
_SECRET = re.compile(r"Bearer ([A-Za-z0-9_-]{43})")
_EXECUTION = "/execution/"


@dataclass(frozen=True)
class Ticket:
    """A new secret; `digest` is what may be known."""

    secret: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    @property
    def digest(self) -> str:
        return digest(self.secret)

    @property
    def headers(self) -> dict[str, str]:
        """Of the request."""
        return {HEADER: f"Bearer {self.secret}"}


def digest(secret: str) -> str:
    """SHA-256 as hexadecimal text."""
    return hashlib.sha256(secret.encode()).hexdigest()


def secret_in(header: str | None) -> str | None:
    """The secret in a request's header; ``None`` if it is not the header of a ticket."""
    found = _SECRET.fullmatch(header or "")
    return found[1] if found else None


def known(secret: str, digests: Iterable[object]) -> bool:
    """Whether one of these digests is that of the secret."""
    mine = digest(secret)
    return any(isinstance(one, str) and hmac.compare_digest(one.encode(), mine.encode()) for one in digests)


def address(execution_api: str) -> str | None:
    """The address of the route, from that of the Execution API (``[core] execution_api_server_url``); ``None`` if that
    is not served by Airflow's web server as usual."""
    base = execution_api.rstrip("/") + "/"
    return base.removesuffix(_EXECUTION) + PREFIX + PATH if base.endswith(_EXECUTION) else None
