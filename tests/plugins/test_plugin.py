"""Loading the plugin is cheap."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_loading_the_plugin_imports_no_web_server_and_nothing_heavy() -> None:
    """Airflow loads plugins in every task's process."""
    code = (
        "import sys; import airflow.sdk, airflow.timetables.trigger, airflow.listeners; before = set(sys.modules);"
        "import perennial_plugin;"
        "heavy = ('fastapi', 'airflow.api_fastapi', 'pandas', 'numpy', 'sklearn', 'mlflow', 'great_expectations');"
        "print([m for m in sorted(set(sys.modules) - before) if m.startswith(heavy)])"
    )
    env = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]", done.stdout
