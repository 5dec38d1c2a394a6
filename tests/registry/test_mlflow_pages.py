"""MLflow's pages, from its real server with its login."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import mlflow

from include.stack import mlflow_pages
from tests.services import TASKS_LOGIN, Services


def test_a_new_browser_gets_the_pages_of_runs_and_models(services: Services) -> None:
    """The page makes the choice before MLflow's own script reads it."""
    name, password = TASKS_LOGIN.values()
    login = (name, password)
    address = services.tracking_url
    assert address is not None
    assert httpx.get(address, trust_env=False).status_code == 401
    page = httpx.get(address, auth=login, trust_env=False)
    assert page.status_code == 200 and page.headers["Content-Type"].startswith("text/html")
    choice, theirs = page.text.index(mlflow_pages.SCRIPT), page.text.index("<script defer")
    assert choice < theirs
    build = Path(mlflow.__file__).parent / "server" / "js" / "build"
    code = "".join(path.read_text() for path in (build / "static" / "js").glob("main.*.js"))
    key, version = mlflow_pages.KEY.rsplit("_v", 1)
    assert f'key:"{key}",version:{version}' in code and json.loads(mlflow_pages.VALUE) in code
