"""The overview as JSON (``GET /perennial/api/models``) and as lines (`make status`)."""

from __future__ import annotations

from typing import Any

from include.overview.records import Overview


def to_json(overview: Overview) -> dict[str, Any]:
    """The overview as a JSON document; times in ISO 8601, UTC, and ``null`` for what is not known."""
    raise NotImplementedError


def lines(overview: Overview) -> list[str]:
    """The overview for a terminal: the headline, the problems, then a line for each model and one for what it needs."""
    raise NotImplementedError
