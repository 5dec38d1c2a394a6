"""Validation results and model cards: documents that were written when a day was validated or a model packaged."""

from __future__ import annotations

from typing import Annotated, Any

from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request
from fastapi.responses import HTMLResponse

from include.errors import PerennialError, TransientError
from include.settings import Settings
from include.spec.bounds import LARGEST_VERSION

# The documents have their own style sheet inside. Their values come from data, so browsers must not run or fetch
# anything in them.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, no-store",
}
Name = Annotated[str, Path(pattern=r"^[a-z][a-z0-9_]{1,49}$")]
Version = Annotated[int, Path(ge=1, le=LARGEST_VERSION)]

router = APIRouter()


def may_read(kind: str) -> Any:
    """The dependency of a route that shows what a DAG of the model made."""

    def check(request: Request, user: GetUserDep, model: str) -> None:
        requires_access_dag("GET", param_dag_id=f"{model}_{kind}")(request, user)

    return Depends(check)


@router.get("/{model}/validation/{partition}", dependencies=[may_read("collect")])
def validation(
    model: Name,
    partition: Annotated[str, Path(pattern=r"^\d{4}-\d{2}-\d{2}$")],
    batch: Annotated[str, Query(pattern=r"^([0-9a-f]{64}|latest)$")] = "latest",
) -> HTMLResponse:
    page = Settings.from_environment().lake / model / "validation" / partition / f"{batch}.html"
    if not page.is_file():
        raise HTTPException(404, f"no validation result of {model} {partition}: its `validate` task has not run")
    return HTMLResponse(page.read_text(), headers=HEADERS)


@router.get("/{model}/card/{version}", dependencies=[may_read("retrain")])
def card(model: Name, version: Version) -> HTMLResponse:
    from include.registry.bundles import BundleStore
    from include.registry.ledger import Ledger

    try:
        row = Ledger.default().version(model, version)
        if row is None or row.bundle is None:
            raise HTTPException(404, f"{model} has no packaged version {version}")
        page = BundleStore.default().open(model, row.bundle).read("card.html").decode()
    except TransientError:  # the ledger does not answer, which is a page of its own
        raise
    except PerennialError as error:
        raise HTTPException(404, str(error)) from None
    return HTMLResponse(page, headers=HEADERS)
