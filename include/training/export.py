"""A fitted pipeline as files that are safe to load: ONNX for serving, skops for Python, and the proof that they agree.

skl2onnx has traps (FACTS "Serving"); what this module does about them:

* thresholds of gradient boosting are float64 and would be rounded to the nearest float32, which can lie on the other
side
  of a feature's value: they are rounded down instead, which decides every float32 value exactly as scikit-learn does;
* native categorical splits and single trees with missing values convert without error, but wrongly: `parity` finds
them;
* dummy estimators have no converter, and that of gradient boosting forgets the exponential of a Poisson loss: both are
  mended in `converters`.
"""

from __future__ import annotations

import copy
import io
import json
import logging
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import skops.io
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from skops.io.exceptions import UntrustedTypesFoundException

from include.errors import IntegrityError, ReleaseError
from include.spec import Model, Task
from include.training import converters, dataset, evaluation
from include.training.candidates import Fitted

log = logging.getLogger(__name__)

OPSET = {"": 21, "ai.onnx.ml": 3}

TRUSTED = (
    # Beyond what skops trusts by itself (scikit-learn's estimators, numpy arrays, plain Python values). Each was read:
    # plain containers of numbers, restored by their state, that run nothing while they are loaded.
    "numpy.dtype",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.compose._column_transformer.make_column_selector",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.model_selection._split.KFold",  # of a TargetEncoder: how many folds, shuffled or not
    "sklearn.tree._tree.Tree",
)

UNSEEN = "\N{REPLACEMENT CHARACTER} never seen"
_EPOCH = (1980, 1, 1, 0, 0, 0)


def to_onnx(fitted: Fitted, model: Model) -> bytes:
    """The pipeline as an ONNX graph: one input of shape [rows, 1] for each feature, text or float32, named like it.

    The score is the output `output_name`: probabilities of shape [rows, classes] of a classification (no ZipMap;
    `evaluation.output_columns` says which column is which class), values of shape [rows, 1] of a regression. The same
    fit gives the same bytes.

    Raises
    ------
    ReleaseError : skl2onnx cannot convert an estimator of the pipeline.
    """
    converters.register()
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
    # skl2onnx lists the operator sets in the order of a Python set, which depends on the hash seed of the process.
    graph.opset_import.sort(key=lambda imported: imported.domain)
    for function in graph.functions:
        function.opset_import.sort(key=lambda imported: imported.domain)
    return bytes(graph.SerializeToString(deterministic=True))


def _side_by_side(pipeline: Any, fitted: Fitted) -> Any:
    """The pipeline behind a step that puts its features into one matrix, as scikit-learn does with a frame.

    skl2onnx hands several inputs to a `ColumnTransformer` and to few others: an estimator that is tried as it is,
    without a pipeline, could not be converted.
    """
    first = pipeline.steps[0][1] if isinstance(pipeline, Pipeline) else pipeline
    knows = isinstance(first, (ColumnTransformer, DummyClassifier, DummyRegressor))
    names = list(fitted.feature_names)
    if knows or len(names) < 2 or "string" in fitted.feature_types:
        return pipeline
    frame = pd.DataFrame(np.zeros((1, len(names)), dtype=np.float32), columns=names)
    beside = ColumnTransformer([("features", "passthrough", names)]).fit(frame)
    return Pipeline([("columns", beside), *getattr(pipeline, "steps", [("estimator", pipeline)])])


def output_name(onnx_bytes: bytes) -> str:
    """The name of the graph's score: the last output (a classifier's first one is the label)."""
    return str(onnx.load_from_string(onnx_bytes).graph.output[-1].name)


class OnnxScorer:
    """An ONNX graph of `to_onnx`, loaded once, that scores feature frames as the model server does.

    Parameters
    ----------
    columns : which output column is which class (`evaluation.output_columns` of the pipeline).
    """

    def __init__(self, onnx_bytes: bytes, columns: Sequence[int | None]) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(onnx_bytes, options, providers=["CPUExecutionProvider"])
        self._text = {i.name: i.type == "tensor(string)" for i in self._session.get_inputs()}
        self._output = self._session.get_outputs()[-1].name
        self._columns = columns

    def score(self, frame: pd.DataFrame) -> np.ndarray:
        """float64 scores in the shape of `evaluation.score`."""
        feed = {
            name: frame[name].to_numpy(dtype=object if text else np.float32).reshape(-1, 1)
            for name, text in self._text.items()
        }
        found = np.asarray(self._session.run([self._output], feed)[0], dtype=np.float64)
        return evaluation.arranged(found, self._columns)


def parity(model: Model, onnx_bytes: bytes, pipeline: Any, raw_frame: pd.DataFrame) -> float:
    """The largest difference of a score between ONNX and scikit-learn; inf where only one of them is finite.

    Compared on the given real rows, on rows with each nullable input and then all of them missing, and on rows whose
    text is none that was ever seen. A probability is compared as it is. A value of a regression is compared relative to
    its size or to how far the values of the real rows spread (`score_scale`), whichever is larger, because ONNX
    computes in float32: a value near 0 that is the difference of two large ones has no more digits than they have.
    """
    scorer = OnnxScorer(onnx_bytes, evaluation.output_columns(model, pipeline))
    frames = list(_trials(model, raw_frame))
    real = len(frames[0])
    frame = pd.concat(frames, ignore_index=True)
    expected, found = evaluation.unchecked(model, pipeline, frame), scorer.score(frame)
    if not (np.isfinite(expected[:real]).all() and np.isfinite(found[:real]).all()):
        return float("inf")
    # Made-up extremes may overflow (the exponential of a Poisson regression); then both have to: it is answered 422.
    expected[np.abs(expected) > np.finfo(np.float32).max] = np.inf
    there = np.isfinite(expected)
    if not np.array_equal(there, np.isfinite(found)):
        return float("inf")
    expected, found, scale = expected[there], found[there], score_scale(model, expected[:real])
    return float(np.max(np.abs(found - expected) / np.maximum(scale, np.abs(expected)), initial=0.0))


def score_scale(model: Model, scores: np.ndarray) -> float:
    """What differences of scores are relative to: 1 for probabilities, the standard deviation of a regression's values.

    Where these are all the same it is 1, too.
    """
    spread = float(np.std(scores)) if model.data.label.task is Task.REGRESSION else 0.0
    return spread if spread > 0 else 1.0


def _trials(model: Model, raw_frame: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Feature frames to compare on: the real rows, and few of them with inputs and features made missing or unseen."""
    yield dataset.features_frame(model, raw_frame)
    few = raw_frame.iloc[np.unique(np.linspace(0, len(raw_frame) - 1, num=min(50, len(raw_frame)), dtype=int))]
    nullable = [c.name for c in model.data.inputs if c.nullable and c.name in few.columns]
    for names in ([name] for name in nullable):
        yield dataset.features_frame(model, few.drop(columns=names))
    yield dataset.features_frame(model, few.drop(columns=nullable))
    features = dataset.features_frame(model, few)
    for text, number in (
        (UNSEEN, None),
        ("", np.nan),
        (UNSEEN, np.nan),
        ("", None),
        (UNSEEN, np.float32(1e6)),
        ("", np.float32(-1e6)),
    ):
        changed = features.copy()
        for name in changed.columns:
            if changed[name].dtype == object:
                changed[name] = pd.Series(text, index=changed.index, dtype=object)
            elif number is not None:
                changed[name] = np.full(len(changed), number, dtype=np.float32)
        yield changed


def to_skops(pipeline: Any) -> bytes:
    """The pipeline as a skops file whose bytes depend on its content only.

    skops names the arrays in its zip by memory address and stamps them with the time; here they are numbered in the
    order
    in which the schema names them, with a fixed time. Values that are equal but no longer one object (a text that
    Python
    happened to share) are numbered apart: sharing only matters for objects that can change.
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


def proven_skops(pipeline: Any, who: str) -> bytes:
    """`to_skops`, read back once: every fit that is kept passes here, in a night, a trial and the lint.

    Parameters
    ----------
    who : what the pipeline is, for the message: ``candidate 'boosting' of toy``.

    Raises
    ------
    ReleaseError : skops cannot write the pipeline, or would have to load types that were not reviewed (`TRUSTED`).
    """
    try:
        data = to_skops(pipeline)
        from_skops(data)
    except Exception as problem:
        untrusted = isinstance(problem.__cause__, UntrustedTypesFoundException)
        if untrusted:
            types = sorted(set(skops.io.get_untrusted_types(data=data)) - set(TRUSTED))
            why = f"reading it back would load types that were not reviewed: {', '.join(types)}"
        else:
            why = f"skops cannot write and read it ({type(problem).__name__}: {(str(problem) or '-').splitlines()[0]})"
        advice = "Use another estimator (nearly all of scikit-learn's can be stored)" + (
            ", or read the code of these types and, if loading them runs nothing else, add them to TRUSTED in "
            "include/training/export.py"
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


def from_skops(data: bytes) -> Any:
    """The pipeline of a skops file, if it is made of reviewed types only (`TRUSTED`).

    Raises
    ------
    IntegrityError : an unknown type, or bytes that are no skops file.
    """
    try:
        return skops.io.loads(data, trusted=TRUSTED)
    except UntrustedTypesFoundException as problem:
        raise IntegrityError(
            f"the skops file holds types that nobody reviewed, and is not loaded: {problem}"
        ) from problem
    except Exception as problem:
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
                tree.nodes["num_threshold"] = _float32_not_above(tree.nodes["num_threshold"])
        if isinstance(part, SimpleImputer) and part.statistics_.dtype.kind == "f":
            part.statistics_ = _float32_not_above(part.statistics_).astype(part.statistics_.dtype)
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


def _float32_not_above(thresholds: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        rounded = thresholds.astype(np.float32)
    above = rounded.astype(np.float64) > thresholds
    rounded[above] = np.nextafter(rounded[above], np.float32(-np.inf))
    return rounded.astype(np.float64)
