"""A loaded model: rows of JSON values in, scores out. The only code that scores with an ONNX model.

The server answers with it, and what a version must pass is measured on it: parity with scikit-learn, the latency limit,
the scores of the probe rows, the smoke test, in a night as in a back-test and a trial.

`Predictor.load` runs nothing but the bundle's verified bytes: the ONNX model, the input schema, and the model's own
`features.py`, which is executed under a module name of its own, so that two versions of a model never share code.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # otherwise the import writes files into the home folder

import msgspec
import numpy as np
import onnxruntime

from include.errors import IntegrityError, PerennialError, ReleaseError
from include.registry.bundles import Bundle
from include.scoring.contract import MAX_PROBLEMS, InputContract, InvalidRows
from include.scoring.documents import InputSchema, Probe
from include.scoring.event_times import EventTimes
from include.scoring.feed import feed_of
from include.scoring.messages import Label, Prediction, Problem

logger = logging.getLogger(__name__)

Build = Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]
"""A model's `features.build`."""


class ModelFailure(PerennialError):
    """The model's own code or graph failed on rows that its input contract accepts: a fault of the model."""


class Scores(msgspec.Struct, frozen=True, gc=False):
    """Scores of some rows, in their order.

    Attributes
    ----------
    scores : probability of the positive class, or the predicted value; ``None`` for more than two classes.
    labels : the most probable class of each row, for more than two classes.
    by_label : the probability of every class of each row, for more than two classes.
    """

    scores: list[float] | None
    labels: list[Label] | None = None
    by_label: list[dict[str, float]] | None = None

    def __len__(self) -> int:
        return len(self.scores if self.scores is not None else self.labels or ())

    def predictions(self) -> list[Prediction]:
        """One prediction a row, as the server answers."""
        if self.scores is not None:
            return [Prediction(score) for score in self.scores]
        pairs = zip(self.labels or (), self.by_label or (), strict=True)
        return [Prediction(label=label, scores=scores) for label, scores in pairs]


class Predictor:
    """Scores rows with one version of a model. Thread-safe; immutable.

    Parameters
    ----------
    schema : what the ONNX model and its inputs are.
    onnx : the ONNX model.
    build : the model's `features.build`.
    where : how errors name the files.

    Raises
    ------
    ReleaseError : the ONNX model cannot be loaded here.
    IntegrityError : it does not fit the schema.
    """

    def __init__(self, schema: InputSchema, onnx: bytes, build: Build, where: str) -> None:
        self.schema = schema
        self.contract = InputContract(schema.columns, EventTimes.of(schema))
        self.classes = schema.several
        self._names = [str(c) for c in self.classes or ()]
        columns = schema.class_columns if schema.class_columns is not None else range(len(self._names))
        if self.classes is not None and len(columns) != len(self._names):
            raise IntegrityError(
                f"{where}: input_schema.json names {len(self._names)} classes and {len(columns)} columns for them."
            )
        self._columns = [(at, column) for at, column in enumerate(columns) if column is not None]
        self._probabilities = schema.output_kind == "probabilities"
        self._positive = 1 if schema.positive_index is None else schema.positive_index
        self._feed = feed_of(schema)
        self._outputs = [schema.output]
        self._build = build
        self._session = _session(onnx, where)
        self._run = self._session.run
        inputs = {node.name: node.shape[-1] for node in self._session.get_inputs()}
        outputs = {node.name for node in self._session.get_outputs()}
        given = self._feed.inputs
        if inputs.keys() != given.keys() or schema.output not in outputs:
            raise IntegrityError(
                f"{where}: model.onnx takes the inputs {sorted(inputs)} and gives {sorted(outputs)}; input_schema.json "
                f"names {sorted(given)} and {schema.output!r}."
            )
        if schema.tensors is not None and inputs != given:
            raise IntegrityError(
                f"{where}: the inputs of model.onnx have {inputs} columns; input_schema.json has features for {given}."
            )

    @classmethod
    def load(cls, bundle: Bundle) -> Predictor:
        """Load a verified bundle.

        Raises
        ------
        IntegrityError : a file is missing or does not fit the others.
        ReleaseError : the ONNX model or `features.py` cannot be loaded here.
        """
        return cls(InputSchema.of(bundle), bundle.read("model.onnx"), _build_function(bundle), str(bundle.path))

    def predict(self, rows: Sequence[Any], now: float | None = None) -> Scores:
        """Check and score rows.

        Parameters
        ----------
        now : the moment of a live request, POSIX seconds; None for rows of a bundle or of the past.

        Raises
        ------
        InvalidRows : rows that break the input contract, or for which the model has no finite score.
        ModelFailure : `features.build` or the graph failed on valid rows.
        """
        return self._checked(self.score_columns(self.contract.columns(rows, now), len(rows)))

    def score_columns(self, columns: Mapping[str, np.ndarray], rows: int) -> np.ndarray:
        """Score columns as `include.scoring.columns` makes them of a table: the scores that `predict` gives these rows.

        Returns
        -------
        As `score_features`: a row that `predict` refuses, because its score is not finite, has that score.

        Raises
        ------
        ModelFailure : `features.build` or the graph failed.
        """
        try:
            with np.errstate(all="ignore"):
                return self.score_features(self._build(columns), rows)
        except Exception as error:
            raise ModelFailure(f"{type(error).__name__}: {error}") from error

    def score_features(self, features: Mapping[str, np.ndarray], rows: int) -> np.ndarray:
        """Score what `features.build` returned, without a check that the scores are finite.

        Returns
        -------
        Scores of shape (rows,); for several classes of shape (rows, classes), with 0 for a class that the model was
        fitted without.
        """
        output = np.asarray(self._run(self._outputs, self._feed(features, rows), None)[0])
        if not self._probabilities:
            return output.reshape(rows)
        table = output.reshape(rows, -1)
        if self.classes is None:
            return table[:, self._positive]
        every = np.zeros((rows, len(self._names)))
        for at, column in self._columns:
            every[:, at] = table[:, column]
        return every

    def warm_up(self, probe: Probe) -> float:
        """Score the probe rows; the largest difference from the scores they had when the bundle was packaged.

        Raises
        ------
        ReleaseError : a probe row is refused, or scores differently here; see `Probe.difference`.
        """
        if not probe.rows:
            raise ReleaseError("probe.json has no rows: nothing can be warmed up or compared.")
        try:
            for row in probe.rows[:3]:
                self.predict([row])
            scores = self.predict(probe.rows)
        except (InvalidRows, ModelFailure) as error:
            raise ReleaseError(f"the probe rows of the bundle cannot be scored: {error}") from error
        return probe.difference(
            scores.predictions(), f"onnxruntime {onnxruntime.__version__} does not reproduce the model here: it"
        )

    def _checked(self, found: np.ndarray) -> Scores:
        if self.classes is None:
            scores: list[float] = found.tolist()
            _require_finite(scores)
            return Scores(scores)
        _require_finite(found.sum(axis=1).tolist())
        by_label = [dict(zip(self._names, row, strict=True)) for row in found.tolist()]
        return Scores(None, [self.classes[at] for at in found.argmax(axis=1)], by_label)


def _require_finite(scores: list[float]) -> None:
    if all(map(math.isfinite, scores)):
        return
    sentence = "the model has no finite score for this row: one of its numbers is too large for it"
    bad = [at for at, score in enumerate(scores) if not math.isfinite(score)]
    raise InvalidRows([Problem(at, None, sentence) for at in bad[:MAX_PROBLEMS]])


def _session(onnx: bytes, where: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    # An arena of memory and plans for it are for large tensors: they slow down a call with one row.
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ReleaseError(f"{where}: model.onnx cannot be loaded: {type(error).__name__}: {error}") from error


def _build_function(bundle: Bundle) -> Build:
    source = bundle.read("source/features.py")
    where = f"{bundle.path}/source/features.py"
    module = ModuleType(f"perennial_bundle_{hashlib.sha256(where.encode() + source).hexdigest()[:16]}.features")
    module.__file__ = where
    sys.modules[module.__name__] = module  # dataclasses and the like look their module up
    try:
        exec(compile(source, where, "exec"), module.__dict__)  # the bundle's own verified bytes
        build: Build = module.__dict__["build"]
    except Exception as error:
        sys.modules.pop(module.__name__, None)
        raise ReleaseError(f"{where} cannot be loaded: {type(error).__name__}: {error}") from error
    return build
