"""Schemathesis against the real server: every answer is declared, with and without the token."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from server_kit import Releases, Server

from include import catalog
from include.retraining import package
from include.spec import Model
from include.training import candidates, export, proving
from tests.training import chain_models, toy_days

MODELS = ("toy", "toy_classes", "toy_counts")
FIRST, LAST = "2026-04-01", "2026-04-05"
TOKEN = "s3cret-of-the-test"


def rows_of(model: Model) -> pd.DataFrame:
    return (toy_days if model.name == "toy" else chain_models).days(model, FIRST, LAST)


def bundle_of(model: Model) -> dict[str, bytes]:
    """The bundle that `package` writes for a fit on a few days: a binary, a multi-class or a regression model."""
    rows = rows_of(model)
    fitted = candidates.fit(model, candidates.load(model)["boosting"], rows, seed=0)
    onnx = export.to_onnx(fitted, model)
    predictor = export.predictor(model, fitted, onnx)
    return {
        "model.onnx": onnx,
        "input_schema.json": json.dumps(predictor.schema.as_dict()).encode(),
        "probe.json": json.dumps(proving.probe(model, predictor, rows).as_dict()).encode(),
        "manifest.json": b"{}",
        **package.source_files(catalog.folder(model.name)),
    }


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("toys")
    releases = Releases(home / "bundles")
    with pytest.MonkeyPatch.context() as patch:
        chain_models.show(patch)
        for name in MODELS:
            releases.put(name, bundle_of(catalog.load(name)), 1, 1)
    server = Server(home, TOKEN).start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def description(toys: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The server's OpenAPI description as a file, because the server requires a token for it."""
    status, document = toys.get("/openapi.json")
    assert status == 200 and {f"/models/{name}/predict" for name in MODELS} <= set(document["paths"])
    file = tmp_path_factory.mktemp("description") / "openapi.json"
    file.write_text(json.dumps(document))
    return file


def run(server: Server, description: Path, *options: str) -> int:
    """Let Schemathesis send its generated requests, the same each time; return their number."""
    command = [
        str(Path(sys.executable).parent / "schemathesis"), "run", str(description), f"--url=http://127.0.0.1:{server.port}",
        "--generation-deterministic", "--no-color", "--continue-on-failure", "--output-truncate=false",
        # A row can satisfy every type and still be refused, because a number can be too large for the model.
        "--exclude-checks=positive_data_acceptance", *options,
    ]  # fmt: skip
    done = subprocess.run(command, cwd=description.parent, capture_output=True, text=True)
    report = done.stdout + done.stderr
    assert done.returncode == 0, report
    assert "Traceback" not in server.log.read_text()
    made = re.search(r"(\d+) generated", report)
    assert made, report
    return int(made[1])


@pytest.mark.parametrize(("examples", "made"), [(2, 80), pytest.param(8, 200, marks=pytest.mark.full)])
def test_every_answer_is_declared(toys: Server, description: Path, examples: int, made: int) -> None:
    assert run(toys, description, "--header", f"Authorization: Bearer {TOKEN}", f"--max-examples={examples}") > made


def test_every_answer_without_the_token_is_declared(toys: Server, description: Path) -> None:
    assert run(toys, description, "--phases=examples,fuzzing", "--max-examples=3") > 20


def test_the_examples_are_answered(toys: Server, description: Path) -> None:
    for path, operations in json.loads(description.read_text())["paths"].items():
        if "post" in operations:
            body = operations["post"]["requestBody"]["content"]["application/json"]["example"]
            status, answer = toys.predict(path.replace("{name}", MODELS[0]).split("/")[2], *body["rows"])
            assert status == 200 and len(answer["predictions"]) == 1
