"""The fork server's preparation for the tasks: every step works, no model code runs, a failure stops no task."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent

PREPARED = """
import ast, json, sys, threading
from perennial import warm
from include import catalog
from airflow.sdk.listener import get_listener_manager
parsed, parse = [], ast.parse
ast.parse = lambda *a, **k: parsed.append(k.get("filename")) or parse(*a, **k)
problems = [catalog.file_problems(folder) for folder in catalog.folders().values()]
ast.parse = parse
print(json.dumps({
    "folders": len(problems),
    "parsed_again": parsed,
    "failed": warm.warm(),
    "listeners": get_listener_manager.cache_info().currsize,
    "plugin": "perennial_plugin" in sys.modules,
    "of_models": [m for m in sys.modules if m.startswith("include.models.")],
    "threads": threading.active_count(),
}))
"""


def test_plugins_and_model_folders_are_prepared_without_running_a_model() -> None:
    env = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}"}
    done = subprocess.run([sys.executable, "-c", PREPARED], env=env, capture_output=True, text=True, check=True)
    prepared = json.loads(done.stdout.strip().splitlines()[-1])
    assert prepared["failed"] == []
    assert prepared["listeners"] == 1 and prepared["plugin"]
    assert prepared["folders"] and prepared["parsed_again"] == []
    assert prepared["of_models"] == [], "their code may change while the fork server lives"
    assert prepared["threads"] == 1, "a thread does not survive the fork"


def test_a_step_that_fails_does_not_stop_the_others() -> None:
    from perennial import warm

    taken = []

    def leaves() -> None:
        raise SystemExit("a plugin that ends the process")

    assert warm.warm((leaves, lambda: taken.append("next"))) == ["leaves"]
    assert taken == ["next"]
