"""The buttons of a task: their addresses are set before the work that can fail."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from perennial.links import ValidationLink

from include.settings import Settings
from tests.plugins import in_process

DAY = "2025-03-10"


def test_a_failed_validation_has_the_button_that_opens_its_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = tmp_path / "scenario.json"
    scenario.write_text(json.dumps({DAY: {"drop_column": "x"}}))
    monkeypatch.setenv("PERENNIAL_TOY_SCENARIO", str(scenario))
    monkeypatch.setenv("PERENNIAL_HOME", str(tmp_path / "home"))
    dag = in_process.parsed("collect.py").dags["toy_collect"]
    ended = in_process.run_dag(dag, {"partition": DAY}, patch=monkeypatch, run_id="r")
    assert {name: task.state for name, task in ended.tasks.items()} == {"collect": "success", "validate": "failed"}
    assert ended.note.startswith(f"REJECTED {DAY}: nothing published.") and "'x'" in ended.note
    path, _, digest = ended.tasks["validate"].links[ValidationLink().name].partition("?batch=")
    assert path.endswith(f"/perennial/toy/validation/{DAY}")
    page = Settings.from_environment().lake / "toy" / "validation" / DAY / f"{digest}.html"
    assert "is missing" in page.read_text(), "the page exists before the task has failed"
