"""A margin that healthy models cannot pass gives a warning at its line, but only if its power was measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.linting.folder import lint
from include.mistakes.problem import Problem
from tests.linting.judge import copy
from tests.linting.test_linting_command import command
from tests.linting.test_linting_rules import TOY

GATE = "gate=Gate(margin=0.02, min_days=5, min_rows=300)"


def declared(root: Path, gate: str) -> Path:
    """Write a copy of the toy with this gate; return its model.py."""
    path = copy(TOY, root / "toy") / "model.py"
    text = path.read_text()
    assert text.count(GATE) == 1
    path.write_text(text.replace(GATE, gate).replace("Label, Model, Task", "Label, Model, Power, Task"))
    return path


def problems_of(path: Path) -> list[Problem]:
    return lint("toy", path.parent, fit=False)


def gate(margin: str, error: str, week: str) -> str:
    power = f"Power(standard_error={error}, stale_week={week}, measured=date(2026, 5, 1))"
    return f"gate=Gate(\n        {margin}\n        min_days=5, min_rows=300, power={power},\n    )"


@pytest.mark.parametrize(
    ("error", "week", "wanted", "why"),
    [
        ("0.01", "0.001", "0.025", "2.5 standard errors (2.5 x 0.01): such"),
        ("0.001", "0.0216", "0.022", "the cost of one more stale week (0.0216): such"),
        ("0.0101", "0.03", "0.03", "2.5 standard errors (2.5 x 0.0101) and the cost of one more stale week (0.03)"),
    ],
)
def test_a_margin_with_which_the_gate_always_holds_gives_a_warning_with_a_suggestion(
    tmp_path: Path, error: str, week: str, wanted: str, why: str
) -> None:
    path = declared(tmp_path, gate("margin=0.02,", error, week))
    (problem,) = problems_of(path)
    assert problem.severity == "warning"
    line = path.read_text()[: path.read_text().index("margin=0.02")].count("\n") + 1
    assert (problem.place.file, problem.place.line) == (path, line)
    assert f"a margin of 0.02 is below {why}" in problem.what
    assert f"{wanted} or more would do" in problem.hint
    assert problem.suggestion is not None
    path.write_text(problem.suggestion.applied(path.read_text()))
    assert f"margin={wanted}," in path.read_text()
    assert problems_of(path) == []


@pytest.mark.parametrize(
    ("error", "week"), [("0.008", "0.02"), ("0.001", "-0.5"), ("0.0", "0.0")], ids=["exactly", "fresh is worse", "zero"]
)
def test_a_margin_that_is_wide_enough_gives_no_warning(tmp_path: Path, error: str, week: str) -> None:
    assert problems_of(declared(tmp_path, gate("margin=0.02,", error, week))) == []


def test_without_a_measurement_there_is_no_warning(tmp_path: Path) -> None:
    assert problems_of(declared(tmp_path, "gate=Gate(margin=1e-9, min_days=5, min_rows=300)")) == []


def test_the_default_margin_gives_a_warning_at_its_gate(tmp_path: Path) -> None:
    path = declared(tmp_path, gate("", "0.01", "0.001"))
    (problem,) = problems_of(path)
    line = path.read_text()[: path.read_text().index("gate=Gate")].count("\n") + 1
    assert (problem.place.line, problem.suggestion) == (line, None)


def test_a_broken_measurement_is_an_error_and_not_a_warning(tmp_path: Path) -> None:
    (problem,) = problems_of(declared(tmp_path, gate("margin=0.02,", "-0.01", "0.5")))
    assert problem.severity == "error" and "standard_error" in problem.sentence


def test_a_warning_does_not_fail_the_lint(tmp_path: Path) -> None:
    declared(tmp_path, gate("margin=0.02,", "0.01", "0.001"))
    done = command("--model", "toy", models=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning: a margin of 0.02 is below 2.5 standard errors" in done.stdout
    assert done.stdout.splitlines()[-1] == "1 model, 1 warning"
