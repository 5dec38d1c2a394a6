"""Settings that every test needs before the first import: no telemetry, one thread, the test models."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

TESTS = Path(__file__).parent

os.environ.update(
    {
        "PERENNIAL_MODELS": str(TESTS / "models_for_tests"),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "ORT_DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
        "MPLCONFIGDIR": str(Path(tempfile.gettempdir()) / "perennial-matplotlib"),  # its list of fonts, made once
        "AIRFLOW_HOME": tempfile.mkdtemp(prefix="perennial-airflow-"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(TESTS.parent / "plugins"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(TESTS.parent / "dags"),
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
    }
)
# A stack that runs on this machine must never be what a unit test talks to.
for name in ("MLFLOW_TRACKING_URI", "PERENNIAL_DATABASE_URL", "PERENNIAL_HOME", "PERENNIAL_SERVING_URL"):
    os.environ.pop(name, None)
