"""The pages of Perennial in Airflow's web server, mounted by the plugin under ``/perennial``.

A plugin's FastAPI app has no authentication of its own, so every route asks Airflow for the user and for the DAGs that
the user can read. All routes only read: actions are calls of Airflow's own API by the user's browser.

Airflow loads every plugin in every process, including tasks, so this module imports nothing heavy. The other modules of
this folder are imported when the web server serves the first page.
"""

from __future__ import annotations

import asyncio
import gc
from typing import Any

PREFIX = "/perennial"
"""Where the plugin mounts the app."""


class Console:
    """The app, built at the first request, because only the web server needs what it imports.

    It is built in a thread, so that Airflow answers other requests meanwhile.
    """

    def __init__(self) -> None:
        self._app: Any = None
        self._building = asyncio.Lock()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async with self._building:
            if self._app is None:
                self._app = await asyncio.to_thread(create_app)
                # Everything that the web server has imported stays. Otherwise each collection looks at all of it, and
                # the page of 500 models, which makes many small objects, spends a quarter of its time on that.
                gc.collect()
                gc.freeze()
        await self._app(scope, receive, send)


def create_app() -> Any:
    """Build the app."""
    from fastapi import Depends, FastAPI

    from perennial.console import api, failures, models, reports, static
    from perennial.console.access import logged_in

    app = FastAPI(title="Perennial", docs_url=None, redoc_url=None, openapi_url=None, dependencies=[Depends(logged_in)])
    for part in (static, models, api, reports):
        app.include_router(part.router)
    failures.install(app)
    return app
