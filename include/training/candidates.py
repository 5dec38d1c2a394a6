"""The estimators that a run tries: loaded from the model's folder, checked, seeded and fitted."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from threadpoolctl import get_cached_controller

from include import catalog
from include.errors import ConfigurationError, DataError, PerennialError
from include.extras import advice, lacking
from include.spec import Candidate, Label, Model, Task
from include.spelling import did_you_mean
from include.training import booster_settings, boosters, converters, dataset, targets
from include.training.plan import Window

log = logging.getLogger(__name__)

_BOOSTING = (HistGradientBoostingClassifier, HistGradientBoostingRegressor)


@dataclass(frozen=True)
class Fitted:
    """One fit: the pipeline, the features it takes (``feature_types``: "string" or "number") and the rows it has seen.

    ``iterations``: after how many it stopped early. They belong to the recipe: the twin and the release model are
    fitted with exactly this many, without early stopping.
    """

    pipeline: Any
    feature_names: tuple[str, ...]
    feature_types: tuple[str, ...]
    rows: int
    first: str
    last: str
    dropped: tuple[str, ...] = ()
    iterations: int | None = None
    seconds: float = field(default=0.0, compare=False)


def load(model: Model) -> dict[str, Candidate]:
    """The candidates that the model's folder declares, by name, in the order of declaration.

    Raises
    ------
    ConfigurationError : fewer than two, not exactly one baseline, or an estimator that scikit-learn cannot clone.
    """
    try:
        return dict(_loaded(model, catalog.module(model.name, "candidates").candidates))
    except ModuleNotFoundError as problem:
        if package := lacking(problem):
            where = catalog.folder(model.name) / "candidates.py"
            raise ConfigurationError(
                f"{where}: candidates of {model.name} need {package}: {advice(package)}"
            ) from problem
        raise


@lru_cache(maxsize=16)  # a night asks a dozen times; nothing changes an estimator, because each fit clones it
def _loaded(model: Model, declare: Callable[[], object]) -> Mapping[str, Candidate]:
    return checked(model, declare())


def checked(model: Model, declared: object) -> dict[str, Candidate]:
    """What `candidates()` of a model returned, if it can be used; ConfigurationError as `load`."""
    if not isinstance(declared, Mapping) or len(declared) < 2:
        raise ConfigurationError(
            f"candidates() of {model.name} must return at least two named candidates, one of them the baseline."
        )
    found = {str(n): c if isinstance(c, Candidate) else Candidate(c) for n, c in declared.items()}
    baselines = [name for name, candidate in found.items() if candidate.baseline]
    if len(baselines) != 1:
        raise ConfigurationError(
            f"candidates() of {model.name} declares {len(baselines)} baselines ({', '.join(baselines) or 'none'}): "
            "mark exactly one, e.g. Candidate(DummyClassifier(strategy='prior'), baseline=True)."
        )
    for name, candidate in found.items():
        wrong = next((m for m in _misused(candidate.estimator) if not m.settled), None)
        if wrong:
            raise ConfigurationError(f"candidate {name!r} of {model.name}: {wrong.what}; {wrong.hint}.")
        try:
            clone(candidate.estimator)
        except Exception as problem:
            raise ConfigurationError(
                f"candidate {name!r} of {model.name} is not a scikit-learn estimator that can be cloned: {problem}"
            ) from problem
        _fits_the_task(model, name, candidate.estimator)
    return found


def _misused(estimator: Any) -> list[targets.Misread]:
    try:
        return list(booster_settings.misused(estimator))
    except Exception:  # an estimator that cannot be asked, which cannot be cloned either
        return []


def _fits_the_task(model: Model, name: str, estimator: Any) -> None:
    """Refuse an estimator that cannot give the scores of the model's task, or cannot be served, whatever the data."""
    what = f"candidate {name!r} of {model.name}: {_called(estimator)}"
    column = model.data.label.column
    if model.data.label.task is Task.REGRESSION:
        if is_classifier(estimator):
            raise ConfigurationError(
                f"{what} is a classifier, and the label {column!r} is declared a regression. Use a regressor, or "
                'declare the label task="classification".'
            )
    elif is_regressor(estimator):
        raise ConfigurationError(
            f"{what} is a regressor, and the label {column!r} is declared a classification. Use a classifier, or "
            'declare the label task="regression".'
        )
    elif not hasattr(estimator, "predict_proba"):
        raise ConfigurationError(
            f"{what} gives no probabilities (it has no predict_proba), and probabilities are what is compared and "
            "served. Wrap it in CalibratedClassifierCV, or use one that has them, e.g. LogisticRegression."
        )
    for wrong in targets.misread(model.data.label, estimator):
        if not wrong.settled:
            raise ConfigurationError(f"candidate {name!r} of {model.name}: {wrong.what}; {wrong.hint}.")
    lacking = converters.without_converter(estimator)
    if lacking:
        counts = " For counts there is HistGradientBoostingRegressor(loss='poisson')."
        raise ConfigurationError(
            f"{what} could be trained but never served: {', '.join(lacking)} cannot become ONNX. Use what can: "
            f"https://onnx.ai/sklearn-onnx/supported.html{counts if 'TransformedTargetRegressor' in lacking else ''}"
        )


def _called(estimator: Any) -> str:
    """The class of an estimator; of a pipeline, that of its last step."""
    steps = getattr(estimator, "steps", None)
    return type(steps[-1][1] if steps else estimator).__name__


def choose(declared: Mapping[str, Candidate], names: Iterable[str] | None) -> list[str]:
    """The names of the candidates of a run: all, or those requested, in the order of declaration. The baseline is
    always in.

    Raises
    ------
    ConfigurationError : an unknown name, or nothing but the baseline.
    """
    wanted = list(names or declared)
    for name in wanted:
        if name not in declared:
            raise ConfigurationError(f"there is no candidate {name!r}{did_you_mean(name, declared)}")
    chosen = [name for name, candidate in declared.items() if candidate.baseline or name in wanted]
    if len(chosen) < 2:
        raise ConfigurationError(
            f"only the baseline {chosen[0]!r} was chosen: name at least one more of {', '.join(declared)}."
        )
    return chosen


def baseline_name(declared: Mapping[str, Candidate]) -> str:
    """The name of the one baseline."""
    return next(name for name, candidate in declared.items() if candidate.baseline)


def window_of(candidate: Candidate, plan_days: Window) -> Window:
    """The candidate's own window, else the run's."""
    return plan_days if candidate.window_days is None else candidate.window_days


def seeded(estimator: Any, seed: int) -> Any:
    """An unfitted copy in which every ``random_state`` (of every step) is ``seed``."""
    copy = clone(estimator)
    states = {
        name: seed
        for name, value in copy.get_params(deep=True).items()
        if (name == "random_state" or name.endswith("__random_state")) and value != "deprecated"
    }
    return copy.set_params(**states) if states else copy


def stopped_after(pipeline: Any) -> int | None:
    """How many iterations scikit-learn's gradient boosting took until it stopped early; None if nothing stopped."""
    for part in [pipeline, *pipeline.get_params(deep=True).values()]:
        if isinstance(part, _BOOSTING) and getattr(part, "do_early_stopping_", False):
            return int(part.n_iter_)
    return None


def _with_iterations(estimator: Any, iterations: int | None) -> None:
    if iterations is not None and boosters.stops_early(estimator):
        boosters.fix_iterations(boosters.last_step(estimator), iterations)
    elif iterations is not None:
        for part in [estimator, *estimator.get_params(deep=True).values()]:
            if isinstance(part, _BOOSTING):
                part.set_params(max_iter=iterations, early_stopping=False)


def without_features(estimator: Any, dropped: Iterable[str]) -> None:
    """Take features that are not there out of every `ColumnTransformer` that names them (in place)."""
    gone = set(dropped)
    if not gone:
        return
    parts = [estimator, *estimator.get_params(deep=True).values()]
    for part in parts:
        if isinstance(part, ColumnTransformer):
            kept = []
            for name, transformer, columns in part.transformers:
                if isinstance(columns, str):
                    left: Any = [] if columns in gone else columns
                elif isinstance(columns, (list, tuple)):
                    left = [c for c in columns if c not in gone]
                else:
                    left = columns
                if not (isinstance(left, list) and not left):
                    kept.append((name, transformer, left))
            part.set_params(transformers=kept)


def fit(
    model: Model,
    candidate: Candidate,
    raw_frame: pd.DataFrame,
    seed: int,
    iterations: int | None = None,
    build: dataset.Build | None = None,
) -> Fitted:
    """Fit one candidate on the labelled rows of ``raw_frame``, on one thread, in the order of the key.

    Features that are missing in every row are left out with a warning (gradient boosting would crash on them).
    The same rows, seed and machine give the same model to the byte, whatever order the rows come in.

    Parameters
    ----------
    iterations : of gradient boosting, if an earlier fit found them (`stopped_after`).
    build : features code to use instead of that of the model's folder.

    Raises
    ------
    DataError : fewer rows than ``training.min_rows``, the same label in all of them, or an estimator that cannot be
        fitted on them.
    """
    rows = dataset.capped(model, dataset.sort(model, dataset.labelled(model, raw_frame)), seed)
    span = f"{rows['partition'].iloc[0]} to {rows['partition'].iloc[-1]}" if len(rows) else "the window"
    if len(rows) < model.training.min_rows:
        raise DataError(
            f"{len(rows)} labelled rows of {span} are too few to fit {model.name}: training.min_rows is "
            f"{model.training.min_rows}."
        )
    rows, target = _learnable(model, rows, span)
    frame = dataset.features_frame(model, rows, build)
    dropped = tuple(str(c) for c in frame.columns if frame[c].dtype != object and frame[c].isna().all())
    if dropped:
        log.warning(
            "Left out of the fit, because missing in all %d rows of %s: %s.", len(rows), span, ", ".join(dropped)
        )
        frame = frame.drop(columns=list(dropped))
    estimator = seeded(candidate.estimator, seed)
    boosters.settle(estimator, seed)
    without_features(estimator, dropped)
    _with_iterations(estimator, iterations)
    targets.settle(model.data.label, estimator, target)
    started = time.perf_counter()
    try:
        with get_cached_controller().limit(limits=1):
            if boosters.stops_early(estimator):
                iterations = boosters.iterations_until_stop(estimator, frame, target, seed)
                _with_iterations(estimator, iterations)
            estimator.fit(frame, target)
            boosters.without_time(estimator)
    except PerennialError:
        raise
    except Exception as problem:
        raise DataError(
            f"an estimator of {model.name} could not be fitted on {len(rows)} rows of {span}: "
            f"{type(problem).__name__}: {problem}"
        ) from problem
    return Fitted(
        pipeline=estimator,
        feature_names=tuple(map(str, frame.columns)),
        feature_types=tuple("string" if frame[c].dtype == object else "number" for c in frame.columns),
        rows=len(rows),
        first=str(rows["partition"].iloc[0]),
        last=str(rows["partition"].iloc[-1]),
        dropped=dropped,
        iterations=stopped_after(estimator) or iterations,
        seconds=time.perf_counter() - started,
    )


def _learnable(model: Model, rows: pd.DataFrame, span: str) -> tuple[pd.DataFrame, np.ndarray]:
    """The rows that can be learned from, and their labels.

    Nothing can be learned from a class with one row, and early stopping and calibration fail on it (they split by
    class): it is left out with a warning, like a class that is absent.
    """
    label = model.data.label
    target = dataset.labels(model, rows)
    if label.classes is not None:
        counts = np.bincount(target, minlength=len(label.classes))
        few = [repr(c) for c, count in zip(label.classes, counts, strict=True) if count < 2]
        if few:
            log.warning(
                "%s of %s has fewer than two rows of %s: the fit will give it the probability 0.",
                span, model.name, ", ".join(few),
            )  # fmt: skip
            kept = counts[target] > 1
            rows, target = rows.loc[kept], target[kept]
    if len(np.unique(target)) < 2:
        raise DataError(
            f"all {len(rows)} rows of {span} have the same {label.column!r} ({_only_label(label, target)}): there is "
            "nothing to learn. Check the source of the label."
        )
    return rows, target


def _only_label(label: Label, target: np.ndarray) -> str:
    """In words, the one label that all rows have."""
    if not len(target):
        return "no class has two rows"
    if label.task is Task.REGRESSION:
        return f"{target[0]:g}"
    if label.classes is not None:
        return repr(label.classes[target[0]])
    return f"{'' if target[0] else 'not '}{label.positive!r}"
