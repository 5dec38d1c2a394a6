"""The bundle of DAG files: the DAG processor has everything imported that a file needs, and nothing more."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

PARSED = """
import json, sys, threading
from pathlib import Path
from airflow.dag_processing.dagbag import DagBag
from airflow.dag_processing.processor import _pre_import_airflow_modules
import structlog
from perennial.bundle import DagsFolder
bundle = DagsFolder(name="dags-folder", path=sys.argv[1])
bundle.refresh()
files = sorted(bundle.path.glob("*.py"))
for file in files:
    _pre_import_airflow_modules(str(file), structlog.get_logger())
imported = set(sys.modules)
errors = [bag.import_errors for file in files if (bag := DagBag(str(file))).import_errors]
heavy = {"pandas", "numpy", "sklearn", "mlflow", "great_expectations", "deltalake", "onnx", "onnxruntime", "skops"}
print(json.dumps({
    "files": len(files),
    "errors": errors,
    "ours": sorted(m for m in set(sys.modules) - imported if m.startswith(("perennial.", "include.", "airflow."))
                   and not m.startswith("include.models.")),
    "heavy": sorted(heavy & imported),
    "of_models": [m for m in imported if m.startswith("include.models.")],
    "threads": threading.active_count(),
}))
"""


def test_a_parse_imports_nothing_that_the_dag_processor_has_not_imported() -> None:
    env = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}"}
    command = [sys.executable, "-c", PARSED, str(ROOT / "dags")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.strip().splitlines()[-1])
    assert found["files"] >= 8 and found["errors"] == []
    assert found["ours"] == [], "each parse imports these again: name them in include.stack.preload.OF_DAG_FILES"
    assert found["heavy"] == [], "the DAG processor needs none of them"
    assert found["of_models"] == [], "their code may change while the DAG processor lives"
    assert found["threads"] == 1, "a thread does not survive the fork"


def test_a_module_that_does_not_import_does_not_stop_the_dag_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    from perennial import bundle

    monkeypatch.setattr(bundle, "OF_DAG_FILES", ("perennial.absent", "perennial.parameters"))
    monkeypatch.delitem(sys.modules, "perennial.parameters", raising=False)
    bundle.DagsFolder(name="dags-folder", path=str(ROOT / "dags")).refresh()
    assert "perennial.parameters" in sys.modules
