"""The overview is read by a web server and by a plugin that every task loads, so it imports nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

from include.settings import PROJECT

HEAVY = {
    "airflow", "deltalake", "fastapi", "great_expectations", "httpx", "jinja2", "matplotlib", "mlflow", "numpy", "onnx",
    "onnxruntime", "pandas", "pyarrow", "scipy", "sklearn", "skl2onnx", "skops",
}  # fmt: skip


@pytest.mark.parametrize("module", ["all_models", "one_model", "document", "model_server"])
def test_importing_it_imports_nothing_heavy(module: str) -> None:
    code = f"import sys, include.overview.{module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert not HEAVY & {name.partition(".")[0] for name in done.stdout.split()}
