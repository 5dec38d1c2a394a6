"""How long one process needs to parse every DAG file with 500 models: ``python -m tests.bench.parsing [--models 500]``.

The models are copies of the tests' `toy`. Airflow parses each file in its own process, so on a stack with two parsing
processes the wait for a new model is about half of the sum.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from include.settings import PROJECT

MODELS = 500
BAR_SECONDS = 10.0
TOY = PROJECT / "tests" / "models_for_tests" / "toy"

# One process. It imports Airflow first, then parses file after file; seconds by file, and the number of DAGs.
PARSE = """
import gc, json, sys, time
from pathlib import Path
from airflow.dag_processing.dagbag import DagBag
import perennial.dags, perennial.operators.training
gc.freeze()  # as Airflow's DAG processor does before it forks a process for each file
found, dags = {}, 0
for path in sorted(Path(sys.argv[1]).glob("*.py")):
    began = time.perf_counter(), time.process_time()
    bag = DagBag(str(path))
    found[path.name] = time.perf_counter() - began[0], time.process_time() - began[1]
    assert not bag.import_errors, bag.import_errors
    dags += len(bag.dags)
print("RESULT", json.dumps({"dags": dags, "seconds": found}))
"""


def measure(models: int = MODELS) -> dict[str, tuple[float, float]]:
    """Return the seconds and the processor seconds of each DAG file, all parsed in one process."""
    folder = Path(tempfile.mkdtemp(prefix="prn-parsing-"))
    try:
        write_models(folder / "models", models)
        variables = {
            **os.environ,
            "AIRFLOW_HOME": str(folder / "airflow"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
            "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "300",
            "PERENNIAL_MODELS": str(folder / "models"),
            "PYTHONPATH": f"{PROJECT}{os.pathsep}{PROJECT / 'plugins'}",
        }
        command = [sys.executable, "-c", PARSE, str(PROJECT / "dags")]
        done = subprocess.run(command, cwd=PROJECT, env=variables, capture_output=True, text=True, check=False)
        line = next((text for text in done.stdout.splitlines() if text.startswith("RESULT")), None)
        if line is None:
            raise SystemExit(f"the files could not be parsed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        found = json.loads(line.removeprefix("RESULT"))
        assert found["dags"] > 6 * models, found
        return {name: (float(wall), float(cpu)) for name, (wall, cpu) in found["seconds"].items()}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_models(folder: Path, models: int) -> None:
    """Copy the toy under many names."""
    for number in range(models):
        name = f"copy_{number:04d}"
        shutil.copytree(TOY, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        declared = folder / name / "model.py"
        declared.write_text(declared.read_text().replace('name="toy"', f'name="{name}"'))


def report(found: dict[str, tuple[float, float]], models: int) -> None:
    """Print the seconds of each file and their sum."""
    print(f"\nparsing {models} models in one process{'':8}seconds   of a processor")
    for name, (wall, cpu) in found.items():
        print(f"  {name:<38}{wall:8.2f}{cpu:17.2f}")
    wall, cpu = (sum(values) for values in zip(*found.values(), strict=True))
    print(f"  {'all':<38}{wall:8.2f}{cpu:17.2f}   (bar {BAR_SECONDS:.0f} s for {MODELS} models)")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=MODELS)
    models = parser.parse_args().models
    report(measure(models), models)
    return 0


if __name__ == "__main__":
    sys.exit(main())
