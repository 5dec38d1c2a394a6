"""Runs `candidates()` of a folder: what it returns, the features that it names, whether it fits made-up rows."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype
from sklearn.base import BaseEstimator, clone
from sklearn.compose import ColumnTransformer
from threadpoolctl import get_cached_controller

from include.errors import ConfigurationError, DataError, ReleaseError
from include.linting import plain
from include.linting.columns import Use
from include.mistakes.explaining import message_of
from include.mistakes.problem import Place, Problem, Suggestion
from include.mistakes.running import Traced
from include.scoring.predictor import Predictor
from include.spec import Candidate, Model, Task
from include.spelling import nearest
from include.training import booster_settings, boosters, export, parity, targets
from include.training import candidates as rules
from include.training.candidates import Fitted

ITERATIONS = 3  # of a trial fit
FEW = {"max_iter": ITERATIONS, "n_estimators": ITERATIONS}


class Candidates:
    """The candidates of a folder and what is wrong with them."""

    def __init__(self, run: Traced, function: ast.FunctionDef | None, model: Model) -> None:
        self.run, self.function, self.model = run, function, model
        self.returned: Any = run.call("candidates") if function is not None else None
        self.failed = run.failed or function is None
        found = self.returned if isinstance(self.returned, Mapping) else {}
        self.all = {n: c if isinstance(c, Candidate) else Candidate(c) for n, c in found.items()}

    def problems(self) -> Iterator[Problem]:
        """What is wrong, in addition to the names of features and to what the run itself has recorded."""
        if self.failed:
            return
        yield from self._together()
        for name, candidate in self.all.items():
            yield from self._window(name, candidate)
            refused = list(self._parameters(candidate))
            refused = refused or list(self._targets(candidate)) or list(self._alone(name, candidate))
            yield from refused

    def uses(self) -> list[Use]:
        """Every feature that a `ColumnTransformer` names."""
        found = []
        for transformer in self._transformers():
            for _, _, columns in transformer.transformers:
                who, at = "a ColumnTransformer names", self._at(transformer)
                found += [Use.of(n, self.run.source, self.run.node_of(n), who, at) for n in _texts(columns)]
        return found

    def unused(self, features: Mapping[str, Use], built: Mapping[str, object]) -> Iterator[Problem]:
        """Features that are built for nothing: no candidate takes them, by name or by a selector of columns."""
        if self.failed or not self.all:
            return
        taken: set[str] = set()
        for candidate in self.all.values():
            if candidate.baseline:
                continue
            first = candidate.estimator
            while getattr(first, "steps", None):
                first = first.steps[0][1]
            named = isinstance(first, ColumnTransformer) and first.remainder == "drop"
            lists = [_selected(columns, built) for _, _, columns in first.transformers] if named else [None]
            if not all(_texts(columns) or columns == [] for columns in lists):
                return
            taken |= {name for columns in lists for name in _texts(columns)}
        names = {use.name for use in features.values()}
        for name in sorted(names - taken):
            if nearest(name, taken - names) is None:
                what = f"feature {name!r} is built, and no candidate takes it"
                yield Problem(features[name].place, what, "name it in candidates.py, or leave it out", "warning")

    def fits(self, built: Mapping[str, object]) -> Iterator[Problem]:
        """Fit each candidate on made-up features and labels, a few iterations long; store and convert the fit."""
        names = {str(name): name for name in self.all}  # the same names, with the place where they are written
        frame = _frame(built)
        empty = [n for n in frame if frame[n].dtype != object and frame[n].isna().all()]
        frame = frame.drop(columns=empty)
        target = self._target(len(frame))
        again = plain.call(self.run, "candidates")
        for name, candidate in (again[0] if again else {}).items():
            try:
                estimator = clone(getattr(candidate, "estimator", candidate))
                rules.without_features(estimator, map(str, empty))
                for key in list(estimator.get_params(deep=True)):
                    if key.split("__")[-1] in FEW:
                        estimator.set_params(**{key: FEW[key.split("__")[-1]]})
                boosters.settle(estimator, seed=0)
                boosters.fix_iterations(estimator, ITERATIONS)
                with get_cached_controller().limit(limits=1), warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    estimator.fit(frame, target)
                    predict = "predict" if self.model.data.label.task is Task.REGRESSION else "predict_proba"
                    getattr(estimator, predict)(frame.iloc[:1])
                if self.model.data.label.task is Task.REGRESSION:
                    for part, classes in targets.learned_classes(estimator):
                        what = f"candidate {str(name)!r}: {part} took {classes} distinct values of the label for"
                        hint = "the label is declared a regression: use what predicts a number"
                        yield Problem(self._of(names.get(str(name))), f"{what} classes", hint)
            except Exception as error:
                what = f"candidate {str(name)!r} could not be fitted on {len(frame)} made-up rows: {message_of(error)}"
                hint = "try it on real ones: make try-model MODEL=" + self.model.name
                yield Problem(self._of(names.get(str(name))), what, hint, "warning")
                continue
            yield from self._kept(estimator, frame, str(name), self._of(names.get(str(name))))

    def _kept(self, estimator: Any, frame: pd.DataFrame, name: str, place: Place) -> Iterator[Problem]:
        """What a night would refuse of this fit: it cannot be stored, or not be converted for the server."""
        try:
            export.proven_skops(estimator, f"candidate {name!r}", self.model.training.trusted_types)
        except ReleaseError as refused:
            yield Problem(place, *_halves(str(refused)))
        kinds = tuple("number" if is_numeric_dtype(frame[column]) else "string" for column in frame)
        fitted = Fitted(estimator, tuple(map(str, frame)), kinds, len(frame), "", "")
        try:
            onnx = export.to_onnx(fitted, self.model)
            differs = self._difference(fitted, onnx, frame)
        except ReleaseError as refused:
            # estimators without a converter are found before any fit: this may be due to the made-up rows
            what, hint = _halves(str(refused))
            yield Problem(place, f"candidate {name!r}: {what}", hint, "warning")
            return
        if differs > self.model.release.parity:
            what = f"candidate {name!r}: on made-up rows its ONNX model differs from its own scores by {differs:.2g}"
            hint = f"a night releases only what differs by at most {self.model.release.parity:g}: try it on real rows"
            yield Problem(place, what, hint, "warning")

    def _difference(self, fitted: Fitted, onnx: bytes, frame: pd.DataFrame) -> float:
        """How far the scores of its ONNX model are from those of a fit with boosters, whose settings are many.

        0 without boosters (some others are too steep to compare after a fit on few rows), and if it cannot score these.
        """
        if not any(boosters.parts(fitted.pipeline)):
            return 0.0
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                schema = export.input_schema(self.model, fitted, onnx)
                predictor = Predictor(schema, onnx, lambda columns: columns, f"a candidate of {self.model.name}")
                frames = [frame, *parity.unlike(frame)]
                return parity.difference_on(self.model, predictor, fitted.pipeline, frames)
        except (DataError, ValueError):
            return 0.0

    def _target(self, rows: int) -> np.ndarray:
        label = self.model.data.label
        if label.task is Task.REGRESSION:
            return np.arange(rows, dtype=np.float64)
        return np.arange(rows) % (len(label.classes) if label.classes else 2)

    def _together(self) -> Iterator[Problem]:
        """What only all candidates together show."""
        baselines = [name for name, candidate in self.all.items() if candidate.baseline]
        if isinstance(self.returned, Mapping) and len(self.all) > 1 and len(baselines) > 1:
            for name in baselines[1:]:
                site = self.run.made.get(id(self.all[name]))
                keyword = site[1].keyword("baseline") if site else None
                place = self.run.source.place(keyword) if keyword else self._of(name)
                what = f"{str(name)!r} is a second baseline next to {str(baselines[0])!r}: exactly one is"
                fix = self.run.source.without(keyword) if keyword else None
                yield Problem(place, what, "remove baseline=True from one of them", suggestion=fix)
            return
        if isinstance(self.returned, Mapping) and len(self.all) > 1 and not baselines:
            dummy = next((n for n, c in self.all.items() if type(c.estimator).__name__.startswith("Dummy")), None)
            what = "candidates() declares no baseline, which every challenger must beat"
            if dummy is not None:
                fix = self._add_baseline(self.all[dummy])
                yield Problem(self._of(dummy), what, "add baseline=True to the trivial one", suggestion=fix)
            else:
                hint = "add one, e.g. Candidate(DummyClassifier(strategy='prior'), baseline=True)"
                yield Problem(self._at(None), what, hint)
            return
        try:
            rules.checked(self.model, self.returned if len(self.all) < 2 else {})
        except ConfigurationError as error:
            if len(self.all) < 2:
                yield Problem(self._at(None), str(error).rstrip("."), "wanted: dict[str, Candidate]")

    def _add_baseline(self, candidate: Candidate) -> Suggestion | None:
        site = self.run.made.get(id(candidate))
        return self.run.source.add_argument(site[1].node, "baseline=True") if site else None

    def _alone(self, name: Any, candidate: Candidate) -> Iterator[Problem]:
        """What training would refuse of one candidate: training itself checks it, together with a valid baseline."""
        from sklearn.dummy import DummyClassifier, DummyRegressor

        regression = self.model.data.label.task is Task.REGRESSION
        trivial = Candidate(DummyRegressor() if regression else DummyClassifier(), baseline=not candidate.baseline)
        try:
            rules.checked(self.model, {"the other": trivial, str(name): candidate})
        except ConfigurationError as error:
            yield Problem(self._of(name), str(error).rstrip("."), "wanted: a scikit-learn estimator or pipeline")

    def _window(self, name: Any, candidate: Candidate) -> Iterator[Problem]:
        days = candidate.window_days
        if days is None or days == "all" or (isinstance(days, int) and not isinstance(days, bool) and days > 0):
            return
        site = self.run.made.get(id(candidate))
        keyword = site[1].keyword("window_days") if site else None
        node = self.run.node_of(days) or (keyword.value if keyword else None)
        place = self.run.source.place(node) if node is not None else self._of(name)
        fix = self.run.source.replace(node, '"all"') if node is not None else None
        what = f"window_days of candidate {str(name)!r} is {days!r}"
        yield Problem(place, what, 'wanted: a number of days (1 or more), or "all"', suggestion=fix)

    def _parameters(self, candidate: Candidate) -> Iterator[Problem]:
        """Values of parameters that an estimator of scikit-learn would refuse when it is fitted."""
        parts = [candidate.estimator, *self._nested(candidate.estimator)]
        for part in parts:
            validate = getattr(part, "_validate_params", None)
            if not isinstance(part, BaseEstimator) or validate is None:
                continue
            try:
                validate()
            except ValueError as error:
                yield self._refused(part, error)
            except Exception:  # a third-party estimator that defines this method differently
                continue

    def _targets(self, candidate: Candidate) -> Iterator[Problem]:
        """Parts that take the label for what it is not, or read from its values what it is."""
        label = self.model.data.label
        try:
            found = list(booster_settings.misused(candidate.estimator))
            own = len(found)
            found += targets.misread(label, candidate.estimator)
        except Exception:  # an estimator that cannot be asked, which is reported of it as a whole
            return
        for number, wrong in enumerate(found):
            site = self.run.made.get(id(wrong.part))
            keyword = site[1].keyword(wrong.parameter) if site else None
            fix = None
            if wrong.value and keyword is not None:
                fix = self.run.source.replace(keyword.value, wrong.value)
            elif wrong.value and site is not None:
                fix = self.run.source.add_argument(site[1].node, f"{wrong.parameter}={wrong.value}")
            place = self.run.source.place(keyword) if keyword is not None else self._at(wrong.part)
            harmless = wrong.settled and label.task is Task.CLASSIFICATION and number >= own
            yield Problem(place, wrong.what, wrong.hint, "warning" if harmless else "error", fix)

    def _refused(self, part: BaseEstimator, error: ValueError) -> Problem:
        message = " ".join(str(error).split())
        parameter = message.split("'")[1] if message.count("'") > 1 else ""
        value = part.get_params(deep=False).get(parameter)
        site = self.run.made.get(id(part))
        keyword = site[1].keyword(parameter) if site else None
        node = self.run.node_of(value) or (keyword.value if keyword else None)
        allowed = message.split("Got")[0].split("'")[3::2]
        near = nearest(value, allowed) if isinstance(value, str) else None
        fix = None
        if near and node is not None:
            fix = self.run.source.replace(node, self.run.source.quoted(node, near))
        elif keyword is not None:
            fix = self.run.source.without(keyword)
        place = self.run.source.place(node) if node is not None else self._at(part)
        hint = f"did you mean {near!r}?" if near else "leave it out for the default"
        return Problem(place, message.split(" Got ")[0].rstrip("."), hint if fix else "", suggestion=fix)

    def _transformers(self) -> Iterator[ColumnTransformer]:
        for candidate in self.all.values():
            for part in [candidate.estimator, *self._nested(candidate.estimator)]:
                if isinstance(part, ColumnTransformer):
                    yield part

    def _nested(self, estimator: Any) -> list[Any]:
        try:
            return list(estimator.get_params(deep=True).values())
        except Exception:  # a broken third-party estimator: its contents cannot be checked
            return []

    def _of(self, name: Any) -> Place:
        """Where a candidate is: its name in the dict."""
        node = self.run.node_of(name)
        return self.run.source.place(node) if node is not None else self._at(None)

    def _at(self, part: Any) -> Place:
        node = self.run.node_of(part) or self.function
        return self.run.source.place(node) if node is not None else Place(self.run.source.path)


def _halves(message: str) -> tuple[str, str]:
    """A message as what is wrong, its first sentence, and what helps, the others."""
    what, _, hint = message.partition(". ")
    return what, hint.rstrip(".")


def _texts(columns: Any) -> list[str]:
    """The names in what a `ColumnTransformer` was given as columns; nothing if they are given otherwise."""
    listed = [columns] if isinstance(columns, str) else columns if isinstance(columns, list | tuple) else []
    return list(listed) if all(isinstance(column, str) for column in listed) else []


def _selected(columns: Any, built: Mapping[str, object]) -> Any:
    """What a `ColumnTransformer` was given as columns; a selector is called for its choice, ``None`` if it fails."""
    if not callable(columns):
        return columns
    try:
        return [str(name) for name in columns(_frame(built))]
    except Exception:  # features that do not form a table (reported elsewhere), or a selector that needs others
        return None


def _frame(built: Mapping[str, object]) -> pd.DataFrame:
    return pd.DataFrame({str(name): _column(values) for name, values in built.items()})


def _column(values: Any) -> Any:
    array = np.asarray(values)
    return array.astype(object) if array.dtype.kind in "OUST" else array.astype(np.float32)
