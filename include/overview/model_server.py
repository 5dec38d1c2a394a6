"""Asks the model server once what it serves, and how many requests it had in the last 24 hours, for a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.overview.records import Live, ServedModel, Server
from include.scoring import asking

if TYPE_CHECKING:
    from include.scoring.messages import ModelStatus

PATIENCE = 0.5
"""Seconds that the server has for its answer; a page must not wait for a server that hangs."""


def ask(seconds: float = PATIENCE) -> Server | None:
    """The answer of the model server of this deployment; ``None`` if it does not answer in time, or as expected."""
    found = asking.statuses(seconds)
    return None if found is None else Server({status.model: _served(status) for status in found})


def _served(status: ModelStatus) -> ServedModel:
    recent = status.recent
    live = None
    if recent:  # neither null nor unset
        live = Live(recent.requests, recent.errors, recent.invalid, recent.p95_ms, recent.hours)
    return ServedModel(status.model, status.version, status.pending_error or status.reason, live)
