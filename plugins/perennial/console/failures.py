"""What a user sees instead of a page: a sentence about the reason, as a page, or as JSON for the JSON route."""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.app import get_auth_manager
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from include.errors import PerennialError
from perennial.console import rendering

TITLES = {
    401: "You are not logged in",
    403: "You may not see this",
    404: "There is no such page",
    422: "This address is not valid",
    500: "This page failed",
    503: "A service does not answer",
}
UNEXPECTED = "An unexpected error. It is in the log of Airflow's API server. Other pages still work."
NO_LOGIN = "This page needs a login of Airflow. You are not logged in, or your session has expired."


def install(app: FastAPI) -> None:
    """Make the app answer errors in these words."""

    @app.exception_handler(HTTPException)
    def refused(request: Request, error: HTTPException) -> Response:
        return answer(request, error.status_code, str(error.detail))

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> Response:
        return answer(request, 422, "; ".join(map(_problem, error.errors())))

    @app.exception_handler(PerennialError)
    def failed(request: Request, error: PerennialError) -> Response:
        return answer(request, 503, str(error))

    @app.exception_handler(Exception)
    def unexpected(request: Request, error: Exception) -> Response:
        return answer(request, 500, UNEXPECTED)  # the server also logs the error with its traceback


def answer(request: Request, status: int, detail: str) -> Response:
    """The page about a failure."""
    if _path(request).startswith("/api/"):
        return JSONResponse({"detail": detail}, status, rendering.HEADERS)
    if status == 401 or "Invalid JWT" in detail:  # Airflow answers 403 for a login that it did not issue
        next_url = str(request.url.path) + (f"?{request.url.query}" if request.url.query else "")
        login = get_auth_manager().get_url_login(next_url=next_url)
        return rendering.page("login.html.j2", status, title=TITLES[401], detail=NO_LOGIN, login=login)
    return rendering.page("failure.html.j2", status, title=TITLES.get(status, f"Error {status}"), detail=detail)


def _path(request: Request) -> str:
    """The path below the place at which the app is mounted."""
    return request.url.path.removeprefix(str(request.scope.get("root_path", "")))


def _problem(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"][1:])
    return f"{where}: {error['msg'][:1].lower()}{error['msg'][1:]}"
