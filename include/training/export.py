"""A fitted pipeline as files that are safe to load: ONNX for serving, skops for Python.

skl2onnx converts some estimators wrongly, without an error. The remedies:

* thresholds of gradient boosting are float64, and skl2onnx rounds them to the nearest float32, which can be on the
  other side of a feature's value: here they are rounded down, which decides every float32 value as scikit-learn does;
* native categorical splits, and single trees with missing values: `parity` finds them;
* LightGBM, XGBoost and CatBoost: see `booster_converters`;
* dummy estimators have no converter, and that of gradient boosting omits the exponential of a Poisson loss:
  `converters` has its own.
"""

from __future__ import annotations

import copy
import io
import json
import logging
import zipfile
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import onnx
import pandas as pd
import skops.io
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from skops.io.exceptions import UntrustedTypesFoundException

from include.errors import ConfigurationError, IntegrityError, ReleaseError
from include.extras import advice, lacking
from include.scoring.documents import Column, EventDays, Feature, InputSchema
from include.scoring.predictor import Predictor
from include.spec import Model, Task
from include.training import booster_converters, converters, dataset, measures, packed_inputs
from include.training.booster_converters import float32_not_above
from include.training.candidates import Fitted

log = logging.getLogger(__name__)

OPSET = {"": 21, "ai.onnx.ml": 3}

TRUSTED = (
    # In addition to what skops trusts by default (scikit-learn's estimators, numpy arrays, plain Python values). Each
    # was read: plain containers of numbers, restored by their state, that execute nothing while they are loaded.
    "numpy.dtype",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.compose._column_transformer.make_column_selector",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.model_selection._split.KFold",  # of a TargetEncoder: how many folds, shuffled or not
    "sklearn.tree._tree.Tree",
    # Of optional packages. Their state is a text or bytes that the library's own reader parses: it describes trees, and
    # names nothing that could be called.
    "catboost.core.CatBoostClassifier",
    "catboost.core.CatBoostRegressor",
    "collections.OrderedDict",  # of a LightGBM fit: its scores on the rows of early stopping
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "lightgbm.sklearn.LGBMRegressor",
    "xgboost.core.Booster",
    "xgboost.sklearn.XGBClassifier",
    "xgboost.sklearn.XGBRegressor",
    "xgboost.sklearn.XGBRFClassifier",
    "xgboost.sklearn.XGBRFRegressor",
)

_EPOCH = (1980, 1, 1, 0, 0, 0)


def to_onnx(fitted: Fitted, model: Model) -> bytes:
    """The pipeline as an ONNX graph of packed inputs: float32 numbers and texts, each of shape [rows, features].

    The score is the output `output_name`: probabilities of shape [rows, classes] of a classification (no ZipMap;
    `evaluation.output_columns` maps columns to classes), values of shape [rows, 1] of a regression. The same
    fit gives the same bytes.

    Raises
    ------
    ReleaseError : skl2onnx cannot convert an estimator of the pipeline.
    """
    converters.register()
    booster_converters.register(fitted.pipeline)
    pipeline = _side_by_side(_in_float32(fitted.pipeline), fitted)
    inputs = [
        (name, StringTensorType([None, 1]) if kind == "string" else FloatTensorType([None, 1]))
        for name, kind in zip(fitted.feature_names, fitted.feature_types, strict=True)
    ]
    options = {id(pipeline): {"zipmap": False}} if model.data.label.task is Task.CLASSIFICATION else None
    try:
        graph = convert_sklearn(pipeline, name=model.name, initial_types=inputs, options=options, target_opset=OPSET)
    except Exception as problem:
        raise ReleaseError(
            f"skl2onnx cannot convert the pipeline of {model.name} ({type(problem).__name__}: "
            f"{str(problem).splitlines()[0]}). Use estimators that it supports: "
            "https://onnx.ai/sklearn-onnx/supported.html"
        ) from problem
    packed_inputs.pack(graph, fitted.feature_types)
    # skl2onnx lists the operator sets in the order of a Python set, which depends on the hash seed of the process.
    graph.opset_import.sort(key=lambda imported: imported.domain)
    for function in graph.functions:
        function.opset_import.sort(key=lambda imported: imported.domain)
    return bytes(graph.SerializeToString(deterministic=True))


def _side_by_side(pipeline: Any, fitted: Fitted) -> Any:
    """The pipeline behind a step that puts its features into one matrix, as scikit-learn does with a frame.

    skl2onnx passes several inputs to a `ColumnTransformer` and to few others: an estimator that is a candidate on its
    own, without a pipeline, could not be converted.
    """
    first = pipeline.steps[0][1] if isinstance(pipeline, Pipeline) else pipeline
    knows = isinstance(first, (ColumnTransformer, DummyClassifier, DummyRegressor))
    names = list(fitted.feature_names)
    if knows or len(names) < 2 or "string" in fitted.feature_types:
        return pipeline
    frame = pd.DataFrame(np.zeros((1, len(names)), dtype=np.float32), columns=names)
    matrix = ColumnTransformer([("features", "passthrough", names)]).fit(frame)
    return Pipeline([("columns", matrix), *getattr(pipeline, "steps", [("estimator", pipeline)])])


def output_name(graph: onnx.ModelProto) -> str:
    """The name of the graph's score: the last output (a classifier's first one is the label)."""
    return str(graph.graph.output[-1].name)


def input_schema(model: Model, fitted: Fitted, onnx_bytes: bytes) -> InputSchema:
    """What the server needs to know about the ONNX model and its inputs."""
    label = model.data.label
    columns = measures.output_columns(model, fitted.pipeline)
    positive, classes, index = None, None, None
    graph = onnx.load_from_string(onnx_bytes)
    if label.classes is not None:
        classes = list(label.classes)
    elif label.task is Task.CLASSIFICATION:
        positive, classes, index = label.positive, [int(c) for c in fitted.pipeline.classes_], columns[0]
    return InputSchema(
        model=model.name,
        task=label.task.value,
        positive=positive,
        classes=classes,
        positive_index=index,
        class_columns=columns if label.multiclass else None,
        columns=[Column(c.name, c.type.value, c.nullable) for c in model.data.inputs],
        key=list(model.data.key),
        event_time=model.data.event_time,
        event_times=EventDays(model.serving.max_past_days, model.serving.max_ahead_days),
        timezone=model.timezone,
        features=[Feature(n, t) for n, t in zip(fitted.feature_names, fitted.feature_types, strict=True)],
        tensors=packed_inputs.tensors_of(graph, fitted.feature_names),
        output=output_name(graph),
        output_kind="probabilities" if label.task is Task.CLASSIFICATION else "value",
    )


def predictor(model: Model, fitted: Fitted, onnx_bytes: bytes) -> Predictor:
    """What a server loads from a bundle with this ONNX model: what a version must pass is measured on it."""
    schema = input_schema(model, fitted, onnx_bytes)
    return Predictor(schema, onnx_bytes, dataset.builder(model), f"the release model of {model.name}")


def to_skops(pipeline: Any) -> bytes:
    """The pipeline as a skops file whose bytes depend on its content only.

    skops names the arrays in its zip by memory address and stamps them with the time; here they are numbered in the
    order in which the schema names them, with a fixed time. Values that are equal and not one object (a text that
    Python happened to share) are numbered apart: sharing only matters for objects that can change.
    """
    source = zipfile.ZipFile(io.BytesIO(skops.io.dumps(pipeline)))
    schema = json.loads(source.read("schema.json"))
    numbers: dict[Any, int] = {}
    files: dict[str, str] = {}
    _renumber(schema, numbers, files)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for old, new in files.items():
            archive.writestr(_entry(new), source.read(old))
        archive.writestr(_entry("schema.json"), json.dumps(schema, indent=None, separators=(",", ":")))
    return target.getvalue()


def proven_skops(pipeline: Any, who: str, trusted: Collection[str] = ()) -> bytes:
    """`to_skops`, read back once: every fit that is kept goes through this function, in a night, a trial and the lint.

    Parameters
    ----------
    who : what the pipeline is, for the message: ``candidate 'boosting' of toy``.
    trusted : see `from_skops`.

    Raises
    ------
    ReleaseError : skops cannot write the pipeline, or would have to load types that were not reviewed (`TRUSTED`).
    """
    try:
        data = to_skops(pipeline)
        from_skops(data, trusted)
    except Exception as problem:
        untrusted = isinstance(problem.__cause__, UntrustedTypesFoundException)
        if untrusted:
            types = sorted(set(skops.io.get_untrusted_types(data=data)) - {*TRUSTED, *trusted})
            why = f"reading it back would load types that were not reviewed: {', '.join(types)}"
        else:
            why = f"skops cannot write and read it ({type(problem).__name__}: {(str(problem) or '-').splitlines()[0]})"
        advice = "Use another estimator (nearly all of scikit-learn's can be stored)" + (
            ", or read the code of these types and, if loading them runs nothing else, declare them in model.py: "
            f"Training(trusted_types=({', '.join(repr(kind) for kind in types)},))"
            if untrusted
            else ""
        )
        raise ReleaseError(
            f"{who} cannot be stored: {why}. A fit is stored as a skops file, never as a pickle, which could run any "
            f"code. {advice}."
        ) from problem
    return data


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    return entry


def _renumber(node: Any, numbers: dict[Any, int], files: dict[str, str]) -> None:
    """Give ids and file names their number of first appearance, in place."""
    if isinstance(node, list):
        for child in node:
            _renumber(child, numbers, files)
    elif isinstance(node, dict):
        if "__id__" in node and "__loader__" in node:
            plain = node["__loader__"] == "JsonNode"
            identity: Any = ("value", len(numbers)) if plain else node["__id__"]
            node["__id__"] = numbers.setdefault(identity, len(numbers))
        if "__loader__" in node and isinstance(node.get("file"), str):
            old = node["file"]
            node["file"] = files.setdefault(old, f"{len(files)}.{old.rpartition('.')[2]}")
        for child in node.values():
            _renumber(child, numbers, files)


def from_skops(data: bytes, trusted: Collection[str] = ()) -> Any:
    """The pipeline of a skops file, if it is made of reviewed types only: `TRUSTED`, and those that the model adds.

    Parameters
    ----------
    trusted : the model's ``training.trusted_types``, as its folder declares them now.

    Raises
    ------
    IntegrityError : an unknown type, or bytes that are not a skops file.
    ConfigurationError : it is a fit of an optional package that is not installed.
    """
    try:
        return skops.io.loads(data, trusted=[*TRUSTED, *trusted])
    except UntrustedTypesFoundException as problem:
        raise IntegrityError(
            f"the skops file holds types that were not reviewed, and is not loaded: {problem}"
        ) from problem
    except Exception as problem:
        if package := lacking(problem):
            raise ConfigurationError(f"this fit needs {package}: {advice(package)}") from problem
        raise IntegrityError(
            f"these {len(data)} bytes cannot be loaded as a skops file: {type(problem).__name__}: {problem}"
        ) from problem


def _in_float32(pipeline: Any) -> Any:
    """A copy whose gradient boosting compares with float32 thresholds, and decides every float32 value as before.

    ``x <= t`` for a float32 ``x`` and a float64 ``t`` is the same as ``x <= w`` with ``w`` the largest float32 not
    above ``t``. skl2onnx rounds ``t`` to the nearest instead: measured, a feature with adjacent values then flips up to
    10 % of its rows. An imputed mean is rounded the same way, so that it stays on its
    side of a threshold that equals it.
    """
    duplicate = copy.deepcopy(pipeline)
    for part in [duplicate, *_steps(duplicate)]:
        for trees in getattr(part, "_predictors", ()):
            for tree in trees:
                tree.nodes["num_threshold"] = float32_not_above(tree.nodes["num_threshold"])
        if isinstance(part, SimpleImputer) and part.statistics_.dtype.kind == "f":
            part.statistics_ = float32_not_above(part.statistics_).astype(part.statistics_.dtype)
    return duplicate


def _steps(part: Any) -> Iterator[Any]:
    """Every fitted estimator inside ``part``, at any depth."""
    for attribute in ("steps", "transformers_", "estimators_", "calibrated_classifiers_", "named_estimators_"):
        children = getattr(part, attribute, None)
        for child in children if isinstance(children, (list, tuple)) else ():
            candidates = child if isinstance(child, tuple) else (child,)
            for candidate in candidates:
                if hasattr(candidate, "get_params"):
                    yield candidate
                    yield from _steps(candidate)
    for attribute in ("estimator", "estimator_", "regressor_", "final_estimator_", "best_estimator_"):
        child = getattr(part, attribute, None)
        if hasattr(child, "get_params"):
            yield child
            yield from _steps(child)
