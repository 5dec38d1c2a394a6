"""Real bundles, a store to release them in, and a real server in its own process."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 120.0
"""Seconds after which a server counts as stuck. An idle machine needs less than one second, a busy one minutes."""

from include.registry.bundles import BundleStore, ReleaseRecord  # noqa: E402

COLUMNS = [
    {"name": "carrier", "type": "string", "nullable": False},
    {"name": "parcel", "type": "integer", "nullable": False},
    {"name": "scheduled", "type": "timestamp", "nullable": False},
    {"name": "origin", "type": "string", "nullable": False},
    {"name": "dest", "type": "string", "nullable": True},
    {"name": "distance", "type": "number", "nullable": True},
    {"name": "seats", "type": "integer", "nullable": True},
    {"name": "engines", "type": "integer", "nullable": True},
    {"name": "temp", "type": "number", "nullable": True},
    {"name": "wind_speed", "type": "number", "nullable": True},
    {"name": "pressure", "type": "number", "nullable": True},
    {"name": "visib", "type": "number", "nullable": True},
    {"name": "holiday", "type": "boolean", "nullable": True},
    {"name": "updated", "type": "timestamp", "nullable": True},
]
NUMBERS = ("distance", "seats", "engines", "temp", "wind_speed", "pressure", "visib", "holiday")
FEATURES_SOURCE = '''
import numpy as np

def build(columns):
    """Features of a parcel."""
    when = columns["scheduled"]
    hours = (when - when.astype("datetime64[D]")) / np.timedelta64(1, "h")
    out = {name: columns[name] for name in ("carrier", "origin", "dest")}
    out["hour"] = hours.astype(np.float32)
    out["weekday"] = ((when.astype("datetime64[D]").astype(np.int64) + 3) % 7).astype(np.float32)
    for name in ("distance", "seats", "engines", "temp", "wind_speed", "pressure", "visib", "holiday"):
        out[name] = columns[name].astype(np.float32)
    return out
'''
FEATURES = [{"name": n, "type": "string"} for n in ("carrier", "origin", "dest")] + [
    {"name": n, "type": "number"} for n in ("hour", "weekday", *NUMBERS)
]


def row(**changes: Any) -> dict[str, Any]:
    """A valid row."""
    return {
        "carrier": "UA",
        "parcel": 1545,
        "scheduled": "2026-05-03T09:15:00Z",
        "origin": "EWR",
        "dest": "IAH",
        "distance": 1400.0,
        "seats": 149,
        "engines": 2,
        "temp": 39.02,
        "wind_speed": 12.66,
        "pressure": 1012.0,
        "visib": 10,
        "holiday": False,
        "updated": None,
    } | changes


def schema(model: str, **changes: Any) -> dict[str, Any]:
    return {
        "model": model,
        "task": "classification",
        "positive": 1,
        "classes": [0, 1],
        "columns": COLUMNS,
        "key": ["carrier", "parcel", "scheduled"],
        "event_time": "scheduled",
        "timezone": "America/New_York",
        "features": FEATURES,
        "output": "probabilities",
        "output_kind": "probabilities",
        "positive_index": 1,
    } | changes


def files_of(model: str, onnx: bytes, probe: dict[str, Any], source: str = FEATURES_SOURCE, **changes: Any) -> dict:
    return {
        "model.onnx": onnx,
        "input_schema.json": json.dumps(schema(model, **changes)).encode(),
        "probe.json": json.dumps(probe).encode(),
        "manifest.json": b"{}",
        "source/features.py": source.encode(),
    }


def constant_files(model: str, score: float) -> dict[str, bytes]:
    """A bundle that answers ``score`` to every row, so that versions can be distinguished."""
    return files_of(
        model,
        constant_onnx(score),
        {"rows": [row()], "scores": [score]},
        features=[{"name": "distance", "type": "number"}],
        output="score",
        output_kind="probability",
    )


def constant_onnx(score: float) -> bytes:
    import onnx
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("IsNaN", ["distance"], ["missing"]),
        helper.make_node("Cast", ["missing"], ["as_number"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["as_number", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "constant"], ["score"]),
    ]
    graph = helper.make_graph(
        nodes,
        "constant",
        [helper.make_tensor_value_info("distance", TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, 1])],
        [
            helper.make_tensor("zero", TensorProto.FLOAT, [1], [0.0]),
            helper.make_tensor("constant", TensorProto.FLOAT, [1], [score]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    onnx.checker.check_model(model)
    return model.SerializeToString()


def linear_onnx(weight: float) -> bytes:
    """A graph whose score is distance * weight. Numbers that are too large overflow."""
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [helper.make_node("Mul", ["distance", "weight"], ["score"])],
        "linear",
        [helper.make_tensor_value_info("distance", TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor("weight", TensorProto.FLOAT, [1], [weight])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    return model.SerializeToString()


class Releases:
    """Put versions into service in a bundle store, as include.release does."""

    def __init__(self, root: Path) -> None:
        self.store = BundleStore(root)

    def put(self, model: str, files: dict[str, bytes], version: int, epoch: int) -> ReleaseRecord:
        digest = self.store.write(model, files)
        record = ReleaseRecord(model, version, digest, epoch, "2026-05-03T06:30:00+00:00", f"run_{epoch}")
        self.store.write_release(record)
        return record

    def path(self, model: str) -> Path:
        return self.store.root / model / "release.json"


class Server:
    """A server process on a free port of the loopback interface."""

    def __init__(self, home: Path, token: str | None = None, **variables: str) -> None:
        self.home, self.token, self.variables = home, token, variables
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0
        self.log = home / "server.log"

    def start(self, wait: bool = True) -> Server:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PERENNIAL_")}
        environment |= {
            "PERENNIAL_HOME": str(self.home),
            "SERVING_PORT": str(self.port),
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            **self.variables,
        }
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        if self.token:
            environment["PERENNIAL_SERVING_TOKEN"] = self.token
        self.home.mkdir(parents=True, exist_ok=True)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "include.serving.server"], cwd="/", env=environment, stdout=log, stderr=log
            )
        if wait:
            wait_for(lambda: self.get("/health/ready")[0] == 200, PATIENCE, lambda: self.log.read_text())
        return self

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def is_connected(self, port: int) -> bool:
        """Whether the server holds a connection with the client's ``port``."""
        assert self.process is not None
        open_ones = psutil.Process(self.process.pid).net_connections("tcp")
        return any(c.raddr and c.raddr.port == port for c in open_ones)

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any, dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            given = {"Authorization": f"Bearer {self.token}"} if self.token else {}
            connection.request(method, path, body, given | (headers or {}))
            answer = connection.getresponse()
            data = answer.read()
            kind = answer.getheader("content-type") or ""
            return answer.status, json.loads(data) if "json" in kind else data.decode(), dict(answer.getheaders())
        finally:
            connection.close()

    def get(self, path: str, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        try:
            status, answer, _ = self.request("GET", path, headers=headers)
        except OSError:
            return 0, None
        return status, answer

    def predict(self, model: str, *rows: Any, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        body = json.dumps({"rows": list(rows)}).encode()
        headers = {"Content-Type": "application/json"} | (headers or {})
        status, answer, _ = self.request("POST", f"/models/{model}/predict", body, headers)
        return status, answer

    def metric(self, name: str) -> float:
        """The value of one series, named in the notation of Prometheus."""
        for line in str(self.get("/metrics")[1]).splitlines():
            if line.startswith(name + " "):
                return float(line.rsplit(" ", 1)[1])
        raise AssertionError(f"no series {name}")


def wait_for(condition: Callable[[], Any], seconds: float = PATIENCE, say: Callable[[], str] = str) -> Any:
    """Wait until ``condition`` is true; otherwise fail with the text that ``say`` returns."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {say()}")
