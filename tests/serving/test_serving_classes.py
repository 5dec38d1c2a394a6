"""Answers of a multi-class model: every declared class, even if the fit has not seen it, in the type of the label."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from server_kit import files_of, row

from include.errors import IntegrityError, ReleaseError
from include.registry.bundles import Bundle, BundleStore
from include.scoring.documents import Probe
from include.scoring.predictor import Predictor

SCORES = [0.25, 0.75]


def two_probabilities() -> bytes:
    """A graph of two probabilities: sigmoid(-distance) and sigmoid(distance)."""
    import onnx
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [
            helper.make_node("Neg", ["distance"], ["turned"]),
            helper.make_node("Concat", ["turned", "distance"], ["both"], axis=1),
            helper.make_node("Sigmoid", ["both"], ["probabilities"]),
        ],
        "two",
        [helper.make_tensor_value_info("distance", TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    onnx.checker.check_model(model)
    return model.SerializeToString()


def bundle(tmp_path: Path, classes: list[Any], columns: list[int | None], scores: Any = None) -> Bundle:
    high = 1 / (1 + math.exp(-2.0))
    scored = dict.fromkeys(map(str, classes), 0.0)
    for name, column in zip(classes, columns, strict=False):
        if column is not None:
            scored[str(name)] = [1 - high, high][column]
    probe = {"rows": [row(distance=2.0)], "scores": [scored if scores is None else scores], "scale": 1.0}
    files = files_of(
        "levels", two_probabilities(), probe, features=[{"name": "distance", "type": "number"}], positive=None,
        positive_index=None, classes=classes, class_columns=columns,
    )  # fmt: skip
    store = BundleStore(tmp_path)
    return store.open("levels", store.write("levels", files))


@pytest.mark.parametrize(
    ("classes", "label", "other"), [(["far", "never", "near"], "far", "near"), ([30, 10, 20], 30, 20)]
)
def test_a_class_that_the_fit_has_not_seen_has_probability_0(
    tmp_path: Path, classes: list[Any], label: Any, other: Any
) -> None:
    packaged = bundle(tmp_path, classes, [1, None, 0])
    predictor = Predictor.load(packaged)
    assert predictor.warm_up(Probe.of(packaged)) < 1e-6
    one, two = predictor.predict([row(distance=2.0), row(distance=-2.0)]).predictions()
    assert (one.label, two.label) == (label, other)
    assert isinstance(one.scores, dict) and isinstance(two.scores, dict)
    assert list(one.scores) == [str(c) for c in classes]
    assert list(one.scores.values()) == pytest.approx([0.8808, 0.0, 0.1192], abs=1e-4)
    assert list(two.scores.values()) == pytest.approx([0.1192, 0.0, 0.8808], abs=1e-4)


def test_a_probe_of_other_classes_or_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="names 3 classes and 2 columns"):
        Predictor.load(bundle(tmp_path, ["a", "b", "c"], [0, 1]))
    turned = {"a": 0.8808, "b": 0.1192, "c": 0.0}
    packaged = bundle(tmp_path, ["a", "b", "c"], [0, 1, None], turned)
    with pytest.raises(ReleaseError, match="does not reproduce the model here: it answers .* to probe row 0"):
        Predictor.load(packaged).warm_up(Probe.of(packaged))


def test_a_difference_is_measured_by_the_scale_of_the_probe(tmp_path: Path) -> None:
    packaged = bundle(tmp_path, ["a", "b", "c"], [0, 1, None])
    predictor, (scores,) = Predictor.load(packaged), Probe.of(packaged).scores
    assert isinstance(scores, dict)
    other = Probe(Probe.of(packaged).rows, [{**scores, "a": scores["a"] + 0.01}])
    with pytest.raises(ReleaseError, match="probe row 0"):
        predictor.warm_up(other)
    assert predictor.warm_up(Probe(other.rows, other.scores, scale=1e6)) < 1e-6
