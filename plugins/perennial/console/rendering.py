"""HTML from templates: escaped, with the headers that keep anything in a value from running."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from perennial.console import (
    addresses,
    charts,
    distribution_chart,
    drift_chart,
    performance_chart,
    static,
    watched_words,
    words,
)
from perennial.console.actions import can_retry

TEMPLATES = Path(__file__).with_name("templates")
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "private, no-store",
}


@cache
def environment() -> Environment:
    """The templates. Every value is escaped; a name that is not given is an error, not an empty text."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.globals |= {"to": addresses, "draw": charts, "words": words, "static": static.address, "can_retry": can_retry}
    made.globals |= {"watched_words": watched_words, "heat": drift_chart, "then_and_now": distribution_chart}
    made.globals |= {"over_time": performance_chart}
    made.filters |= words.FILTERS
    return made


def page(template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page of this template with these values."""
    return HTMLResponse(environment().get_template(template).render(values), status, HEADERS)
