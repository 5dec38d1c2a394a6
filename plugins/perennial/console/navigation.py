"""The entry *Models* in Airflow's navigation. Imported by the plugin in every process, so it imports nothing heavy."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlsplit

from perennial.console.app import PREFIX

MODELS = "/-/models"
"""The page of all models, below `PREFIX`. No model can be named ``-``, and no other route has this segment."""
ROUTE = "models"
"""The segment of Airflow's own address of the page: ``/plugin/models``."""

ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke="#fff" stroke-width="2" '
    'stroke-linecap="round" stroke-linejoin="round"><rect width="24" height="24" rx="5" fill="#1f7a5c" stroke="none"/>'
    '<path d="M5 16l4.5-5 3.5 3 6-7"/><circle cx="19" cy="7" r="1" fill="#fff"/></svg>'
)
"""A tile, because Airflow shows it on a light, a dark and (when the page is open) a blue background."""


def base_path() -> str:
    """The path of Airflow's base URL without a slash at its end: "" unless Airflow is served below a path."""
    from airflow.sdk.configuration import conf

    return urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/")


def external_views() -> list[dict[str, Any]]:
    """What the plugin registers."""
    return [
        {
            "name": "Models",
            "href": f"{base_path()}{PREFIX}{MODELS}",
            "destination": "nav",
            "nav_top_level": True,
            "url_route": ROUTE,
            "icon": f"data:image/svg+xml,{quote(ICON)}",
        }
    ]
