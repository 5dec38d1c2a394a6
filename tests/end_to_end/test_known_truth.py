"""Nights whose right outcome is known, on a real Airflow, with damaged days of a copy of a model.

The cases are in `tests.truth.cases`; `tests/gate/test_known_truth.py` runs them without a stack. Here ``make test``
runs those that end as no other test of a real stack does, and ``make test-full`` runs all. The models run at the same
time, and each runs its cases in their order. ``PERENNIAL_TRUTH_TABLE`` can name a file for the table of all verdicts.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import models_folder
from tests.end_to_end.journeys import Journey, params
from tests.end_to_end.stack_runner import Api, Running
from tests.end_to_end.truth_nights import OnAirflow
from tests.truth.cases import ALL, CASES, FIRST, FRESH, MAKE_CHAMPIONS, MODELS, Case, check
from tests.truth.patient import Outcome

pytestmark = [pytest.mark.end_to_end, pytest.mark.slow]
_, BIKES, _ = MODELS
ENDINGS = (
    FIRST,  # promoted
    FRESH,  # promoted against a champion
    "all weather missing",  # rejected, with a warning in the log of another task
    "one class only",  # failed in `train`
    "the champion's twin is gone",  # held, because there is nothing to compare with
)
"""These always run, with one model. `test_retrain` and `test_collect` have the other ways in which a run can end."""


def always(model: str, case: Case) -> bool:
    return model == BIKES and case.name in ENDINGS


def begin(running: Running, items: list[pytest.Function]) -> dict[str, Journey[OnAirflow, Outcome]]:
    """Start the selected cases, and those that make the champions, for all models."""
    selected = {(found["model"], found["case"].name) for found in params(items)}
    begun = {}
    for model in sorted({model for model, _ in selected}):
        names = {*MAKE_CHAMPIONS, *(name for other, name in selected if other == model)}
        steps = {case.name: case.run for case in CASES if model in case.models and case.name in names}
        admit = partial(OnAirflow.admit, Api(running.stack), model, models_folder(running.home))
        begun[model] = Journey(admit, steps).start()
    return begun


@pytest.mark.parametrize(
    ("model", "case"),
    [
        pytest.param(model, case, id=f"{model}: {case.name}", marks=() if always(model, case) else pytest.mark.full)
        for model, case in ALL
    ],
)
def test_it_ends_as_it_should(journeys: dict[str, Journey[Any, Outcome]], model: str, case: Case) -> None:
    check(case, journeys[model].outcome(case.name))
    if (table := os.environ.get("PERENNIAL_TRUTH_TABLE")) and (model, case) == ALL[-1]:
        Path(table).write_text(tabulated(journeys))


def tabulated(journeys: Mapping[str, Journey[Any, Outcome]]) -> str:
    lines = ["| case | model | verdict | sentence | s |", "|---|---|---|---|--:|"]
    for case in CASES:
        for model, journey in journeys.items():
            found = journey.outcomes.get(case.name)
            if isinstance(found, Outcome):
                note = " ".join(found.note.split()).replace("|", "/")
                lines.append(
                    f"| {case.name} | {model} | {found.verdict or found.state} | {note} | {found.seconds:.0f} |"
                )
            elif found is not None:
                lines.append(f"| {case.name} | {model} | ERROR | {found!r} | |")
    return "\n".join(lines) + "\n"
