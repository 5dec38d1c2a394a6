"""One-row predictions: our server against `mlflow models serve` with the same model, and against a route without work.

All are asked by the same client on the same machine, in turn. MLflow gets the features that our server computes itself
from the row, so it has less work. If `tests.serving.bench_serving` measures the same, this is the place to call it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from include import catalog
from include.registry.bundles import Bundle, BundleStore
from include.scoring.columns import columns_for
from include.scoring.documents import Probe
from include.stack import credentials
from include.training import dataset, export
from tests.bench.figures import Row, number
from tests.bench.shared import Bench
from tests.services import free_port
from tests.serving.load_client import Load, request_bytes, run

BAR_RATIO = {1: 20.0, 8: 40.0}
BAR_P50 = 0.45  # ms
ROUNDS = 3
SECONDS, WARM_UP = 3.0, 0.5
OURS, PEER, NOTHING = "model server", "mlflow models serve", "GET /health/live of the same server"


def measure(bench: Bench) -> Iterator[Row]:
    """Ask for one prediction after the other over 1 and over 8 connections."""
    stack, model = bench.running.stack, catalog.by_priority()[0].name
    store = BundleStore.default()
    released = store.read_release(model)
    assert released is not None
    bundle = store.open(model, released.digest)
    features = features_of(model, bundle)
    body = json.dumps({"rows": Probe.of(bundle).rows[:1]}).encode()
    ours = with_token(request_bytes(f"/models/{model}/predict", body), credentials.read(stack, "serving_token"))
    with mlflow_server(bench.folder / "mlflow", bundle, features) as port:
        records = json.loads(features.to_json(orient="records"))
        asked = {
            OURS: (stack.serving_port, ours),
            NOTHING: (stack.serving_port, request_bytes("/health/live")),
            PEER: (port, request_bytes("/invocations", json.dumps({"dataframe_records": records}).encode())),
        }
        loads: dict[tuple[str, int], list[Load]] = defaultdict(list)
        for _ in range(bench.rounds(ROUNDS)):
            for connections in BAR_RATIO:
                for name, (where, request) in asked.items():
                    loads[name, connections].append(ask(where, request, connections))
                    bench.say(f"{name}, {connections} connections: {loads[name, connections][-1].rate:,.0f}/s")
    yield from rows(f"{model}, {features.shape[1]} features", loads)


def rows(what: str, loads: dict[tuple[str, int], list[Load]]) -> Iterator[Row]:
    """The lines of the table."""
    for connections, bar in BAR_RATIO.items():
        rates = {name: [load.rate for load in loads[name, connections]] for name in (OURS, PEER, NOTHING)}
        p99 = max(1e3 * load.percentile(0.99) for load in loads[OURS, connections])
        title = f"one-row predictions, {connections} connection{'s' if connections > 1 else ''}"
        yield Row(title, rates[OURS], "/s", PEER, rates[PEER], bar, True, f"{what}; p99 at most {number(p99)} ms")
        yield Row(title, rates[OURS], "/s", NOTHING, rates[NOTHING])
    p50 = [1e3 * load.percentile(0.5) for load in loads[OURS, 1]]
    yield Row("one-row prediction, 1 connection, median time of an answer", p50, "ms", bar=BAR_P50)


def ask(port: int, request: bytes, connections: int) -> Load:
    """Send the request again and again.

    Raises
    ------
    RuntimeError : an answer has another status than 200.
    """
    run(port, request, connections, WARM_UP)
    load = run(port, request, connections, SECONDS)
    if load.failures:
        raise RuntimeError(f"{len(load.failures)} of {len(load.seconds)} requests failed: {load.failures[0]}")
    return load


def with_token(request: bytes, token: str | None) -> bytes:
    head = f"Authorization: Bearer {token}\r\n".encode() if token else b""
    return request.replace(b"Host: x\r\n", b"Host: x\r\n" + head, 1)


def features_of(model: str, bundle: Bundle) -> Any:
    """The features of the first probe row of a bundle, as a frame with one row."""
    declared = catalog.load(model)
    columns = columns_for([(c.name, c.type.value) for c in declared.data.inputs], Probe.of(bundle).rows[:1])
    return dataset.frame_of(declared, dataset.builder(declared)(columns), 1)


@contextlib.contextmanager
def mlflow_server(folder: Path, bundle: Bundle, features: Any) -> Iterator[int]:
    """`mlflow models serve` with the scikit-learn model of a bundle; yields its port."""
    import mlflow.sklearn
    from mlflow.models import infer_signature

    pipeline = export.from_skops(bundle.read("model.skops"))
    mlflow.sklearn.save_model(
        pipeline,
        folder / "model",
        signature=infer_signature(features),
        serialization_format=mlflow.sklearn.SERIALIZATION_FORMAT_CLOUDPICKLE,
        pip_requirements=[],
    )
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", str(folder / "model")]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    log = folder / "serve.log"
    with open(log, "w") as output:
        path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"  # it starts uvicorn by its name
        process = subprocess.Popen(
            command, env={**os.environ, "PATH": path}, stdout=output, stderr=output, start_new_session=True
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/ping", process, log)
        yield port
    finally:
        with contextlib.suppress(ProcessLookupError):  # its own session: also the processes that it has started
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    while True:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
            if answer.status == 200:
                return
        if process.poll() is not None:
            raise RuntimeError(f"mlflow models serve has ended:\n{log.read_text()[-2000:]}")
        time.sleep(0.2)
