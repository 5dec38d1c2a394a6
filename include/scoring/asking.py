"""Asks the model server of this deployment once what it serves, and how many requests it had in the last 24 hours."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from include.settings import Settings

if TYPE_CHECKING:
    from include.scoring.messages import ModelStatus

log = logging.getLogger(__name__)


def statuses(seconds: float) -> list[ModelStatus] | None:
    """The status of each model; ``None`` if no server is configured, or if it does not answer in time or as expected.

    Parameters
    ----------
    seconds : that the server has to accept the connection, and for each part of its answer.
    """
    import httpx
    import msgspec

    from include.scoring.messages import ModelStatus

    settings = Settings.from_environment()
    if settings.serving_url is None:
        return None
    headers = {"Authorization": f"Bearer {settings.serving_token}"} if settings.serving_token else {}
    try:
        answer = httpx.get(f"{settings.serving_url}/models", headers=headers, timeout=seconds, trust_env=False)
        return msgspec.json.decode(answer.raise_for_status().content, type=dict[str, list[ModelStatus]])["models"]
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError) as error:
        log.info("The model server at %s did not answer (%s: %s).", settings.serving_url, type(error).__name__, error)
        return None
