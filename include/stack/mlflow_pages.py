"""MLflow's server with its login, whose pages show runs and models to a browser that was never there before.

MLflow 3 shows a browser its pages for GenAI (traces, prompts) until the user switches to *Model training*. The choice
is kept in the browser's local storage, and the kind of an experiment (``mlflow.experimentKind``) does not change it. So
our page makes the other choice once; a user who switches back keeps it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

FACTORY = f"{__name__}:create_app"
KEY, VALUE = "mlflow.workflowType_v1", '"machine_learning"'
SCRIPT = (
    f"""<script>try{{if(!localStorage.getItem("{KEY}"))localStorage.setItem("{KEY}",'{VALUE}')}}catch(e){{}}</script>"""
)


def create_app() -> Any:
    """MLflow's own app with its login, called by the web server in each of its processes."""
    from mlflow.server import app, auth

    made = auth.create_app(app)
    original = app.view_functions["serve"]

    def serve() -> Any:
        page = Path(str(app.static_folder)) / "index.html"
        return with_choice(page.read_text()) if page.is_file() else original()

    app.view_functions["serve"] = serve
    return made


def with_choice(page: str) -> str:
    """The page with `SCRIPT` before its other scripts, which are deferred; as it is, if it has no head."""
    return page.replace("<head>", f"<head>{SCRIPT}", 1)
