"""`scorers.py` and the scorers that `model.py` declares must agree."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.linting.folder import lint
from tests.linting.judge import copy
from tests.linting.test_linting_rules import TOY

DECLARED = 'scorers=(Scorer(name="euros", larger_is_better=False, by_row=True),),\n    training='
FUNCTION = "def {}({}):\n    return labels\n"


@pytest.mark.parametrize(
    ("declared", "file", "problem"),
    [
        (True, FUNCTION.format("euros", "labels, scores"), None),
        (True, None, "scorers.py is missing, and model.py declares scorers"),
        (True, FUNCTION.format("euro", "labels, scores"), "there is no function 'euros'"),
        (True, FUNCTION.format("euros", "labels"), "euros(labels) has the wrong arguments"),
        (
            False,
            FUNCTION.format("euros", "labels, scores"),
            "scorers.py is used by nothing: model.py declares no scorers",
        ),
    ],
)
def test_declared_scorers_and_functions_must_agree(
    tmp_path: Path, declared: bool, file: str | None, problem: str | None
) -> None:
    folder = copy(TOY, tmp_path / "toy")
    model = folder / "model.py"
    if declared:
        text = model.read_text().replace("Label, Model, Task", "Label, Model, Scorer, Task")
        model.write_text(text.replace("    training=", f"    {DECLARED}", 1))
    if file is not None:
        (folder / "scorers.py").write_text(file)
    found = [one.what for one in lint("toy", folder, fit=False)]
    assert found == ([] if problem is None else [problem])
