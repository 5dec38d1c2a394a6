"""Nights whose right outcome is known: real days of all three models, damaged in every way that we know.

Here the tasks run one after the other in this process; `tests/end_to_end/test_known_truth.py` runs the same cases on a
real Airflow. ``make test`` runs each kind of damage on one model, ``make test-full`` on all.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.services import shared
from tests.truth.cases import ALL, MAKE_CHAMPIONS, MODELS, Case, check
from tests.truth.in_process import Nights

pytestmark = pytest.mark.slow

FLIGHTS, BIKES, ELECTRICITY = MODELS
ALWAYS = {
    "better overall, significantly worse in one slice": ELECTRICITY,
    "an identical model": BIKES,
    "a run about a night long ago": FLIGHTS,
    "stale against a fresh champion": ELECTRICITY,
    "labels shuffled": FLIGHTS,
    "a leak on all days": BIKES,
    "a leak on the training days": ELECTRICITY,
    "a leak that is not quite the answer": BIKES,
    "a leak in pieces": FLIGHTS,
    "weather shuffled": BIKES,
    "units changed": FLIGHTS,
    "all weather missing": ELECTRICITY,
    "infinite inputs": BIKES,
    "one class only": FLIGHTS,
    "labels that have not come": FLIGHTS,
    "the champion's twin is gone": ELECTRICITY,
    "the champion's bundle is gone": BIKES,
    "units changed, when they arrive": FLIGHTS,
    "one class only, when it arrives": BIKES,
    "units changed for good": BIKES,
}
"""The model with which ``make test`` runs each kind; the nights that make champions run with all three."""


@pytest.fixture(scope="module")
def nights(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nights]:
    yield Nights(shared(pytestconfig), tmp_path_factory.mktemp("truth"))


def always(model: str, case: Case) -> bool:
    return case.name in MAKE_CHAMPIONS or ALWAYS[case.name] == model


@pytest.mark.parametrize(
    ("model", "case"),
    [
        pytest.param(model, case, id=f"{model}: {case.name}", marks=() if always(model, case) else pytest.mark.full)
        for model, case in ALL
    ],
)
def test_it_ends_as_it_should(nights: Nights, model: str, case: Case) -> None:
    check(case, nights.run(model, case))


def test_each_kind_of_damage_is_among_those_that_always_run() -> None:
    assert {(case.name, model) for model, case in ALL if always(model, case)} >= set(ALWAYS.items())
    assert {case.name for _, case in ALL} == {*ALWAYS, *MAKE_CHAMPIONS}
