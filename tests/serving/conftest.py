"""Fixtures of the serving tests: a trained bundle, a store with releases, and a server that is not yet started."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from server_kit import COLUMNS, FEATURES, FEATURES_SOURCE, Releases, Server, files_of, row


@pytest.fixture(scope="session")
def trained_files() -> dict[str, bytes]:
    """A gradient boosting model of 100 trees over 13 features. Its probe has the scores of scikit-learn."""
    import numpy as np
    import pandas as pd
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    from include.scoring.columns import columns_for

    random = np.random.default_rng(0)
    rows = [
        row(
            carrier=str(random.choice(["UA", "AA", "DL", "B6"])),
            origin=str(random.choice(["EWR", "JFK", "LGA"])),
            dest=str(random.choice(["IAH", "ORD", "MIA"])) if random.random() > 0.1 else None,
            distance=float(random.normal(1000, 300)),
            seats=int(random.integers(50, 300)) if random.random() > 0.1 else None,
            temp=float(random.normal(50, 20)),
            wind_speed=float(random.gamma(2, 5)),
            scheduled=f"2026-05-{random.integers(1, 28):02d}T{random.integers(5, 23):02d}:15:00Z",
        )
        for _ in range(2000)
    ]
    names = [(c["name"], c["type"]) for c in COLUMNS]
    space: dict[str, Any] = {}
    exec(FEATURES_SOURCE, space)
    frame = pd.DataFrame(space["build"](columns_for(names, rows)))
    label = (frame["wind_speed"] + random.normal(0, 5, len(frame)) > 12).astype(int)
    texts = ["carrier", "origin", "dest"]
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    numbers = [f["name"] for f in FEATURES if f["type"] == "number"]
    pipeline = make_pipeline(
        ColumnTransformer([("text", encoder, texts), ("number", "passthrough", numbers)]),
        HistGradientBoostingClassifier(max_iter=100, random_state=0),
    ).fit(frame, label)
    types = [(f["name"], StringTensorType([None, 1]) if f["type"] == "string" else FloatTensorType([None, 1]))
             for f in FEATURES]  # fmt: skip
    onnx = to_onnx(pipeline, initial_types=types, options={"zipmap": False}).SerializeToString()
    empty = {name: None for name in row() if name not in ("carrier", "parcel", "scheduled", "origin")}
    probe_rows = [*rows[:20], row(**empty), row(carrier="unseen", dest="unseen")]
    built = pd.DataFrame(space["build"](columns_for(names, probe_rows)))
    scores = pipeline.predict_proba(built)[:, 1].tolist()
    return files_of("parcels", onnx, {"rows": probe_rows, "scores": scores})


@pytest.fixture
def releases(tmp_path: Path) -> Releases:
    return Releases(tmp_path / "bundles")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server that is not yet started; its home is ``tmp_path``."""
    server = Server(tmp_path)
    yield server
    if server.process is not None and server.process.poll() is None:
        server.process.kill()
        server.process.wait()
