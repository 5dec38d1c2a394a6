"""A graph of packed inputs gives the same scores as the graph that skl2onnx makes, in every bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
from onnx import TensorProto, helper
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from include.errors import IntegrityError
from include.scoring.documents import Tensors
from include.spec import Model
from include.training import candidates, dataset, export, packed_inputs, parity


def as_before(monkeypatch: pytest.MonkeyPatch, fitted: candidates.Fitted, model: Model) -> bytes:
    """The graph of an older bundle."""
    with monkeypatch.context() as patch:
        patch.setattr(packed_inputs, "pack", lambda *_: None)
        return export.to_onnx(fitted, model)


def nodes(graph: bytes) -> list[str]:
    return [node.op_type for node in onnx.load_from_string(graph).graph.node]


@pytest.mark.parametrize("name", ["baseline", "logistic", "boosting", "coarse"])
def test_packing_changes_no_bit_of_a_score(
    toy: Model, rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    fitted = candidates.fit(toy, candidates.load(toy)[name], rows, seed=0)
    old, new = as_before(monkeypatch, fitted, toy), export.to_onnx(fitted, toy)
    before, after = (export.predictor(toy, fitted, onnx_model) for onnx_model in (old, new))
    assert before.schema.tensors is None and after.schema.tensors == Tensors("numbers", "texts")
    assert [i.name for i in onnxruntime.InferenceSession(old).get_inputs()] == list(fitted.feature_names)
    opsets = [onnx.load_from_string(graph).opset_import for graph in (old, new)]
    assert list(opsets[0]) == list(opsets[1])
    for frame in parity._trials(toy, rows):
        assert parity.scores(before, frame).tobytes() == parity.scores(after, frame).tobytes()
    one = dataset.features_frame(toy, rows.iloc[:5])
    for at in range(len(one)):
        assert parity.scores(before, one.iloc[[at]]).tobytes() == parity.scores(after, one.iloc[[at]]).tobytes()


@pytest.mark.parametrize("order", [["x", "z", "items"], ["items", "x"]], ids=["all", "some"])
def test_numbers_are_not_put_together_again(toy: Model, rows: pd.DataFrame, order: list[str]) -> None:
    """The tensor is used as it is, or its columns are chosen in one step."""
    there = dataset.labelled(toy, rows)
    frame = dataset.features_frame(toy, there)[["x", "z", "items"]]
    boosting = HistGradientBoostingClassifier(max_iter=3)
    pipeline = make_pipeline(make_column_transformer(("passthrough", order)), boosting).fit(
        frame, dataset.labels(toy, there)
    )
    fitted = candidates.Fitted(pipeline, tuple(frame), ("number",) * 3, len(frame), "", "")
    graph = export.to_onnx(fitted, toy)
    assert nodes(graph)[: 1 + (len(order) == 2)] == ["Gather", "TreeEnsembleClassifier"][3 - len(order) == 0 :]
    predictor = export.predictor(toy, fitted, graph)
    np.testing.assert_allclose(parity.scores(predictor, frame), pipeline.predict_proba(frame)[:, 1], atol=1e-6)


ODD = ("numbers", "texts", "columns", "Gather", "numbers_1", "label", "probabilities", "a b", "a_b", "a.b", "1st", "é")


def test_features_can_have_any_name(toy: Model) -> None:
    """Also those of the new inputs, and names that differ only in what skl2onnx does not allow."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame({name: random.normal(size=400).astype(np.float32) for name in ODD})
    texts = ["texts", "a b", "sizes"]
    for name in texts:
        frame[name] = random.choice(["u", "v", "w"], size=400).astype(object)
    numbers = [name for name in frame if name not in texts]
    pipeline = make_pipeline(
        make_column_transformer((OneHotEncoder(handle_unknown="ignore"), texts), (SimpleImputer(), numbers[::-1])),
        LogisticRegression(),
    ).fit(frame, (frame["a.b"] + (frame["a b"] == "u") > 0).astype(int))
    kinds = tuple("string" if name in texts else "number" for name in frame)
    fitted = candidates.Fitted(pipeline, tuple(frame), kinds, len(frame), "", "")
    graph = export.to_onnx(fitted, toy)
    found = parity.scores(export.predictor(toy, fitted, graph), frame)
    np.testing.assert_allclose(found, pipeline.predict_proba(frame)[:, 1], atol=1e-6)
    assert graph == export.to_onnx(fitted, toy)


@pytest.mark.parametrize("kind", ["number", "string"])
def test_a_single_feature(toy: Model, kind: str) -> None:
    values: Any = ["u", "v"] * 50 if kind == "string" else np.arange(100, dtype=np.float32)
    frame = pd.DataFrame({"numbers": pd.Series(values, dtype=object if kind == "string" else np.float32)})
    step = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1) if kind == "string" else "passthrough"
    pipeline = make_pipeline(make_column_transformer((step, ["numbers"])), LogisticRegression())
    pipeline.fit(frame, np.arange(100) % 2)
    fitted = candidates.Fitted(pipeline, ("numbers",), (kind,), 100, "", "")
    predictor = export.predictor(toy, fitted, export.to_onnx(fitted, toy))
    assert predictor.schema.tensors == (Tensors(texts="texts") if kind == "string" else Tensors(numbers="numbers_1"))
    np.testing.assert_allclose(parity.scores(predictor, frame), pipeline.predict_proba(frame)[:, 1], atol=1e-6)


def test_features_that_only_an_inner_graph_uses_reach_it() -> None:
    """skl2onnx converts nearest neighbours to a loop, whose body reads values of the graph around it."""
    value = helper.make_tensor_value_info

    def branch(name: str, node: onnx.NodeProto) -> onnx.GraphProto:
        return helper.make_graph([node], name, [], [value(node.output[0], TensorProto.FLOAT, [None, 2])])

    choice = helper.make_node(
        "If", ["positive"], ["score"],
        then_branch=branch("then", helper.make_node("Concat", ["b", "c"], ["one"], axis=1)),
        else_branch=branch("else", helper.make_node("Concat", ["c", "numbers"], ["two"], axis=1)),
    )  # fmt: skip
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMax", ["a"], ["largest"], keepdims=0),
            helper.make_node("Greater", ["largest", "zero"], ["positive"]),
            choice,
        ],
        "inner",
        [value(name, TensorProto.FLOAT, [None, 1]) for name in ("a", "b", "c")],
        [value("score", TensorProto.FLOAT, [None, 2])],
        [
            helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0]),
            helper.make_tensor("numbers", TensorProto.FLOAT, [1, 1], [7.0]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    packed_inputs.pack(model, ["number"] * 3)
    onnx.checker.check_model(model, full_check=True)
    assert packed_inputs.tensors_of(model, ["a", "b", "c"]) == Tensors(numbers="numbers_1")
    session = onnxruntime.InferenceSession(model.SerializeToString())
    for row, expected in (([1, 2, 3], [2, 3]), ([-1, 2, 3], [3, 7])):
        (found,) = session.run(None, {"numbers_1": np.array([row], dtype=np.float32)})
        assert found.tolist() == [expected]


def test_a_graph_with_other_inputs_is_refused() -> None:
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]) for name in ("a", "b")]
    model = helper.make_model(helper.make_graph([], "other", inputs, []))
    assert packed_inputs.tensors_of(model, ["b", "a"]) is None
    with pytest.raises(IntegrityError, match=r"takes the inputs \['a', 'b'\]"):
        packed_inputs.tensors_of(model, ["x"])
