"""A key of an earlier version gives a warning with the edit that removes it, and its model loads as before."""

from __future__ import annotations

from pathlib import Path

import pytest

import include.models
from include import catalog
from include.linting.folder import lint
from include.spec import Monitoring
from tests.linting.judge import copy
from tests.linting.test_linting_command import command
from tests.linting.test_linting_rules import TOY

LAST = "    gate=Gate(margin=0.02, min_days=5, min_rows=300),\n"


def declared(root: Path, monitoring: str) -> Path:
    """Write a copy of the toy with this monitoring; return its model.py."""
    path = copy(TOY, root / "toy") / "model.py"
    text = path.read_text()
    assert text.count(LAST) == 1
    text = text.replace(LAST, f"{LAST}    monitoring={monitoring},\n").replace("Model, Task", "Model, Monitoring, Task")
    path.write_text(text)
    return path


def test_the_former_schedule_gives_a_warning_and_the_model_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = declared(tmp_path, 'Monitoring(schedule="*/5 * * * *")')
    (problem,) = lint("toy", path.parent, fit=False)
    assert (
        problem.severity == "warning"
        and problem.place.line == path.read_text().count("\n", 0, path.read_text().index("schedule=")) + 1
    )
    assert "Monitoring no longer has 'schedule', and its value is ignored" in problem.what
    assert (
        "remove it: predictions of all models are loaded together, every 15 minutes, by perennial_predictions"
        in problem.hint
    )
    done = command("--model", "toy", models=tmp_path)
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "1 model, 1 warning"
    monkeypatch.setattr(include.models, "__path__", [str(tmp_path)])
    assert catalog.load("toy").monitoring == Monitoring()
    assert problem.suggestion is not None
    path.write_text(problem.suggestion.applied(path.read_text()))
    assert "monitoring=Monitoring()," in path.read_text() and lint("toy", path.parent, fit=False) == []


def test_a_misspelt_key_is_still_an_error(tmp_path: Path) -> None:
    path = declared(tmp_path, 'Monitoring(shedule="*/5 * * * *")')
    (problem,) = lint("toy", path.parent, fit=False)
    assert problem.severity == "error" and "Monitoring has no 'shedule'" in problem.what
