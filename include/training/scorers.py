"""The figures of merit that a model's own `scorers.py` adds to the usual ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from include import catalog
from include.errors import ConfigurationError
from include.spec import Model, Scorer
from include.spelling import did_you_mean
from include.statistics.metrics import Metric, mean

FILE = "scorers"


def of(model: Model) -> dict[str, Metric]:
    """The metrics that the model declares itself (`spec.Scorer`), by name.

    Raises
    ------
    ConfigurationError : `scorers.py` cannot be imported or lacks a function; when computed, a function that fails, or
        returns something other than was declared. This is reported and never counts as a bad score.
    """
    if not model.scorers:
        return {}
    module = catalog.module(model.name, FILE)
    found = {}
    for declared in model.scorers:
        function = getattr(module, declared.name, None)
        if not callable(function):
            near = did_you_mean(declared.name, [n for n in vars(module) if callable(getattr(module, n))])
            raise ConfigurationError(f"{FILE}.py of {model.name} has no function {declared.name!r}{near}")
        found[declared.name] = _metric(model, declared, function)
    return found


def _metric(model: Model, declared: Scorer, function: Callable[[np.ndarray, np.ndarray], object]) -> Metric:
    where, task = f"the scorer {declared.name!r} of {model.name}", model.data.label.task

    def called(y: np.ndarray, p: np.ndarray) -> np.ndarray:
        try:
            return np.asarray(function(y, p), dtype=np.float64)
        except Exception as problem:
            raise ConfigurationError(f"{where} failed: {type(problem).__name__}: {problem}") from problem

    def by_row(y: np.ndarray, p: np.ndarray) -> np.ndarray:
        values = called(y, p)
        if values.shape != (len(y),):
            raise ConfigurationError(
                f"{where} returned an array of shape {values.shape} for {len(y)} rows: declared with by_row=True it "
                "returns a value for each."
            )
        return values

    def compute(y: np.ndarray, p: np.ndarray) -> float:
        value = called(y, p)
        if value.shape != ():
            raise ConfigurationError(
                f"{where} returned an array of shape {value.shape}, not a number: declare it with by_row=True, or take "
                "the mean."
            )
        return float(value)

    if declared.by_row:
        return mean(by_row, declared.larger_is_better, task)
    return Metric(compute, declared.larger_is_better, task)
