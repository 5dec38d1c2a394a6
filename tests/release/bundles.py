"""Small real bundles: an ONNX model of two inputs, its schema, probe rows and source."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

import onnx
from onnx import TensorProto, helper

from include.registry.bundles import BundleStore
from include.registry.ledger import Ledger

FEATURES = """
import numpy as np


def build(columns):
    return {"distance": np.asarray(columns["distance"], dtype=np.float32)}
"""


def package(model: str, version: int, *, probe_is_wrong: bool = False) -> str:
    """Record a version in the ledger and write its bundle; return the digest."""
    ledger, run_id = Ledger.default(), f"retrain-{version}"
    twin = hashlib.sha256(b"twin").hexdigest()
    ledger.add_version(
        model, version, run_id=run_id, candidate="logistic", recipe={"seed": 0}, twin=twin,
        twin_first="2026-01-01", twin_last="2026-03-01", metrics={"log_loss": 0.5},
    )  # fmt: skip
    digest = BundleStore.default().write(model, files(model, version, probe_is_wrong=probe_is_wrong))
    ledger.set_bundle(model, version, digest)
    return digest


def files(model: str, version: int, *, probe_is_wrong: bool = False) -> dict[str, bytes]:
    """The files of a bundle whose score is ``sigmoid(distance * version / 10)``."""
    rows = [
        {"parcel": n, "distance": d, "at": "2026-05-03T14:30:00Z"} for n, d in enumerate((0.5, -1.0, 3.0, 0.0, 8.0))
    ]
    scores = [1 / (1 + math.exp(-r["distance"] * version / 10)) + 0.01 * probe_is_wrong for r in rows]  # type: ignore[operator]
    schema: dict[str, Any] = {
        "model": model, "task": "classification", "positive": 1, "classes": [0, 1],
        "columns": [
            {"name": "parcel", "type": "integer", "nullable": False},
            {"name": "distance", "type": "number", "nullable": True},
            {"name": "at", "type": "timestamp", "nullable": False},
        ],
        "key": ["parcel"], "event_time": "at", "timezone": "UTC",
        "features": [{"name": "distance", "type": "number"}],
        "output": "score", "output_kind": "probability", "positive_index": 1,
    }  # fmt: skip
    manifest = {"model": model, "version": version}
    return {
        "model.onnx": _onnx(version / 10),
        "input_schema.json": json.dumps(schema).encode(),
        "probe.json": json.dumps({"rows": rows, "scores": scores}).encode(),
        "manifest.json": json.dumps(manifest).encode(),
        "source/features.py": FEATURES.encode(),
    }


def _onnx(weight: float) -> bytes:
    graph = helper.make_graph(
        [
            helper.make_node("Mul", ["distance", "weight"], ["product"]),
            helper.make_node("Sigmoid", ["product"], ["score"]),
        ],
        "tiny",
        [helper.make_tensor_value_info("distance", TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor("weight", TensorProto.FLOAT, [1], [weight])],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(proto)
    return bytes(proto.SerializeToString())
