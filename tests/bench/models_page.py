"""The Models pages with 500 models and 400 versions of each: the first byte of a page, and the whole page.

The pages are served by one process of uvicorn, as Airflow mounts and compresses them, over a real PostgreSQL with the
tables of Airflow and of the ledger. The model server does not run, which is the slower case for a page that asks it.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from sqlalchemy import text

from include.settings import PROJECT
from tests.bench.figures import Row
from tests.bench.overview import MODELS, VERSIONS, filled
from tests.bench.parsing import write_models
from tests.bench.shared import Bench
from tests.plugins.airflow_database import CONNECTION, airflow_database, token
from tests.services import Services, free_port, services

NIGHTS = 16
BAR_SECONDS = 1.0

RUNS = """
INSERT INTO dag_run (dag_id, run_id, state, run_type, run_after, start_date, end_date, conf)
SELECT m || '_retrain', 'night-' || n, 'success', 'scheduled', :now - n * interval '1 day', :now, :now, '{}'
FROM unnest(CAST(:names AS text[])) AS m, generate_series(0, :nights) AS n;
INSERT INTO dag_run_note (dag_run_id, content, created_at, updated_at)
SELECT id, 'REJECTED v7 (boosting): the challenger is 0.003 worse than the champion', now(), now() FROM dag_run;
"""


def measure(bench: Bench) -> Iterator[Row]:
    rounds = bench.rounds(5)
    pages = {
        f"Models page, {MODELS} models x {VERSIONS} versions": "/perennial/-/models",
        f"page of one of {MODELS} models": "/perennial/-/models/copy_0001",
        "the same of all models as JSON": "/perennial/api/models",
    }
    with services(mlflow=False) as running, served(running, bench.folder / "models-page") as browser:
        for what, path in pages.items():
            cold, _, _ = ask(browser, path)
            times = [ask(browser, path) for _ in range(rounds)]
            whole, size = statistics.median(one for _, one, _ in times), times[0][2]
            details = f"whole page {whole:.2f} s, {size / 1e6:.2f} MB compressed; first request {cold:.2f} s"
            yield Row(f"{what}: first byte", [first for first, _, _ in times], "s", bar=BAR_SECONDS, details=details)


def ask(browser: httpx.Client, path: str) -> tuple[float, float, int]:
    """The seconds to the first byte and to the last one, and the bytes that were sent."""
    began = time.perf_counter()
    with browser.stream("GET", path) as answer:
        assert answer.status_code == 200, answer.read()
        parts = answer.iter_raw()
        size = len(next(parts))
        first = time.perf_counter() - began
        size += sum(map(len, parts))
    return first, time.perf_counter() - began, size


@contextmanager
def served(running: Services, folder: Path) -> Iterator[httpx.Client]:
    """A server of the pages over a filled database, as a client that has logged in."""
    names = [f"copy_{n:04d}" for n in range(MODELS)]
    write_models(folder / "models", MODELS)
    ledger = filled(running, VERSIONS, datetime.now(UTC))
    with airflow_database(running) as database:
        database.add_models(*names)
        with database.engine.begin() as connection:
            values = {"names": names, "now": datetime.now(UTC) - timedelta(hours=1), "nights": NIGHTS}
            for statement in filter(None, map(str.strip, RUNS.split(";\n"))):
                connection.execute(text(statement), values)
            connection.execute(text("ANALYZE"))
        port = free_port()
        environment = {
            **os.environ,
            CONNECTION: database.engine.url.render_as_string(hide_password=False),
            "PERENNIAL_DATABASE_URL": ledger,
            "PERENNIAL_HOME": str(folder / "home"),
            "PERENNIAL_MODELS": str(folder / "models"),
            "PERENNIAL_SERVING_URL": "http://127.0.0.1:9",
            "PYTHONPATH": f"{PROJECT}{os.pathsep}{PROJECT / 'plugins'}",
        }
        command = [sys.executable, "-m", "tests.bench.models_page", str(port)]
        server = subprocess.Popen(command, cwd=PROJECT, env=environment)
        try:
            address = f"http://127.0.0.1:{port}"
            until_listening(address, server)
            login = {"_token": token("bench", "admin")}
            with httpx.Client(base_url=address, cookies=login, trust_env=False, timeout=120) as browser:
                yield browser
        finally:
            server.terminate()
            server.wait()


def until_listening(address: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            httpx.get(f"{address}/", trust_env=False, timeout=60)
            return
        except httpx.TransportError:
            assert server.poll() is None, "the server of the pages has ended"
            assert time.monotonic() < deadline, "the server of the pages does not answer"
            time.sleep(0.1)


def serve(port: int) -> None:
    """Serve the pages below Airflow's own middleware for compression."""
    import uvicorn
    from airflow.api_fastapi.app import create_auth_manager
    from fastapi import FastAPI
    from perennial.console.app import PREFIX, Console
    from starlette.middleware.gzip import GZipMiddleware

    create_auth_manager().init()
    app = FastAPI()
    app.mount(PREFIX, Console())
    app.add_middleware(GZipMiddleware, minimum_size=1024, compresslevel=5)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error")


if __name__ == "__main__":
    serve(int(sys.argv[1]))
