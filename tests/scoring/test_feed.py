"""The inputs of an ONNX model: packed tensors, and one input for each feature as in older bundles."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper

from include.errors import IntegrityError
from include.scoring.documents import Column, Feature, InputSchema, Tensors
from include.scoring.feed import feed_of
from include.scoring.predictor import Predictor

BOTH = [None, Tensors("numbers", "texts")]
FORMS = pytest.mark.parametrize("tensors", BOTH, ids=["separate", "packed"])


def schema(tensors: Tensors | None) -> InputSchema:
    """A model of two numbers and two texts."""
    features = [Feature("x", "number"), Feature("shop", "string"), Feature("z", "number"), Feature("kind", "string")]
    return InputSchema(
        model="toy", task="regression", columns=[Column("at", "timestamp", nullable=False)], key=["at"],
        event_time="at", timezone="UTC", features=features, tensors=tensors, output="score", output_kind="value",
    )  # fmt: skip


def filled(tensors: Tensors | None, features: dict[str, Any], rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers and texts as two tables."""
    feed = feed_of(schema(tensors))(features, rows)
    numbers, texts = (
        ([feed["x"], feed["z"]], [feed["shop"], feed["kind"]])
        if tensors is None
        else ([feed["numbers"]], [feed["texts"]])
    )
    assert all(table.flags.c_contiguous for table in feed.values())
    return np.hstack(numbers), np.hstack(texts)


@FORMS
@pytest.mark.parametrize("rows", [1, 3])
def test_features_of_any_type_become_float32_and_text(tensors: Tensors | None, rows: int) -> None:
    texts = np.array(["a", "é", ""][:rows], dtype=object)
    numbers: list[Any] = [
        np.array([1.1, np.nan, -0.0]), np.array([2**60 + 2**36 + 1, -1, 0]), np.array([True, False, True]),
        np.array([1.1, 2, 3], dtype=np.float32), [1e300, 2, None], np.array([None, 1.5, 2], dtype=object),
    ]  # fmt: skip
    for values in numbers:
        with np.errstate(all="ignore"):
            expected = np.asarray(values[:rows], dtype=np.float32)
            found, names = filled(tensors, {"x": values[:rows], "z": expected, "shop": texts, "kind": texts}, rows)
        np.testing.assert_array_equal(found, np.column_stack([expected, expected]))
        assert found.dtype == np.float32 and names.tolist() == [[text, text] for text in texts]


@FORMS
@pytest.mark.parametrize("rows", [1, 4])
def test_a_missing_text_is_empty_as_in_training(tensors: Tensors | None, rows: int) -> None:
    numbers = np.zeros(rows)
    for missing in (None, float("nan"), np.float32("nan"), np.datetime64("NaT"), pd.NaT, pd.NA):
        texts = np.empty(rows, dtype=object)
        texts[:] = [missing, "nan", "None", 5][:rows]
        _, found = filled(tensors, {"x": numbers, "z": numbers, "shop": texts, "kind": texts}, rows)
        assert found[:, 0].tolist() == ["", "nan", "None", 5][:rows]
        assert texts[0] is missing, "what build returned is not changed"
    fixed = np.array(["ab", "c", "", "d"][:rows])
    _, found = filled(tensors, {"x": numbers, "z": numbers, "shop": fixed, "kind": fixed}, rows)
    assert {type(text) for text in found.ravel().tolist()} == {str}


@FORMS
@pytest.mark.parametrize("rows", [1, 2])
def test_a_feature_without_one_value_for_each_row_is_refused(tensors: Tensors | None, rows: int) -> None:
    good = {"x": np.zeros(rows), "z": np.zeros(rows), "shop": np.full(rows, "a"), "kind": np.full(rows, "a")}
    for name in good:
        for size in {0, 1, 2, 3} - {rows}:
            with pytest.raises(ValueError):
                feed_of(schema(tensors))(good | {name: np.resize(good[name], size)}, rows)
        with pytest.raises(KeyError, match=name):
            feed_of(schema(tensors))({key: values for key, values in good.items() if key != name}, rows)


def model(numbers: int = 2, texts: int = 2) -> bytes:
    """A graph whose score is the first number, plus 10 if the first text is missing."""
    nodes = [
        helper.make_node("Gather", ["texts", "zero"], ["text"], axis=1),
        helper.make_node(
            "LabelEncoder", ["text"], ["missing"], domain="ai.onnx.ml", keys_strings=[""], values_floats=[10.0],
            default_float=0.0,
        ),
        helper.make_node("Gather", ["numbers", "zero"], ["number"], axis=1),
        helper.make_node("Add", ["number", "missing"], ["score"]),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes, "toy",
        [
            helper.make_tensor_value_info("numbers", TensorProto.FLOAT, [None, numbers]),
            helper.make_tensor_value_info("texts", TensorProto.STRING, [None, texts]),
        ],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor("zero", TensorProto.INT64, [1], [0])],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 3)]
    proto = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    onnx.checker.check_model(proto, full_check=True)
    return bytes(proto.SerializeToString())


def test_a_missing_text_has_the_score_of_an_empty_one() -> None:
    shops: list[Any] = ["a", "", None, float("nan")]

    def build(columns: Any) -> dict[str, np.ndarray]:
        rows = len(columns["at"])
        texts = np.empty(rows, dtype=object)
        texts[:] = shops[:rows] if rows > 1 else shops[2:3]
        return {"x": np.ones(rows), "z": np.zeros(rows), "shop": texts, "kind": texts}

    predictor = Predictor(schema(BOTH[1]), model(), build, "here")
    row = {"at": "2026-05-03T00:00:00Z"}
    assert predictor.predict([row] * 4).scores == [1.0, 11.0, 11.0, 11.0]
    assert predictor.predict([row]).scores == [11.0]


@pytest.mark.parametrize(
    ("tensors", "onnx_model", "message"),
    [
        (None, model(), r"takes the inputs \['numbers', 'texts'\].*names \['kind', 'shop', 'x', 'z'\]"),
        (Tensors("numbers", None), model(), r"names \['kind', 'numbers', 'shop'\]"),
        (Tensors("numbers", "other"), model(), r"names \['numbers', 'other'\]"),
        (Tensors("numbers", "texts"), model(numbers=3), "have {'numbers': 3, 'texts': 2} columns"),
    ],
)
def test_a_model_with_other_inputs_than_its_schema_is_not_loaded(
    tensors: Tensors | None, onnx_model: bytes, message: str
) -> None:
    with pytest.raises(IntegrityError, match=message):
        Predictor(schema(tensors), onnx_model, dict, "here")


def test_a_schema_without_tensors_is_written_as_it_was() -> None:
    assert "tensors" not in schema(None).as_dict()
    assert schema(BOTH[1]).as_dict()["tensors"] == {"numbers": "numbers", "texts": "texts"}
    assert schema(Tensors(numbers="numbers")).as_dict()["tensors"] == {"numbers": "numbers"}
