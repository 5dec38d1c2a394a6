"""Serves validation results and model cards to users who can read the model's DAGs in Airflow.

A plugin's FastAPI app has no authentication of its own, so every route asks Airflow for the user and the permission;
without a token or session the answer is 401, as the API's.
"""

from typing import Annotated, Any

# The pages are ours, but their values come from data, so browsers must not run or fetch anything in them.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, no-store",
}


class Reports:
    """The app, built at the first request.

    Airflow loads every plugin in every process, including tasks, and importing the web server's security takes longer
    than most tasks. So only the web server, which serves the pages, imports it.
    """

    def __init__(self) -> None:
        self._app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self._app is None:
            self._app = create_app()
        await self._app(scope, receive, send)


def create_app() -> Any:
    """Build the app; mounted by the plugin under ``/perennial``."""
    from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
    from fastapi import Depends, FastAPI, HTTPException, Path, Query, Request
    from fastapi.responses import HTMLResponse

    def may_read(kind: str) -> Any:
        def check(request: Request, user: GetUserDep, model: str) -> None:
            requires_access_dag("GET", param_dag_id=f"{model}_{kind}")(request, user)

        return Depends(check)

    app = FastAPI(title="Perennial reports", docs_url=None, redoc_url=None, openapi_url=None)
    Name = Annotated[str, Path(pattern=r"^[a-z][a-z0-9_]{1,49}$")]

    @app.get("/{model}/validation/{partition}", dependencies=[may_read("collect")])
    def validation(
        model: Name,
        partition: Annotated[str, Path(pattern=r"^\d{4}-\d{2}-\d{2}$")],
        batch: Annotated[str, Query(pattern=r"^([0-9a-f]{64}|latest)$")] = "latest",
    ) -> HTMLResponse:
        from include.settings import Settings

        page = Settings.from_environment().lake / model / "validation" / partition / f"{batch}.html"
        if not page.is_file():
            raise HTTPException(404, f"no validation result of {model} {partition}: its `validate` task has not run")
        return HTMLResponse(page.read_text(), headers=HEADERS)

    @app.get("/{model}/card/{version}", dependencies=[may_read("retrain")])
    def card(model: Name, version: int) -> HTMLResponse:
        from include.errors import PerennialError
        from include.registry.bundles import BundleStore
        from include.registry.ledger import Ledger

        try:
            row = Ledger.default().version(model, version)
            if row is None or row.bundle is None:
                raise HTTPException(404, f"{model} has no packaged version {version}")
            page = BundleStore.default().open(model, row.bundle).read("card.html").decode()
        except PerennialError as error:
            raise HTTPException(404, str(error)) from None
        return HTMLResponse(page, headers=HEADERS)

    return app
