"""The entry *Models* in Airflow's navigation. Imported by the plugin in every process, so it imports nothing heavy."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlsplit

from perennial.console.app import PREFIX

MODELS = "/-/models"
"""The page of all models, below `PREFIX`. No model can be named ``-``, and no other route has this segment."""
ROUTE = "models"
"""The segment of Airflow's own address of the page: ``/plugin/models``."""

_LIGHT, _DARK = "#52525b", "#a1a1aa"  # Airflow's colours of the other entries
_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke="{colour}" stroke-width="2" '
    'stroke-linecap="round" stroke-linejoin="round"><path d="M3 20h18"/><path d="M4 15l5-5 4 3 7-8"/>'
    '<circle cx="20" cy="5" r="1.5"/></svg>'
)


def base_path() -> str:
    """The path of Airflow's base URL without a slash at its end: "" unless Airflow is served below a path."""
    from airflow.sdk.configuration import conf

    return urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/")


def icon(colour: str) -> str:
    """The icon as a data URI, so that it needs no route."""
    return f"data:image/svg+xml,{quote(_ICON.format(colour=colour))}"


def external_views() -> list[dict[str, Any]]:
    """What the plugin registers."""
    return [
        {
            "name": "Models",
            "href": f"{base_path()}{PREFIX}{MODELS}",
            "destination": "nav",
            "nav_top_level": True,
            "url_route": ROUTE,
            "icon": icon(_LIGHT),
            "icon_dark_mode": icon(_DARK),
        }
    ]
