"""The model server as an ASGI application: status, metrics and documentation with FastAPI, predictions beside it.

With a token set (``PERENNIAL_SERVING_TOKEN``), all that names a model asks for ``Authorization: Bearer <token>``:
``/metrics``, too, so a Prometheus needs ``authorization: credentials``. Without it, ``/health/*`` answers whether the
server is alive and ready, and nothing else; ``/docs`` is a page that asks for the token.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from include.serving.collector import StateCollector
from include.serving.documentation import add_documentation
from include.serving.metrics import Metrics
from include.serving.openapi import example_row, with_predictions
from include.serving.predict import PredictEndpoint, Receive, Scope, Send, authorized
from include.serving.spool import Spool, SpoolCounts
from include.serving.watcher import ModelState, Watcher, store_and_local
from include.settings import Settings
from include.spelling import did_you_mean

logger = logging.getLogger(__name__)


class ModelStatus(BaseModel):
    """What this server serves of one model, and what stands in the way of something newer."""

    model: str
    serving: bool
    version: int | None = Field(description="The version in service.")
    digest: str | None = Field(description="SHA-256 that names its bundle.")
    epoch: int | None = Field(description="Grows by one with every promotion and rollback.")
    released_at: str | None
    run_id: str | None = Field(description="The Airflow run that put it into service.")
    loaded_at: str | None
    source: str | None = Field(description="`store`, or `local copy` where the server started without the store.")
    pending_error: str | None = Field(description="Why a newer release record is not in service.")
    pending_digest: str | None = Field(description="SHA-256 of the bundle that `pending_error` is about, if it is one.")
    reason: str | None = Field(description="Why nothing is in service.")


class ModelDetails(ModelStatus):
    """The same, with the input contract and a made-up row to try."""

    inputs: list[dict[str, Any]] | None = None
    example: dict[str, Any] | None = None


class Models(BaseModel):
    """All models that this server knows."""

    models: list[ModelStatus]


class Health(BaseModel):
    """Health of the server; a model that is not in service is named and does not make it unready."""

    status: str
    serving: list[str] | None = Field(default=None, description="Models in service; only for those who send the token.")
    not_serving: dict[str, str] | None = Field(default=None, description="The others, each with the reason; likewise.")


class ModelServer(FastAPI):
    """FastAPI, except that predictions are answered before its routing."""

    predict: PredictEndpoint
    spool: Spool | None = None
    watcher: Watcher

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["type"] == "http" else ""
        if path.startswith("/models/") and path.endswith("/predict") and len(path) > 16:
            await self.predict(scope, receive, send, path[8:-8])
        else:
            await super().__call__(scope, receive, send)


def create_app(settings: Settings | None = None) -> ModelServer:
    """The application; it begins to follow the release records and to spool when it is started (lifespan)."""
    settings = settings or Settings.from_environment()
    metrics = Metrics()
    store, local = store_and_local(settings.bundles, settings.home)
    watcher = Watcher(store, local, metrics)
    token = settings.serving_token.encode() if settings.serving_token else None

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        assert isinstance(app, ModelServer)
        app.spool = app.predict.spool = Spool(settings.spool)
        watcher.start()
        logger.info("Serving from %s, spool %s.", settings.bundles, app.spool.folder)
        try:
            yield
        finally:
            watcher.stop()
            app.predict.close()
            app.spool.close()
            counts = app.spool.counts
            logger.info("Stopped: %d predictions spooled, %d dropped.", counts.written, counts.dropped)

    app = ModelServer(
        title="Perennial model server",
        version="1",
        description="Predictions of every model that has a champion. Every answer names the model, version and bundle "
        "digest that made it.",
        lifespan=lifespan,
        redirect_slashes=False,  # such a redirect would lead to the host that the client names
        openapi_url=None,  # behind the token, and the page without files from the internet: `documentation`
    )
    app.watcher = watcher
    app.predict = PredictEndpoint(watcher, metrics, settings.serving_token)

    def spool_counts() -> SpoolCounts:
        return app.spool.counts if app.spool else SpoolCounts()

    metrics.registry.register(StateCollector(lambda: watcher.states, lambda: watcher.store_reachable, spool_counts))
    _add_routes(app, watcher, metrics, token)
    describe = app.openapi

    def openapi() -> dict[str, Any]:
        return with_predictions(describe(), watcher.served, token is not None)

    app.openapi = openapi  # type: ignore[method-assign]
    return app


class _Unauthorized(Exception):
    pass


def _add_routes(app: FastAPI, watcher: Watcher, metrics: Metrics, token: bytes | None) -> None:
    def has_token(request: Request) -> bool:
        given = request.headers.get("authorization")
        return authorized(given.encode("latin-1") if given else None, token)

    def with_token(request: Request) -> None:
        if not has_token(request):
            raise _Unauthorized

    async def unauthorized(request: Request, error: Exception) -> Response:
        problem = "send the header `Authorization: Bearer <token>` with this server's token"
        return _problem(401, problem, {"WWW-Authenticate": "Bearer"})

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        problem = f"{request.url.path[:60]!r} is not a page of this server: see /docs"
        if error.status_code == 405:
            problem = f"send a {(error.headers or {}).get('Allow', 'GET')}"
        return _problem(error.status_code, problem, dict(error.headers or {}))

    async def failed(request: Request, error: Exception) -> Response:
        return _problem(500, "the server failed; its log has the traceback")

    app.add_exception_handler(_Unauthorized, unauthorized)
    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(Exception, failed)
    guarded = [Depends(with_token)]
    add_documentation(app, guarded, token is not None)

    @app.get(
        "/health/live", tags=["health"], summary="Is the process alive?", response_model_exclude_none=True
    )  # fmt: skip
    async def live() -> Health:
        return Health(status="live")

    @app.get(
        "/health/ready", tags=["health"], summary="Has every release record been looked at?",
        responses={503: {"model": Health}}, response_model_exclude_none=True,
    )  # fmt: skip
    async def ready(request: Request, response: Response) -> Health:
        if not watcher.first_look_done.is_set():
            response.status_code = 503
            return Health(status="starting")
        if not has_token(request):
            return Health(status="ready")
        states = watcher.states.values()
        return Health(
            status="ready",
            serving=sorted(state.name for state in states if state.served),
            not_serving={state.name: state.reason or "" for state in states if not state.served},
        )

    @app.get(
        "/metrics", tags=["health"], summary="Prometheus metrics", dependencies=guarded, response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )  # fmt: skip
    def prometheus() -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/models", tags=["models"], summary="All models", dependencies=guarded)
    async def models() -> Models:
        return Models(models=[ModelStatus(**s.as_dict()) for _, s in sorted(watcher.states.items())])

    @app.get(
        "/models/{name}", tags=["models"], summary="One model", dependencies=guarded, response_model=ModelDetails,
        responses={404: {"description": "No model of this name."}, 503: {"model": ModelDetails}},
    )  # fmt: skip
    async def model(name: str) -> Response:
        state = watcher.states.get(name)
        if state is None:
            return _problem(404, f"no model {name[:60]!r}{did_you_mean(name[:60], watcher.states)}")
        return JSONResponse(_details(state).model_dump(), 200 if state.served else 503)


def _details(state: ModelState) -> ModelDetails:
    details = ModelDetails(**state.as_dict())
    if state.served is not None:
        details.inputs = list(state.served.predictor.schema["columns"])
        details.example = {"rows": [example_row(state.served)]}
    return details


def _problem(status: int, problem: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"detail": [{"row": None, "field": None, "problem": problem}]}, status, headers)
