"""Parts of an estimator that infer from the values of the target what kind of target it is.

scikit-learn infers the task: `sklearn.utils.multiclass.type_of_target` takes whole numbers for classes, even if they
are float64. A `TargetEncoder` then makes one encoding for each distinct value of a count or a price in cents, and a
test for classes compares as many groups. None of this is an error in scikit-learn. Here the task is declared, and what
contradicts it is found.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from sklearn import feature_selection as chosen
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.metrics import get_scorer, get_scorer_names
from sklearn.model_selection import (
    RepeatedStratifiedKFold,
    StratifiedGroupKFold,
    StratifiedKFold,
    StratifiedShuffleSplit,
)
from sklearn.neighbors import NeighborhoodComponentsAnalysis
from sklearn.preprocessing import TargetEncoder

from include.spec import Label, Task

log = logging.getLogger(__name__)

Kind = Literal["continuous", "binary", "multiclass"]
"""What the target is, in the words of scikit-learn."""

STRATIFIED = (StratifiedKFold, RepeatedStratifiedKFold, StratifiedGroupKFold, StratifiedShuffleSplit)
FILTERS = (
    chosen.SelectKBest, chosen.SelectPercentile, chosen.SelectFpr, chosen.SelectFdr, chosen.SelectFwe,
    chosen.GenericUnivariateSelect,
)  # fmt: skip
SELECTORS = (chosen.SelectFromModel, chosen.RFE, chosen.RFECV, chosen.SequentialFeatureSelector)
FOR_NUMBERS = {
    chosen.f_classif: "f_regression",
    chosen.chi2: "f_regression",
    chosen.mutual_info_classif: "mutual_info_regression",
}
"""Tests of features against classes, and the name of the test against a number to use instead."""
FOR_CLASSES = {
    chosen.f_regression: "f_classif",
    chosen.r_regression: "f_classif",
    chosen.mutual_info_regression: "mutual_info_classif",
}
GRIDS = ("param_grid", "param_distributions")
MOST_VALUES = 20  # of a parameter in a grid that are looked at
TASKS: dict[Kind, str] = {
    "continuous": "a number (a regression)",
    "binary": "a class (a binary classification)",
    "multiclass": "a class (a classification of several classes)",
}
FITTING: dict[Kind, tuple[str, ...]] = {
    # the mean of a label that is 0 or 1 is the share of the positive class
    "continuous": ("continuous",),
    "binary": ("binary", "continuous"),
    "multiclass": ("multiclass",),
}


@dataclass(frozen=True)
class Misread:
    """A part of an estimator that treats the target as the wrong kind.

    Attributes
    ----------
    part : the part.
    parameter : the parameter that is wrong, or left to be inferred; empty if the part itself is wrong.
    what, hint : the problem, and what to write instead, in words.
    value : the value of the parameter to write, as Python that needs no import; empty if there is none.
    settled : the value is only left to be inferred, and `settle` sets it before a fit.
    """

    part: Any
    parameter: str
    what: str
    hint: str
    value: str = ""
    settled: bool = False


def kind_of(label: Label) -> Kind:
    """The kind of the label, as it is declared."""
    if label.task is Task.REGRESSION:
        return "continuous"
    return "multiclass" if label.multiclass else "binary"


def misread(label: Label, estimator: Any) -> Iterator[Misread]:
    """The parts of an unfitted estimator, at any depth, that treat this label as the wrong kind."""
    kind = kind_of(label)
    if is_classifier(estimator) is (kind == "continuous"):
        return  # the estimator as a whole is of the other task, which is reported as such
    for part in _parts(estimator):
        if isinstance(part, TargetEncoder):
            yield from _encoder(kind, part)
        if isinstance(part, FILTERS):
            yield from _filter(kind, part)
        if isinstance(part, SELECTORS) and kind == "multiclass" and is_regressor(part.estimator):
            what = f"{_name(part)} judges features by {_name(part.estimator)}, which takes the numbers of classes for"
            yield Misread(part, "estimator", f"{what} amounts", "use a classifier, e.g. LogisticRegression()")
        if kind == "continuous" and (is_classifier(part) or isinstance(part, NeighborhoodComponentsAnalysis)):
            what = f"{_name(part)} learns classes: each distinct value of the label would be one"
            yield Misread(part, "", what, f"use one for a number, because the label is {TASKS[kind]}")
        yield from _parameters(kind, part)
        yield from _searched(label, part)


def settle(label: Label, estimator: Any, target: np.ndarray) -> None:
    """Set in an unfitted estimator (in place) what a `TargetEncoder` would infer from the values of the target.

    Of several declared classes only two may occur in a window: scikit-learn 1.9 fails on them as "multiclass".

    Parameters
    ----------
    target : the labels that it will be fitted on, as `dataset.labels` gives them.
    """
    kind = kind_of(label)
    for part in _parts(estimator):
        if not isinstance(part, TargetEncoder):
            continue
        if part.target_type == "auto":
            log.info("%s encodes the target as %r: it is declared %s.", _name(part), kind, TASKS[kind])
            part.set_params(target_type=kind)
        if part.target_type == "multiclass" and len(np.unique(target)) == 2:
            part.set_params(target_type="binary")


def learned_classes(fitted: Any) -> Iterator[tuple[str, int]]:
    """Parts of a fitted estimator that hold classes, at any depth: the name of each and their number."""
    seen: set[int] = set()
    waiting = [fitted]
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, (list, tuple)):
            waiting.extend(part[:64])
        elif isinstance(part, dict):
            waiting.extend(part.values())
        elif hasattr(part, "get_params") and not isinstance(part, type):
            classes = vars(part).get("classes_")
            if isinstance(classes, np.ndarray) and len(classes) > 1:
                yield _name(part), len(classes)
            waiting.extend(vars(part).values())


def _encoder(kind: Kind, part: TargetEncoder) -> Iterator[Misread]:
    given = part.target_type
    if given in FITTING[kind]:
        return
    hint = f"write target_type={kind!r}, because the label is {TASKS[kind]}"
    if given == "auto":
        what = "TargetEncoder reads from the values of the label what it is"
        if kind == "continuous":
            what += ": whole numbers are classes to it, with an encoding for each distinct value"
    else:
        what = f"TargetEncoder takes the label for {TASKS.get(given, repr(given))}"
    yield Misread(part, "target_type", what, hint, f'"{kind}"', given == "auto")


def _filter(kind: Kind, part: Any) -> Iterator[Misread]:
    test = _function(part.score_func)
    if kind == "continuous":
        other, why = FOR_NUMBERS.get(test), "classes: each distinct value of the label would be one"
    else:  # of two classes the difference of 0 and 1 is a right amount
        other = FOR_CLASSES.get(test) if kind == "multiclass" else None
        why = "a number: it takes the numbers of classes for amounts"
    if other:
        what = f"{_name(part)} tests features by {test.__name__}, which is for {why}"
        yield Misread(part, "score_func", what, f"write score_func={other} (of sklearn.feature_selection)")


def _function(test: Any) -> Any:
    """The function behind a test of features: arguments are often bound to it (a seed, the number of neighbors)."""
    while isinstance(test, functools.partial):
        test = test.func
    return test


def _searched(label: Label, part: Any) -> Iterator[Misread]:
    """Values that a search over parameters would try and that treat the label as the wrong kind."""
    parameters = part.get_params(deep=False)
    found: set[str] = set()
    for name in GRIDS:
        for grid in _listed(parameters.get(name)):
            for key, values in grid.items() if isinstance(grid, Mapping) else ():
                for value in _listed(values)[:MOST_VALUES]:
                    try:
                        tried = clone(part.estimator).set_params(**{key: value})
                    except (TypeError, ValueError):
                        continue  # the estimator has no such parameter: the fit reports it
                    for wrong in misread(label, tried):
                        what = f"{_name(part)} tries {key}={_shown(value)}: {wrong.what}"
                        if what not in found:
                            found.add(what)
                            yield replace(wrong, part=part, parameter=name, what=what, value="", settled=False)


def _listed(values: Any) -> list[Any]:
    """The values of a grid; none of a distribution, which lists nothing."""
    if isinstance(values, (list, tuple, np.ndarray)):
        return list(values)
    return [values] if isinstance(values, Mapping) else []


def _shown(value: Any) -> str:
    return _name(value) if hasattr(value, "get_params") else getattr(_function(value), "__name__", repr(value))


def _scorers(value: Any) -> Iterator[tuple[str, Any]]:
    """The names and functions of scikit-learn's scorers in a parameter ``scoring``."""
    if isinstance(value, str) and value in get_scorer_names():
        yield repr(value), get_scorer(value)._score_func
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _scorers(inner)
    elif isinstance(value, (list, tuple, set)):
        for inner in value:
            yield from _scorers(inner)
    elif callable(getattr(value, "_score_func", None)):
        yield value._score_func.__name__, value._score_func


def _parameters(kind: Kind, part: Any) -> Iterator[Misread]:
    """Splitters and scorers of the other task."""
    for name, value in part.get_params(deep=False).items():
        if kind == "continuous" and isinstance(value, STRATIFIED):
            what = f"{_name(part)} splits by {_name(value)}, which is for classes: each distinct value of the label"
            yield Misread(part, name, f"{what} would be one", f"write {name}=KFold({_folds(value)})")
        for scorer, function in _scorers(value) if name == "scoring" else ():
            number = function.__module__ == "sklearn.metrics._regression"
            classes = function.__module__.startswith("sklearn.metrics.") and not number
            if classes if kind == "continuous" else number and kind == "multiclass":
                what = f"{_name(part)} is scored by {scorer}, and the label is {TASKS[kind]}"
                example = "neg_mean_absolute_error" if kind == "continuous" else "neg_log_loss"
                plain = f'"{example}"' if isinstance(value, str) else ""
                yield Misread(part, name, what, f'use one for that, e.g. scoring="{example}"', plain)


def _parts(estimator: Any) -> list[Any]:
    """The estimator and all estimators that are set in it, each once."""
    found: dict[int, Any] = {}
    waiting = [estimator]
    while waiting:
        part = waiting.pop(0)
        if isinstance(part, (list, tuple)):
            waiting.extend(part)
        elif hasattr(part, "get_params") and not isinstance(part, type) and id(part) not in found:
            found[id(part)] = part
            waiting.extend(part.get_params(deep=True).values())
    return list(found.values())


def _folds(splitter: Any) -> str:
    folds = getattr(splitter, "n_splits", None)
    return str(folds) if isinstance(folds, int) else ""


def _name(part: Any) -> str:
    return type(part).__name__
