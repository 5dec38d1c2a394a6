"""Homes with a real ledger and MLflow, to compare the lab with real nights; and models with a known drift."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

import include.models
from include import catalog
from include.backtest import damaged_picture, picture, pool
from include.backtest.history import History
from include.backtest.lab import Lab
from include.backtest.store import Store
from include.spec import Model
from tests import homes
from tests.services import shared


@pytest.fixture(scope="session")
def toy() -> Model:
    return catalog.load("toy")


@pytest.fixture(scope="session")
def filled_lake(toy: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return homes.filled(toy, tmp_path_factory.mktemp("template"))


@pytest.fixture
def home(
    pytestconfig: pytest.Config, filled_lake: Path, tmp_path: Path, toy: Model, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A home for one test: a filled lake, an empty ledger and an empty bundle store. MLflow is shared."""
    return homes.of_its_own(shared(pytestconfig), filled_lake, tmp_path, toy, monkeypatch).folder


@pytest.fixture(scope="session")
def drifting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A models folder that this process and its child processes know; see `tests.backtest.drifting`."""
    folder = tmp_path_factory.mktemp("models")
    before, path = os.environ["PERENNIAL_MODELS"], list(include.models.__path__)
    os.environ["PERENNIAL_MODELS"] = f"{before}:{folder}"
    include.models.__path__ = [*path, str(folder)]
    yield folder
    os.environ["PERENNIAL_MODELS"] = before
    include.models.__path__ = path


@contextmanager
def _fit_in_process(model: Model, history: History, store: Store, count: int) -> Iterator[pool.Fit]:
    pool._OURS.update(model=model, history=history, store=store)
    yield lambda works: map(pool._fit, works)


@contextmanager
def _collect_in_process(model: Model, root: Path, connections: Mapping[str, str], count: int) -> Iterator[pool.Collect]:
    pool._OURS.update(lab=Lab(model, root), connections=dict(connections))
    yield lambda keys: iter(pool._collect(keys))


@contextmanager
def _call_in_process(
    function: Callable[[Model, History, Any], Any], model: Model, history: History, count: int
) -> Iterator[Callable[[Iterable[Any]], Iterator[Any]]]:
    yield lambda arguments: (function(model, history, argument) for argument in arguments)


@contextmanager
def _without_workers() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool, "fitting", _fit_in_process)
        patch.setattr(pool, "collecting", _collect_in_process)
        patch.setattr(pool, "calling", _call_in_process)
        yield


@pytest.fixture(scope="session")
def in_one_process() -> Callable[[], AbstractContextManager[None]]:
    """A context in which back-tests run in this process: starting workers would take longer than their work.

    `test_backtest` and `test_power` also use real workers, kill one, and compare the results.
    """
    return _without_workers


@pytest.fixture(scope="module")
def without_workers(in_one_process: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
    """`in_one_process` for a whole module."""
    with in_one_process():
        yield


@pytest.fixture
def without_workers_once(in_one_process: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
    """`in_one_process` for one test."""
    with in_one_process():
        yield


@pytest.fixture
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw nothing, because that takes seconds; for tests that read the figures of a report."""
    for module in (picture, damaged_picture):
        monkeypatch.setattr(module, "draw", lambda *_: {})
