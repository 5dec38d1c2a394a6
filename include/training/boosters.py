"""Gradient boosting of LightGBM, XGBoost and CatBoost, which are optional: how it is fitted here.

The libraries are recognized by the names of their classes, so that nothing imports one that a model does not use.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone, is_classifier
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline

VALIDATION = 0.1
"""Share of the rows on which early stopping judges, as `validation_fraction` of scikit-learn's gradient boosting."""


@dataclass(frozen=True)
class Library:
    """What the parameters of one library are called; of several names for one thing, the first is the usual one.

    Attributes
    ----------
    classes : its estimators that can be candidates.
    iterations, threads, seed, patience : parameters; ``patience`` is how many iterations without a gain end a fit.
    always : parameters of every fit, each with its value.
    unless : parameters of every fit that has none of some others: name and value, by the names of the others.
    """

    module: str
    classes: tuple[str, ...]
    iterations: tuple[str, ...]
    threads: tuple[str, ...]
    seed: tuple[str, ...]
    patience: tuple[str, ...]
    always: Mapping[str, Any] = field(default_factory=dict)
    unless: Mapping[tuple[str, ...], tuple[str, Any]] = field(default_factory=dict)


LIGHTGBM = Library(
    module="lightgbm",
    classes=("LGBMClassifier", "LGBMRegressor"),
    iterations=("n_estimators", "num_iterations", "num_iteration", "n_iter", "num_tree", "num_trees", "num_round",
                "num_rounds", "nrounds", "num_boost_round", "max_iter"),
    threads=("n_jobs", "num_threads", "num_thread", "nthread", "nthreads"),
    seed=("random_state", "seed", "random_seed"),
    patience=("early_stopping_round", "early_stopping_rounds", "early_stopping", "n_iter_no_change"),
    always={"deterministic": True},
    # Otherwise LightGBM measures which of two ways is faster, and the order of its sums depends on the answer.
    unless={("force_col_wise", "force_row_wise"): ("force_row_wise", True),
            ("verbose", "verbosity"): ("verbosity", -1)},
)  # fmt: skip
XGBOOST = Library(
    module="xgboost",
    classes=("XGBClassifier", "XGBRegressor", "XGBRFClassifier", "XGBRFRegressor"),
    iterations=("n_estimators",),
    threads=("n_jobs", "nthread"),
    seed=("random_state", "seed"),
    patience=("early_stopping_rounds",),
)
CATBOOST = Library(
    module="catboost",
    classes=("CatBoostClassifier", "CatBoostRegressor"),
    iterations=("iterations", "n_estimators", "num_boost_round", "num_trees"),
    threads=("thread_count",),
    seed=("random_seed", "random_state"),
    patience=("early_stopping_rounds", "od_wait"),
    always={"allow_writing_files": False},  # or it writes a folder catboost_info wherever it is called
    unless={("verbose", "silent", "logging_level", "verbose_eval"): ("logging_level", "Silent")},
)
LIBRARIES = (LIGHTGBM, XGBOOST, CATBOOST)


def library_of(part: Any) -> Library | None:
    """The library that an estimator is of, also if its class is derived from one of the library; None of any other."""
    for kind in type(part).__mro__:
        for library in LIBRARIES:
            if kind.__module__.partition(".")[0] == library.module and kind.__name__ in library.classes:
                return library
    return None


def parts(estimator: Any) -> Iterator[tuple[Any, Library]]:
    """The boosters in an estimator, at any depth, with their libraries."""
    if isinstance(estimator, type) or not hasattr(estimator, "get_params"):
        return
    seen: set[int] = set()
    for part in [estimator, *estimator.get_params(deep=True).values()]:
        library = library_of(part)
        if library and id(part) not in seen:
            seen.add(id(part))
            yield part, library


def settle(estimator: Any, seed: int) -> None:
    """Set in an unfitted estimator (in place) what makes the same fit give the same bytes: one thread, the seed."""
    for part, library in parts(estimator):
        given = part.get_params()
        settings = dict(library.always)
        settings |= {name: value for others, (name, value) in library.unless.items() if not given.keys() & set(others)}
        settings |= dict.fromkeys(_names(given, library.threads), 1) | dict.fromkeys(_names(given, library.seed), seed)
        part.set_params(**settings)


def fix_iterations(estimator: Any, iterations: int) -> None:
    """Let all boosters in an unfitted estimator (in place) take so many iterations, without early stopping."""
    for part, library in parts(estimator):
        given = part.get_params()
        part.set_params(**dict.fromkeys(_names(given, library.iterations), iterations))
        _without_patience(part, library)


def stops_early(estimator: Any) -> bool:
    """Whether the last step of an estimator is a booster that is to stop early."""
    last = last_step(estimator)
    library = library_of(last)
    return library is not None and patience(last, library) > 0


def iterations_until_stop(estimator: Any, frame: pd.DataFrame, target: np.ndarray, seed: int) -> int:
    """How many iterations the last step of an estimator takes until a tenth of the rows shows no gain any more.

    These libraries stop early on rows that they are handed, and a pipeline hands none to its last step. The rows are
    split as scikit-learn's gradient boosting does it: at random, by class. The estimator itself is not fitted.
    """
    copy = clone(estimator)
    by_class = target if is_classifier(copy) else None
    fit, judge, of_fit, of_judge = train_test_split(
        frame, target, test_size=VALIDATION, random_state=seed, stratify=by_class
    )
    last = last_step(copy)
    library = library_of(last)
    if isinstance(copy, Pipeline) and len(copy.steps) > 1:
        before = copy[:-1]
        fit, judge = before.fit_transform(fit, of_fit), before.transform(judge)
    if library is LIGHTGBM:
        last.fit(fit, of_fit, eval_X=(judge,), eval_y=(of_judge,))
        return max(1, int(last.best_iteration_))
    last.fit(fit, of_fit, eval_set=[(judge, of_judge)], verbose=False)
    best = last.get_best_iteration() if library is CATBOOST else last.best_iteration
    return int(best or 0) + 1


def without_time(fitted: Any) -> None:
    """Remove from fitted boosters (in place) when they were fitted, so that the same fit has the same bytes."""
    for part, library in parts(fitted):
        if library is CATBOOST:
            notes = part.get_metadata()
            for name in ("train_finish_time", "model_guid"):
                notes[name] = ""


def last_step(estimator: Any) -> Any:
    """The last step of a pipeline; any other estimator itself."""
    return estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator


def patience(part: Any, library: Library) -> int:
    """After how many iterations without a gain a booster is to stop; 0: it is not to stop early."""
    given = part.get_params()
    return max((int(given[name]) for name in library.patience if given.get(name)), default=0)


def _without_patience(part: Any, library: Library) -> None:
    given = part.get_params()
    named = [name for name in library.patience if given.get(name)]
    if named:
        part.set_params(**dict.fromkeys(named, 0 if library is LIGHTGBM else None))


def _names(given: Mapping[str, Any], names: tuple[str, ...]) -> list[str]:
    """Under which names a parameter is given; the usual one if it is not."""
    return [name for name in names if name in given] or [names[0]]
