"""Candidates from LightGBM, XGBoost and CatBoost, if these are installed (``make venv EXTRAS=...``).

Each is compared with the library's own scores, also on missing and unseen values, and has the same bytes when it is
fitted again.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from include import catalog
from include.errors import ConfigurationError, DataError, PerennialError
from include.linting.folder import lint
from include.partitions import keys_between, partition
from include.spec import Candidate, Model
from include.training import booster_settings, boosters, candidates, dataset, export, measures, parity
from tests.training import chain_models

LIBRARIES = ("lightgbm", "xgboost", "catboost")
CLASSES = {
    "lightgbm": ("LGBMClassifier", "LGBMRegressor"),
    "xgboost": ("XGBClassifier", "XGBRegressor"),
    "catboost": ("CatBoostClassifier", "CatBoostRegressor"),
}
PATIENCE = {"lightgbm": "early_stopping_round", "xgboost": "early_stopping_rounds", "catboost": "early_stopping_rounds"}
each_library = pytest.mark.parametrize("name", LIBRARIES)


def library(name: str) -> ModuleType:
    return pytest.importorskip(name, reason=f"needs {name}: make venv EXTRAS={name}")


def booster(name: str, kind: int, **parameters: Any) -> Any:
    """A classifier (0) or a regressor (1) of a library."""
    return getattr(library(name), CLASSES[name][kind])(**{"n_estimators": 25, **parameters})


def encoded(estimator: Any) -> Pipeline:
    """The estimator on texts as numbers, and on numbers as they are."""
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    texts = make_column_selector(dtype_include=["object", "str"])
    numbers = make_column_selector(dtype_include="number")
    return make_pipeline(make_column_transformer((encoder, texts), ("passthrough", numbers)), estimator)


@pytest.fixture(scope="module")
def data() -> Iterator[Callable[[str], tuple[Model, pd.DataFrame]]]:
    """The model of a name with twelve of its days."""
    with pytest.MonkeyPatch.context() as patch:
        chain_models.show(patch)
        found: dict[str, tuple[Model, pd.DataFrame]] = {}

        def of(name: str) -> tuple[Model, pd.DataFrame]:
            if name not in found:
                model = catalog.load(name)
                found[name] = model, chain_models.days(model, "2026-04-01", "2026-04-12")
            return found[name]

        yield of


Data = Callable[[str], tuple[Model, pd.DataFrame]]


def check(model: Model, rows: pd.DataFrame, estimator: Any) -> candidates.Fitted:
    """What a night asks of a fit: the scores of its ONNX model, its skops file, the same bytes again."""
    candidate = Candidate(encoded(estimator))
    fitted = candidates.fit(model, candidate, rows, seed=3)
    there = dataset.labelled(model, rows)
    onnx, skops = export.to_onnx(fitted, model), export.proven_skops(fitted.pipeline, "it")
    assert parity.difference(model, export.predictor(model, fitted, onnx), fitted.pipeline, there) <= 1e-5
    loaded = export.from_skops(skops)
    np.testing.assert_array_equal(measures.score(model, loaded, there), measures.score(model, fitted.pipeline, there))
    again = candidates.fit(model, candidate, rows.sample(frac=1, random_state=1), seed=3)
    assert (export.to_onnx(again, model), export.to_skops(again.pipeline)) == (onnx, skops)
    return fitted


@each_library
@pytest.mark.parametrize("model", ["toy", "toy_classes", "toy_counts"])
def test_scores_in_onnx_are_those_of_the_library(
    data: Data, toy: Model, rows: pd.DataFrame, name: str, model: str
) -> None:
    of = (toy, rows[rows["partition"] <= "2026-04-12"]) if model == "toy" else data(model)
    check(*of, booster(name, kind=int(model == "toy_counts")))


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("lightgbm", {"objective": "poisson"}),
        ("lightgbm", {"objective": "quantile", "alpha": 0.9}),
        ("xgboost", {"objective": "count:poisson", "base_score": 3.0}),
        ("xgboost", {"objective": "reg:absoluteerror"}),
        ("xgboost", {"enable_categorical": True, "feature_types": ["c", "q", "q", "q"]}),
        ("catboost", {"loss_function": "Poisson"}),
        ("catboost", {"loss_function": "Tweedie:variance_power=1.5"}),
        ("catboost", {"loss_function": "MAE", "nan_mode": "Max"}),
    ],
)
def test_losses_and_native_categories_of_a_regression(data: Data, name: str, parameters: dict[str, Any]) -> None:
    check(*data("toy_counts"), booster(name, kind=1, **parameters))


@each_library
@pytest.mark.parametrize("kind", [0, 1])
def test_early_stopping_finds_the_iterations_of_the_recipe(data: Data, name: str, kind: int) -> None:
    """The fit has as many as it found, on all rows. Twin and release model, given the number, have the same bytes."""
    model, rows = data(("toy_classes", "toy_counts")[kind])
    found = check(model, rows, booster(name, kind, n_estimators=400, **{PATIENCE[name]: 5})).iterations
    assert found is not None and 1 < found < 400
    stopping = Candidate(encoded(booster(name, kind, n_estimators=400, **{PATIENCE[name]: 5})))
    fitted = candidates.fit(model, stopping, rows, seed=3, iterations=found)
    assert fitted.iterations == found and trees(fitted.pipeline[-1]) == found * (
        3 if kind == 0 and name != "catboost" else 1
    )
    plain = candidates.fit(model, Candidate(encoded(booster(name, kind, n_estimators=found))), rows, seed=3)
    assert export.to_onnx(plain, model) == export.to_onnx(fitted, model)


def trees(fitted: Any) -> int:
    if hasattr(fitted, "booster_"):
        return int(fitted.booster_.num_trees())
    return len(fitted.get_booster().get_dump()) if hasattr(fitted, "get_booster") else int(fitted.tree_count_)


@each_library
def test_a_class_that_is_missing_from_the_window(data: Data, name: str) -> None:
    """It has probability 0. XGBoost takes the classes 0, 1, 2, ... only: its fit is refused, and the others go on."""
    model, rows = data("toy_classes")
    absent = (model.data.label.classes or ())[1]
    known = rows[rows["level"] != absent]
    if name == "xgboost":
        with pytest.raises(DataError, match="could not be fitted .* Invalid classes"):
            candidates.fit(model, Candidate(encoded(booster(name, 0))), known, seed=3)
        return
    fitted = check(model, known, booster(name, 0))
    assert not measures.score(model, fitted.pipeline, known)[:, 1].any()


@each_library
def test_each_fit_has_the_seed_of_the_run_and_one_thread(data: Data, name: str) -> None:
    model, rows = data("toy_counts")
    library_of = boosters.library_of(booster(name, 1))
    assert library_of is not None
    threads = {library_of.threads[0]: 4}
    parameters = (
        candidates.fit(model, Candidate(encoded(booster(name, 1, **threads))), rows, seed=7).pipeline[-1].get_params()
    )
    assert {parameters[library_of.threads[0]], parameters[library_of.seed[0]]} == {1, 7}


def test_thresholds_of_lightgbm_decide_about_adjacent_float32_values(toy: Model) -> None:
    """LightGBM splits half-way between two values, in float64: as the nearest float32, it may be the upper one."""
    low = np.float32(1.0) + np.arange(64, dtype=np.float32) * np.float32(0.37)
    x = np.concatenate([low, np.nextafter(low, np.float32(np.inf))]).repeat(10)
    label = np.isin(x, low).astype(int)
    estimator = booster(
        "lightgbm", 0, n_estimators=10, min_child_samples=1, max_bin=1000, min_data_in_bin=1, verbosity=-1
    )
    frame = pd.DataFrame({"x": x, "y": np.float32(0)})
    estimator.fit(frame.to_numpy(), label)
    fitted = candidates.Fitted(estimator, ("x", "y"), ("number",) * 2, len(x), "2026-01-01", "2026-01-02")
    found = parity.scores(export.predictor(toy, fitted, export.to_onnx(fitted, toy)), frame)
    np.testing.assert_allclose(found, estimator.predict_proba(frame.to_numpy())[:, 1], atol=1e-6)


@each_library
def test_a_feature_that_is_missing_for_the_first_time_in_service(toy: Model, name: str) -> None:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(600, 3)).astype(np.float32), columns=["a", "b", "c"])
    estimator = encoded(booster(name, 0))
    boosters.settle(estimator, 0)
    estimator.fit(frame, (frame["a"] - frame["b"] * frame["c"] > 0.3).astype(int))
    fitted = candidates.Fitted(estimator, ("a", "b", "c"), ("number",) * 3, 600, "2026-01-01", "2026-01-02")
    some = frame.mask(random.random(frame.shape) < 0.3)
    found = parity.scores(export.predictor(toy, fitted, export.to_onnx(fitted, toy)), some)
    np.testing.assert_allclose(found, estimator.predict_proba(some)[:, 1], atol=1e-6)


@pytest.mark.parametrize("missing", [False, True])
def test_native_categories_of_lightgbm_that_are_missing_or_unseen(toy: Model, missing: bool) -> None:
    random = np.random.default_rng(0)
    x = random.integers(0, 9, 900).astype(np.float32)
    label = np.isin(x, (0, 3, 4, 7)).astype(int)
    learned = np.where(random.random(900) < (0.2 if missing else 0), np.nan, x)[:, None]
    estimator = booster("lightgbm", 0, min_child_samples=5, verbosity=-1)
    estimator.fit(learned, label, categorical_feature=[0])
    assert "==" in str(estimator.booster_.dump_model()["tree_info"])
    fitted = candidates.Fitted(estimator, ("x",), ("number",), 900, "2026-01-01", "2026-01-02")
    frame = pd.DataFrame({"x": np.array([*range(12), -1, np.nan, 1e6], dtype=np.float32)})
    found = parity.scores(export.predictor(toy, fitted, export.to_onnx(fitted, toy)), frame)
    np.testing.assert_allclose(found, estimator.predict_proba(frame.to_numpy())[:, 1], atol=1e-6)


WRONG = [
    ("lightgbm", "toy", {"linear_tree": True}),
    ("lightgbm", "toy", {"zero_as_missing": True}),
    ("lightgbm", "toy", {"sigmoid": 2.0}),
    ("lightgbm", "toy", {"boosting_type": "rf", "bagging_fraction": 0.5, "bagging_freq": 1}),
    ("lightgbm", "toy", {"objective": "cross_entropy"}),
    ("lightgbm", "toy_classes", {"objective": "multiclassova"}),
    ("lightgbm", "toy_counts", {"reg_sqrt": True}),
    ("lightgbm", "toy_counts", {"objective": "fair"}),
    ("xgboost", "toy", {"booster": "dart"}),
    ("xgboost", "toy", {"booster": "gblinear"}),
    ("xgboost", "toy", {"missing": -1}),
    ("xgboost", "toy", {"num_parallel_tree": 3}),
    ("xgboost", "toy", {"objective": "binary:logitraw"}),
    ("xgboost", "toy_classes", {"objective": "multi:softmax"}),
    ("xgboost", "toy_classes", {"multi_strategy": "multi_output_tree"}),
    ("catboost", "toy", {"grow_policy": "Depthwise"}),
    ("catboost", "toy", {"boost_from_average": True}),
    ("catboost", "toy_classes", {"loss_function": "MultiClassOneVsAll"}),
    ("catboost", "toy_counts", {"loss_function": "RMSEWithUncertainty"}),
]


@pytest.mark.parametrize(("name", "of", "parameters"), WRONG)
def test_a_refused_setting_is_one_that_is_really_converted_wrongly(
    data: Data, toy: Model, rows: pd.DataFrame, name: str, of: str, parameters: dict[str, Any]
) -> None:
    model, frame = (toy, rows[rows["partition"] <= "2026-04-12"]) if of == "toy" else data(of)
    estimator = encoded(booster(name, int(of == "toy_counts"), **parameters))
    (wrong,) = [m for m in booster_settings.misused(estimator) if not m.settled]
    assert wrong.parameter in parameters
    trivial = DummyRegressor() if of == "toy_counts" else DummyClassifier()
    with pytest.raises(ConfigurationError, match=f"candidate 'it' .*{wrong.parameter}="):
        candidates.checked(model, {"b": Candidate(trivial, baseline=True), "it": Candidate(estimator)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(booster_settings, "REFUSED", ())
        try:
            fitted = candidates.fit(model, Candidate(estimator), frame, seed=0)
            served = export.predictor(model, fitted, export.to_onnx(fitted, model))
            differs = parity.difference(model, served, fitted.pipeline, dataset.labelled(model, frame))
        except PerennialError:  # refused by the converter itself, in its own words
            return
    assert not differs <= model.release.parity, "this converts by now: take it off the list"


@each_library
def test_early_stopping_inside_another_estimator_is_refused(toy: Model, name: str) -> None:
    estimator = CalibratedClassifierCV(booster(name, 0, **{PATIENCE[name]: 5}))
    baseline = Candidate(DummyClassifier(strategy="prior"), baseline=True)
    with pytest.raises(ConfigurationError, match="stop early inside another estimator"):
        candidates.checked(toy, {"baseline": baseline, "it": Candidate(estimator)})


# -- the example models, with a booster of each library as the candidates of their folders

EXAMPLES = {"flight_delays": ("2025-03-01", "2025-03-07"), "bike_demand": ("2026-03-01", "2026-04-29"),
            "electricity": ("2026-03-01", "2026-04-29")}  # fmt: skip


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Model, pd.DataFrame]]:
    found: dict[str, tuple[Model, pd.DataFrame]] = {}

    def of(name: str) -> tuple[Model, pd.DataFrame]:
        if name not in found:
            model = catalog.load(name)
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("PERENNIAL_HOME", str(tmp_path_factory.mktemp(name)))
                source = catalog.module(name, "source")
                days = [
                    source.fetch(partition(key, model.timezone), {}).assign(partition=key)
                    for key in keys_between(*EXAMPLES[name])
                ]
            found[name] = model, pd.concat(days, ignore_index=True)
        return found[name]

    return of


@pytest.mark.parametrize("model", EXAMPLES)
@each_library
def test_the_example_models(example: Callable[[str], tuple[Model, pd.DataFrame]], model: str, name: str) -> None:
    library(name)
    declared, rows = example(model)
    stopping = {"n_estimators": 60, PATIENCE[name]: 10}
    fitted = check(declared, rows, booster(name, int(model == "bike_demand"), **stopping))
    assert fitted.iterations is not None


# -- lint


CANDIDATES = '''"""Which estimators compete each night."""

from __future__ import annotations

from {module} import {kind}
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.dummy import DummyClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from include.spec import Candidate

TEXTS = make_column_selector(dtype_include=["object", "str"])
NUMBERS = make_column_selector(dtype_include="number")


def candidates() -> dict[str, Candidate]:
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = make_column_transformer((encoder, TEXTS), ("passthrough", NUMBERS))
    booster = {kind}({arguments})
    return {{
        "baseline": Candidate(DummyClassifier(strategy="prior"), baseline=True),
        "boosting": Candidate(make_pipeline(columns, booster)),
    }}
'''


def folder_with(place: Path, name: str, arguments: str) -> Path:
    """A copy of the toy's folder whose candidate is a booster with these arguments."""
    folder = place / "toy"
    folder.mkdir()
    toy = Path(catalog.folder("toy"))
    for file in toy.glob("*.py"):
        (folder / file.name).write_text(file.read_text())
    text = CANDIDATES.format(module=name, kind=CLASSES[name][0], arguments=arguments)
    (folder / "candidates.py").write_text(text)
    return folder


@each_library
def test_lint_finds_no_mistake_in_a_booster(tmp_path: Path, name: str) -> None:
    library(name)
    arguments = f"n_estimators=300, random_state=0, {PATIENCE[name]}=10"
    found = lint("toy", folder_with(tmp_path, name, arguments))
    assert [str(p) for p in found if p.place.file.name == "candidates.py"] == []


@pytest.mark.parametrize(
    ("name", "argument", "fixed", "message"),
    [
        ("lightgbm", "n_jobs=-1", "n_jobs=1", "every fit takes one thread"),
        ("xgboost", 'booster="dart"', 'booster="gbtree"', "does not become ONNX"),
        ("catboost", "boost_from_average=True", "boost_from_average=False", "becomes ONNX wrongly"),
        ("catboost", "cat_features=[0]", None, "does not become ONNX"),
    ],
)
def test_lint_reports_a_setting_at_its_line(
    tmp_path: Path, name: str, argument: str, fixed: str | None, message: str
) -> None:
    library(name)
    folder = folder_with(tmp_path, name, argument)
    text = (folder / "candidates.py").read_text()
    (problem,) = [p for p in lint("toy", folder) if p.place.file.name == "candidates.py"]
    assert problem.severity == "error" and message in problem.what
    assert problem.place.line == text[: text.index(argument)].count("\n") + 1
    if fixed:
        assert problem.suggestion is not None and fixed in problem.suggestion.applied(text)


def test_lint_compares_scores_on_made_up_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting that is on no list, and converts wrongly, is a warning."""
    library("lightgbm")
    monkeypatch.setattr(booster_settings, "REFUSED", ())
    folder = folder_with(tmp_path, "lightgbm", "sigmoid=2.0, min_child_samples=2")
    (problem,) = [p for p in lint("toy", folder) if p.place.file.name == "candidates.py"]
    assert problem.severity == "warning" and "'boosting': on made-up rows its ONNX model differs" in problem.what


def test_the_libraries_are_known_by_the_names_of_their_classes() -> None:
    for one in boosters.LIBRARIES:
        module = library(one.module)
        for kind in one.classes:
            estimator = getattr(module, kind)()
            assert boosters.library_of(estimator) is one
            known = set(estimator.get_params())
            if one is not boosters.CATBOOST:
                assert {one.iterations[0], one.threads[0], one.seed[0]} <= known
    assert importlib.import_module("include.extras").EXTRAS.keys() == {one.module for one in boosters.LIBRARIES}
