"""A plain Python process that does what the DAGs do, without Airflow: the peer of a DAG run in `make bench`.

It imports everything first, then reads one task per line from its standard input (JSON) and prints the result of each
as one line that begins with ``RESULT``.
"""

from __future__ import annotations

import importlib
import json
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from include import catalog
from include.data import collection, loading
from include.data.lake import Lake
from include.errors import DataError
from include.partitions import partition, utc_now
from include.settings import Settings
from include.stack.preload import PRELOAD


def ready() -> None:
    """Import what tasks have imported when they begin."""
    for name in PRELOAD:
        importlib.import_module(name)


def retrain(model: str, as_of: str, seed: int) -> dict[str, Any]:
    """The seconds of each step of a retraining, and its verdict."""
    from include.retraining.in_process import in_one_process

    done = in_one_process(catalog.load(model), as_of, {"seed": seed})
    return {"seconds": done.seconds, "verdict": done.decision.verdict}


def load(model: str, keys: Sequence[str]) -> dict[str, float]:
    """The seconds of a load of these days into an empty lake, and its rows."""
    lake = _empty_lake(model)
    began = time.perf_counter()
    loaded = loading.load(catalog.load(model), keys, {}, utc_now, lake)
    return {"seconds": time.perf_counter() - began, "rows": loaded.rows}


def collect(model: str, keys: Sequence[str]) -> dict[str, float]:
    """The seconds of ``collect``, ``validate`` and ``publish`` for one day after the other, and their rows."""
    lake, declared = _empty_lake(model), catalog.load(model)
    rows, began = 0, time.perf_counter()
    for key in keys:
        about = partition(key, declared.timezone)
        try:
            raw = collection.collect(declared, about, {}, utc_now(), lake)
            rows += collection.publish(declared, about, collection.validate(declared, about, raw, lake), lake=lake).rows
        except DataError:
            continue  # a rejected day is part of a load, too
    return {"seconds": time.perf_counter() - began, "rows": rows}


def _empty_lake(model: str) -> Lake:
    root = Settings.from_environment().home / "bench-lake" / model
    shutil.rmtree(root, ignore_errors=True)
    return Lake(catalog.load(model), root)


TASKS: dict[str, Callable[..., Any]] = {"ready": ready, "retrain": retrain, "load": load, "collect": collect}


def main() -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        done = TASKS[asked.pop("task")](**asked)
        print("RESULT", json.dumps(done), flush=True)


if __name__ == "__main__":
    main()
