"""The parts of `make tour` that need no stack: its model, the fault in a day, and what is left when it ends badly."""

from __future__ import annotations

import fcntl
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

import include.models
from include import catalog
from include.data import quality
from include.errors import ConfigurationError
from include.linting import run as linting
from include.partitions import partition
from include.progress import Progress
from include.stack import credentials, environment
from include.stack.airflow_api import AirflowApi
from include.stack.following import Follower
from include.stack.layout import Stack
from include.stack.tour import command, place, removal
from include.stack.tour.steps import Guide

NAME = place.new_name(datetime(2026, 5, 3, 12, 30, tzinfo=UTC))
DAY = partition("2026-05-02", "UTC")


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    found = Stack(tmp_path / "home", 1, 2, 3)
    found.prepare()
    return found


@pytest.fixture
def folder(stack: Stack) -> Iterator[Path]:
    before = list(include.models.__path__)
    yield place.write(stack, NAME)
    include.models.__path__ = before
    for module in [name for name in sys.modules if name.startswith(f"include.models.{NAME}")]:
        del sys.modules[module]


def test_the_model_of_a_tour_is_marked_and_has_no_mistakes(folder: Path) -> None:
    model = catalog.load(NAME)
    assert place.is_tour(model.name) and model.tags == ("tour",) and "removed at its end" in model.description
    assert catalog.candidate_names(NAME) == ("baseline", "poor", "linear", "boosting")
    assert [str(problem) for problem in linting.lint({NAME: folder}) if problem.severity == "error"] == []


def test_a_day_with_the_fault_is_rejected_and_the_repaired_one_is_as_before(folder: Path) -> None:
    model, source = catalog.load(NAME), catalog.module(NAME, "source")
    suite = catalog.module(NAME, "expectations").suite()
    healthy = source.fetch(DAY, {})
    found = quality.validate(model, DAY, healthy, suite)
    assert found.critical == [] and found.quarantined.empty
    place.break_day(folder, DAY.key)
    found = quality.validate(model, DAY, source.fetch(DAY, {}), suite)
    assert found.critical and len(found.quarantined) == int(0.4 * len(healthy))
    other = partition("2026-05-01", "UTC")
    assert quality.validate(model, other, source.fetch(other, {}), suite).quarantined.empty, "only this day"
    place.repair(folder)
    assert source.fetch(DAY, {}).equals(healthy)


def test_after_the_change_days_are_other_ones_and_still_valid(folder: Path) -> None:
    """What the last step shows is drift: a day that validation rejects, or damaged values, would be something else."""
    model, source = catalog.load(NAME), catalog.module(NAME, "source")
    suite = catalog.module(NAME, "expectations").suite()
    before = source.fetch(DAY, {})
    place.change(folder, DAY.key)
    after, earlier = source.fetch(DAY, {}), source.fetch(partition("2026-05-01", "UTC"), {})
    found = quality.validate(model, DAY, after, suite)
    assert found.critical == [] and found.quarantined.empty
    assert after["weight"].median() > 1.2 * before["weight"].median()
    assert after["weight"].max() < 3 * before["weight"].max()
    (folder / "change.json").unlink()
    assert source.fetch(partition("2026-05-01", "UTC"), {}).equals(earlier), "the days before it stay as they were"
    assert model.training.schedule is None and model.training.window_days >= 60


def test_the_processes_of_a_stack_find_the_models_of_tours(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERENNIAL_MODELS", "/theirs")
    for _ in range(2):  # `make run` writes the result into its own environment
        found = environment.common_environment(stack, "/venv/bin/python")["PERENNIAL_MODELS"]
        assert found == f"/theirs:{stack.tours}"
        monkeypatch.setenv("PERENNIAL_MODELS", found)
    odd = Stack(Path("/srv/a:b"), 1, 2, 3)  # the separator in its name would make two other folders of it
    assert "a" not in environment.common_environment(odd, "/venv/bin/python")["PERENNIAL_MODELS"].split("/")


def test_a_tour_that_was_killed_is_known_to_the_next_one(stack: Stack) -> None:
    assert removal.left_over(stack) == []
    removal.begin(stack, NAME)
    removal.begin(stack, "tour_20260504_010203")
    assert removal.left_over(stack) == [NAME, "tour_20260504_010203"]
    (stack.run / "tour.json").write_text('["toy", 3, "tour_20260504_010203/../.."]')
    assert removal.left_over(stack) == [], "only names that this command gives are ever removed"


def test_there_is_one_tour_at_a_time(stack: Stack) -> None:
    with open(stack.run / "tour.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ConfigurationError, match="a tour runs already"), command._alone(stack):
            pass
    with command._alone(stack):
        pass


def test_without_a_stack_there_is_no_tour(stack: Stack) -> None:
    with pytest.raises(ConfigurationError, match="no stack runs on"):
        command.tour(stack)
    assert not list(stack.tours.iterdir())


def test_the_tour_points_to_the_page_that_the_plugin_registers(stack: Stack, folder: Path) -> None:
    from perennial.console.app import PREFIX
    from perennial.console.navigation import MODELS, ROUTE

    credentials.prepare(stack)
    follower = Follower(AirflowApi(stack), catalog.load(NAME))
    guide = Guide(stack, follower, folder, Progress(), lambda: None)
    assert guide.models_page("#gate") == f"{stack.airflow_url}/plugin/{ROUTE}{PREFIX}{MODELS}/{NAME}#gate"
