"""The documentation pages: Swagger UI from this server's own files, the description of the routes behind the token.

The page itself contains no model name. It asks for the token, keeps it in the tab (``sessionStorage``), and fetches
``/openapi.json`` with it. Its content security policy lets it load from and talk to this server only.
"""

from __future__ import annotations

from pathlib import Path
from string import Template

from fastapi import FastAPI, Request
from fastapi.params import Depends
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from starlette.responses import Response
from starlette.types import Scope

FILES = Path(__file__).parent / "docs"
SWAGGER_UI = ("fastapi_swagger", "resources")
"""Package and folder of Swagger UI's script and style sheet."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",  # revalidated, and answered with 304
}


class _Assets(StaticFiles):
    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(HEADERS)
        return response


def add_documentation(app: FastAPI, guarded: list[Depends], token_required: bool) -> None:
    """Add ``/``, ``/docs`` with its files, and ``/openapi.json``.

    Parameters
    ----------
    guarded : dependencies of the routes that require the token.
    token_required : whether the server has a token; the page then asks for it before its first request.
    """
    page = Template((FILES / "page.html").read_text()).substitute(required=str(token_required).lower())

    @app.get("/", include_in_schema=False)
    async def root() -> Response:
        return RedirectResponse("docs")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(page, headers=HEADERS)

    @app.get(
        "/openapi.json", tags=["documentation"], summary="This description", dependencies=guarded,
        response_class=Response, responses={200: {"content": {"application/json": {"schema": {"type": "object"}}}}},
    )  # fmt: skip
    async def description(request: Request) -> Response:
        return JSONResponse(request.app.openapi(), headers={"Cache-Control": "no-store"})

    app.mount("/docs/assets", _Assets(directory=FILES, packages=[SWAGGER_UI]), name="assets")
