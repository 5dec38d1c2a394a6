"""The model server as an ASGI application: status, metrics and documentation with FastAPI, predictions without it.

With a token set (``PERENNIAL_SERVING_TOKEN``), all that names a model requires ``Authorization: Bearer <token>``:
``/metrics``, too, so a Prometheus needs ``authorization: credentials``. Without it, ``/health/*`` answers whether the
server is alive and ready, and nothing else; ``/docs`` is a page that asks for the token.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from fastapi import Depends, FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException

from include.scoring.messages import Error, ModelStatus, Problem, Recent
from include.serving.collector import StateCollector
from include.serving.documentation import add_documentation
from include.serving.metrics import Metrics
from include.serving.openapi import Document, content, example_row, with_predictions
from include.serving.place import Place
from include.serving.predict import PredictEndpoint, Receive, Rows, Scope, Send, authorized
from include.serving.recent import together
from include.serving.siblings import SILENT, Alone, Report, Siblings, furthest_behind
from include.serving.spool import Spool
from include.serving.status import Health, ModelDetails, Models
from include.serving.watcher import ModelState, Watcher, store_and_local
from include.settings import Settings
from include.spelling import did_you_mean

logger = logging.getLogger(__name__)


class ModelServer(FastAPI):
    """FastAPI, except that predictions are answered before its routing."""

    metrics: Metrics
    predict: PredictEndpoint
    spool: Spool | None = None
    watcher: Watcher

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["type"] == "http" else ""
        if path.startswith("/models/") and path.endswith("/predict") and len(path) > 16:
            await self.predict(scope, receive, send, path[8:-8])
        else:
            await super().__call__(scope, receive, send)


def create_app(settings: Settings | None = None, place: Place | None = None) -> ModelServer:
    """The application; it starts to follow the release records and to spool on startup (lifespan).

    Parameters
    ----------
    place : among the workers of the server; ``None`` if this is its only process.
    """
    settings = settings or Settings.from_environment()
    metrics = Metrics()
    store, local = store_and_local(settings.bundles, settings.home)
    watcher = Watcher(store, local, metrics)
    token = settings.serving_token.encode() if settings.serving_token else None

    def report(model: str | None) -> Report:
        states = watcher.states
        if model is None:
            found = [ModelDetails(**msgspec.structs.asdict(state.status())) for _, state in sorted(states.items())]
        else:
            found = [_details(states[model])] if model in states else []
        return Report(watcher.first_look_done.is_set(), found)

    def exposition() -> bytes:
        return generate_latest(metrics.registry)

    sides = (report, exposition, metrics.recent.read)
    processes = Siblings(place, *sides) if place is not None else Alone(*sides)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        assert isinstance(app, ModelServer)
        app.spool = app.predict.spool = Spool(settings.spool, scores=metrics.scores)
        watcher.start()
        await processes.start()
        logger.info("Serving from %s, spool %s.", settings.bundles, app.spool.folder)
        try:
            yield
        finally:
            await processes.stop()
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
    app.metrics, app.watcher = metrics, watcher
    app.predict = PredictEndpoint(watcher, metrics, settings.serving_token)

    metrics.registry.register(StateCollector(watcher, lambda: app.spool, metrics.scores))
    _add_routes(app, watcher, processes, token)
    describe = app.openapi

    def openapi() -> Document:
        return with_predictions(describe(), watcher.served, token is not None)

    app.openapi = openapi  # type: ignore[method-assign]
    return app


class _Unauthorized(Exception):
    pass


def _add_routes(app: FastAPI, watcher: Watcher, processes: Alone, token: bytes | None) -> None:
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
        "/health/live", tags=["health"], summary="Is the process alive?", response_class=Response,
        responses={200: {"content": content(Health)}},
    )  # fmt: skip
    async def live() -> Response:
        return _json(Health("live"))

    @app.get(
        "/health/ready", tags=["health"], summary="Has every release record been read?", response_class=Response,
        responses={200: {"content": content(Health)}, 503: {"content": content(Health)}},
    )  # fmt: skip
    async def ready(request: Request) -> Response:
        reports = await processes.reports()
        if not all(report is not None and report.ready for report in reports):
            return _json(Health("starting"), 503)
        if not has_token(request):
            return _json(Health("ready"))
        states = furthest_behind(reports, watcher.released).values()
        serving = [state.model for state in states if state.serving]
        return _json(Health("ready", serving, {s.model: s.reason or "" for s in states if not s.serving}))

    @app.get(
        "/metrics", tags=["health"], summary="Prometheus metrics", dependencies=guarded, response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )  # fmt: skip
    async def prometheus() -> Response:
        return Response(await processes.metrics(), media_type=CONTENT_TYPE_LATEST)

    @app.get(
        "/models", tags=["models"], summary="All models", dependencies=guarded, response_class=Response,
        responses={200: {"content": content(Models)}},
    )  # fmt: skip
    async def models() -> Response:
        reports, counted = await asyncio.gather(processes.reports(), processes.recent())
        states = furthest_behind(reports, watcher.released)
        recent = together(counted, states)
        return _json(Models([_status(state, recent.get(name)) for name, state in states.items()]))

    @app.get(
        "/models/{name}", tags=["models"], summary="One model", dependencies=guarded, response_class=Response,
        responses={
            200: {"content": content(ModelDetails)},
            404: {"description": "No model of this name."},
            503: {"content": content(ModelDetails)},
        },
    )  # fmt: skip
    async def model(name: str) -> Response:
        reports = await processes.reports(name)
        if None in reports:
            return _problem(503, SILENT, {"Retry-After": "1"})
        state = furthest_behind(reports, watcher.released).get(name)
        if state is None:
            return _problem(404, f"no model {name[:60]!r}{did_you_mean(name[:60], watcher.states)}")
        return _json(state, 200 if state.serving else 503)


def _details(state: ModelState) -> ModelDetails:
    status, served = msgspec.structs.asdict(state.status()), state.served
    if served is None:
        return ModelDetails(**status)
    return ModelDetails(**status, inputs=served.predictor.schema.columns, example=Rows([example_row(served)]))


def _status(details: ModelDetails, recent: Recent | None) -> ModelStatus:
    known = {field: getattr(details, field) for field in ModelStatus.__struct_fields__}
    return ModelStatus(**known | {"recent": recent})


def _json(answer: msgspec.Struct, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(answer), status, headers, "application/json")


def _problem(status: int, problem: str, headers: dict[str, str] | None = None) -> Response:
    return _json(Error([Problem(None, None, problem)]), status, headers)
