"""A loaded bundle: rows of JSON values in, scores out. What the server serves and what the smoke test tries.

Everything it runs comes from the bundle's verified bytes: the ONNX model, the input schema, and the model's own
`features.py`, which is executed under a module name of its own, so that two versions of one model never share code.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # otherwise the import writes files into the home folder

import numpy as np
import onnxruntime

from include.errors import IntegrityError, PerennialError, ReleaseError
from include.registry.bundles import Bundle
from include.scoring.contract import MAX_PROBLEMS, EventTimes, InputContract, InvalidRows

logger = logging.getLogger(__name__)

TOLERANCE = 1e-5
"""Largest accepted difference between a probe row's score here and in `probe.json`, relative to the score or to the
probe's ``scale``, whichever is larger (`export.score_scale`)."""


class ModelFailure(PerennialError):
    """The model's own code or graph failed on rows that its input contract accepts: a fault of the model."""


@dataclass(frozen=True)
class Scores:
    """Scores of some rows, in their order.

    Attributes
    ----------
    scores : probability of the positive class, or the predicted value; ``None`` for more than two classes.
    labels : the most probable class of each row, for more than two classes.
    by_label : the probability of every class of each row, for more than two classes.
    """

    scores: list[float] | None
    labels: list[Any] | None = None
    by_label: list[dict[str, float]] | None = None

    def __len__(self) -> int:
        return len(self.scores if self.scores is not None else self.labels or ())

    def predictions(self) -> list[dict[str, Any]]:
        """One JSON object a row, as the server answers: ``{"score"}`` or ``{"label", "scores"}``."""
        if self.scores is not None:
            return [{"score": score} for score in self.scores]
        pairs = zip(self.labels or (), self.by_label or (), strict=True)
        return [{"label": label, "scores": scores} for label, scores in pairs]


class Predictor:
    """Scores rows with one bundle. Thread-safe; immutable once loaded. Use `Predictor.load`."""

    def __init__(
        self,
        schema: Mapping[str, Any],
        session: onnxruntime.InferenceSession,
        build: Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]],
        probe: Mapping[str, Any],
    ) -> None:
        self.schema = schema
        self.probe = probe
        self.contract = InputContract(schema["columns"], EventTimes.of(schema))
        self._session = session
        self._run = session.run
        self._build = build
        self._features = [(str(f["name"]), f["type"] == "string") for f in schema["features"]]
        self._outputs = [str(schema["output"])]
        self._kind = str(schema["output_kind"])
        classes = schema.get("classes") or []
        self.classes: list[Any] | None = classes if self._kind == "probabilities" and len(classes) > 2 else None
        self._names = [str(c) for c in self.classes or ()]
        columns = schema.get("class_columns") or range(len(self._names))
        self._columns = [(at, column) for at, column in enumerate(columns) if column is not None]
        self._positive = int(schema.get("positive_index", 1) if schema.get("positive_index") is not None else 1)

    @classmethod
    def load(cls, bundle: Bundle) -> Predictor:
        """Load a verified bundle.

        Raises
        ------
        IntegrityError : a file is missing or does not fit the others.
        ReleaseError : the ONNX model or `features.py` cannot be loaded here.
        """
        schema = _json(bundle, "input_schema.json")
        probe = _json(bundle, "probe.json")
        for part in ("columns", "features", "output", "output_kind"):
            if part not in schema:
                raise IntegrityError(f"{bundle.path}/input_schema.json has no {part!r}: the bundle is incomplete.")
        columns, classes = schema.get("class_columns"), schema.get("classes") or []
        if columns is not None and len(columns) != len(classes):
            raise IntegrityError(
                f"{bundle.path}/input_schema.json names {len(classes)} classes and {len(columns)} columns for them."
            )
        session = _session(bundle)
        build = _build_function(bundle)
        wanted = {i.name for i in session.get_inputs()}
        given = {str(f["name"]) for f in schema["features"]}
        if wanted != given or schema["output"] not in {o.name for o in session.get_outputs()}:
            raise IntegrityError(
                f"{bundle.path}: model.onnx wants the inputs {sorted(wanted)} and gives "
                f"{sorted(o.name for o in session.get_outputs())}; input_schema.json says {sorted(given)} and "
                f"{schema['output']!r}."
            )
        return cls(schema, session, build, probe)

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
        count = len(rows)
        columns = self.contract.columns(rows, now)
        try:
            with np.errstate(all="ignore"):
                built = self._build(columns)
                feed = {
                    name: np.asarray(built[name], dtype=object if text else np.float32).reshape(count, 1)
                    for name, text in self._features
                }
            output = self._run(self._outputs, feed, None)[0]
        except Exception as error:
            raise ModelFailure(f"{type(error).__name__}: {error}") from error
        return self._scores(output, count)

    def warm_up(self) -> float:
        """Score the probe rows; the largest difference from the scores they had when the bundle was packaged.

        Raises
        ------
        ReleaseError : a probe row is refused, or scores differently here (by more than `TOLERANCE`).
        """
        rows, expected = self.probe.get("rows") or [], self.probe.get("scores") or []
        if not rows:
            raise ReleaseError("probe.json has no rows: there is nothing to warm up with or to compare.")
        try:
            for row in rows[:3]:
                self.predict([row])
            scores = self.predict(rows)
        except (InvalidRows, ModelFailure) as error:
            raise ReleaseError(f"the probe rows of the bundle cannot be scored: {error}") from error
        worst, scale = 0.0, float(self.probe.get("scale", 1.0))
        for at, (got, want) in enumerate(zip(_flat(scores), expected, strict=True)):
            for one, other in zip(got, _as_list(want, self.classes), strict=True):
                difference = abs(one - other) / max(scale, abs(other))
                if not difference <= TOLERANCE:
                    raise ReleaseError(
                        f"probe row {at} scores {one:.7g} here and scored {other:.7g} when the bundle was packaged: "
                        f"onnxruntime {onnxruntime.__version__} on this machine does not reproduce the model."
                    )
                worst = max(worst, difference)
        return worst

    def _scores(self, output: Any, count: int) -> Scores:
        if self._kind == "probabilities":
            table = np.asarray(output).reshape(count, -1)
            if self.classes is not None:
                return self._of_classes(table)
            scores: list[float] = table[:, self._positive].tolist()
        else:
            scores = np.asarray(output).reshape(count).tolist()
        self._require_finite(scores)
        return Scores(scores)

    def _of_classes(self, table: np.ndarray) -> Scores:
        """Probabilities of every declared class; 0 of one that the model was fitted without."""
        self._require_finite(table.sum(axis=1).tolist())
        every = np.zeros((len(table), len(self._names)))
        for at, column in self._columns:
            every[:, at] = table[:, column]
        classes = self.classes or []
        by_label = [dict(zip(self._names, row, strict=True)) for row in every.tolist()]
        return Scores(None, [classes[at] for at in every.argmax(axis=1)], by_label)

    @staticmethod
    def _require_finite(scores: list[float]) -> None:
        if all(map(math.isfinite, scores)):
            return
        sentence = "the model has no finite score for this row: one of its numbers is too large for it"
        bad = [at for at, score in enumerate(scores) if not math.isfinite(score)]
        raise InvalidRows([{"row": at, "field": None, "problem": sentence} for at in bad[:MAX_PROBLEMS]])


def _json(bundle: Bundle, name: str) -> dict[str, Any]:
    try:
        value = json.loads(bundle.read(name))
    except ValueError as error:
        raise IntegrityError(f"{bundle.path}/{name} is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise IntegrityError(f"{bundle.path}/{name} is no JSON object")
    return value


def _session(bundle: Bundle) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(bundle.read("model.onnx"), options, providers=["CPUExecutionProvider"])
    except PerennialError:
        raise
    except Exception as error:
        raise ReleaseError(f"{bundle.path}/model.onnx cannot be loaded: {type(error).__name__}: {error}") from error


def _build_function(bundle: Bundle) -> Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]:
    source = bundle.read("source/features.py")
    where = f"{bundle.path}/source/features.py"
    module = ModuleType(f"perennial_bundle_{hashlib.sha256(where.encode() + source).hexdigest()[:16]}.features")
    module.__file__ = where
    sys.modules[module.__name__] = module  # dataclasses and the like look their module up
    try:
        exec(compile(source, where, "exec"), module.__dict__)  # the bundle's own verified bytes
        build = module.__dict__["build"]
    except Exception as error:
        sys.modules.pop(module.__name__, None)
        raise ReleaseError(f"{where} cannot be loaded: {type(error).__name__}: {error}") from error
    return build


def _flat(scores: Scores) -> list[list[float]]:
    if scores.scores is not None:
        return [[score] for score in scores.scores]
    return [list(row.values()) for row in scores.by_label or ()]


def _as_list(value: Any, classes: Sequence[Any] | None) -> list[float]:
    if isinstance(value, Mapping):
        return [float(value[str(name)]) for name in classes or value]
    return [float(v) for v in value] if isinstance(value, list) else [float(value)]
