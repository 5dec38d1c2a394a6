"""Settings that every test needs before the first import: no telemetry, one thread, the test models.

``make test`` skips the tests marked ``full``; ``make test-full`` runs them as well (``pytest --full``).
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
AIRFLOW_HOME = tempfile.mkdtemp(prefix="perennial-airflow-")


def remove_airflow_home(process: int = os.getpid()) -> None:
    """Remove the folder when this process ends. Forked processes share the folder and must keep it."""
    if os.getpid() == process:
        shutil.rmtree(AIRFLOW_HOME, ignore_errors=True)


atexit.register(remove_airflow_home)
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # started in the background: our interrupts would be ignored
    signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.update(
    {
        "PERENNIAL_MODELS": str(TESTS / "models_for_tests"),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "ORT_DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
        "MPLCONFIGDIR": str(Path(tempfile.gettempdir()) / "perennial-matplotlib"),  # the font list, built once
        "AIRFLOW_HOME": AIRFLOW_HOME,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(TESTS.parent / "plugins"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(TESTS.parent / "dags"),
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
    }
)
# A unit test must never talk to a stack that runs on this machine.
for name in ("MLFLOW_TRACKING_URI", "PERENNIAL_DATABASE_URL", "PERENNIAL_HOME", "PERENNIAL_SERVING_URL"):
    os.environ.pop(name, None)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="also run the tests that are marked `full`")


def pytest_configure(config: pytest.Config) -> None:
    config.option.loadscopereorder = False  # pytest-xdist: keep our order of files, do not sort by number of tests


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip the exhaustive variants unless ``--full`` or the id of a test is given; run slow files first."""
    if not config.getoption("--full") and not any("::" in argument for argument in config.args):
        skipped = [item for item in items if item.get_closest_marker("full")]
        if skipped:
            config.hook.pytest_deselected(items=skipped)
            items[:] = [item for item in items if not item.get_closest_marker("full")]
    if hasattr(config, "workerinput"):  # several processes: do not start a long file when the others are done
        slow = {item.path for item in items if item.get_closest_marker("slow")}
        items.sort(key=lambda item: item.path not in slow)
