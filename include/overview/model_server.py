"""Asks the model server once what it serves, and how many requests it had in the last 24 hours."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from include.overview.records import Live, ServedModel, Server
from include.settings import Settings

if TYPE_CHECKING:
    from include.scoring.messages import ModelStatus

log = logging.getLogger(__name__)

PATIENCE = 0.5
"""Seconds that the server has for its answer; a page must not wait for a server that hangs."""


def ask(seconds: float = PATIENCE) -> Server | None:
    """The answer of the model server of this deployment; ``None`` if it does not answer in time, or as expected."""
    import httpx
    import msgspec

    from include.scoring.messages import ModelStatus

    settings = Settings.from_environment()
    if settings.serving_url is None:
        return None
    headers = {"Authorization": f"Bearer {settings.serving_token}"} if settings.serving_token else {}
    try:
        answer = httpx.get(f"{settings.serving_url}/models", headers=headers, timeout=seconds, trust_env=False)
        found = msgspec.json.decode(answer.raise_for_status().content, type=dict[str, list[ModelStatus]])["models"]
    except (httpx.HTTPError, ValueError, KeyError) as error:
        log.info("The model server at %s did not answer (%s: %s).", settings.serving_url, type(error).__name__, error)
        return None
    return Server({status.model: _served(status) for status in found})


def _served(status: ModelStatus) -> ServedModel:
    recent = status.recent
    live = None
    if recent:  # neither null nor unset
        live = Live(recent.requests, recent.errors, recent.invalid, recent.p95_ms, recent.hours)
    return ServedModel(status.model, status.version, status.pending_error or status.reason, live)
