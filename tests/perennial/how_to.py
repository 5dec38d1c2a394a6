"""Runs the Python blocks of `include/perennial/README.md` as one notebook."""

from __future__ import annotations

import importlib.util
import re
from typing import Any

from tests.docs.readme import ROOT, blocks

PAGE = ROOT / "include" / "perennial" / "README.md"
EXAMPLE = "bike_demand"
NEEDS = re.compile(r"^# needs (\w+)$", re.MULTILINE)


def run(model: str, first: str, last: str) -> tuple[dict[str, Any], list[str]]:
    """Run every block for a model, whose rows of two days are published.

    Returns
    -------
    The variables of the notebook, and the packages that are not installed, whose blocks were only compiled.
    """
    variables: dict[str, Any] = {}
    missing = []
    for block in blocks(PAGE.read_text()):
        if block.kind != "python":
            continue
        text = block.text.replace(EXAMPLE, model).replace("2026-05-02", first).replace("2026-05-03", last)
        code = compile(text, f"{PAGE.name}:{block.line}", "exec")
        needed = NEEDS.search(text)
        if needed and (needed[1] == "pyspark" or importlib.util.find_spec(needed[1]) is None):
            missing.append(needed[1])
            continue
        exec(code, variables)
    return variables, missing
