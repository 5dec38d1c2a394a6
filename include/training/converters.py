"""Converters to ONNX that skl2onnx lacks or gets wrong, and which estimators cannot be converted."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
from skl2onnx import update_registered_converter
from skl2onnx._parse import sklearn_parsers_map
from skl2onnx._supported_operators import sklearn_operator_name_map
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType
from skl2onnx.common.shape_calculator import calculate_linear_regressor_output_shapes
from skl2onnx.operator_converters.random_forest import convert_sklearn_random_forest_regressor_converter
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import HistGradientBoostingRegressor

from include.errors import ReleaseError
from include.training import booster_converters


@cache
def register() -> None:
    """Register the converters below with skl2onnx, once in a process.

    The trivial estimators (constant probabilities, constant value) have no converter. That of gradient boosting omits
    the exponential that turns the sum of the trees into a value if the loss is Poisson or gamma: the conversion is
    wrong and raises no error.
    """
    update_registered_converter(
        DummyClassifier,
        "PerennialDummyClassifier",
        _dummy_classifier_shape,
        _convert_dummy_classifier,
        options={"zipmap": [True, False, "columns"], "nocl": [True, False], "output_class_labels": [False, True]},
    )
    update_registered_converter(
        DummyRegressor, "PerennialDummyRegressor", _dummy_regressor_shape, _convert_dummy_regressor
    )
    update_registered_converter(
        HistGradientBoostingRegressor,
        "PerennialHistGradientBoostingRegressor",
        calculate_linear_regressor_output_shapes,
        _convert_boosting_regressor,
    )


def without_converter(estimator: Any) -> list[str]:
    """The names of the estimators in ``estimator``, at any depth, that cannot become ONNX; needs no fit.

    What is not listed may still fail in conversion, because of how it is set up.
    """
    register()
    booster_converters.register(estimator)
    parts = [estimator, *estimator.get_params(deep=True).values()]
    types = {type(part) for part in parts if hasattr(part, "get_params") and hasattr(part, "fit")}
    return sorted(t.__name__ for t in types if t not in sklearn_operator_name_map and t not in sklearn_parsers_map)


def _dummy_classifier_shape(operator: Any) -> None:
    operator.outputs[0].type = Int64TensorType([None])
    operator.outputs[1].type = FloatTensorType([None, len(operator.raw_operator.classes_)])


def _dummy_regressor_shape(operator: Any) -> None:
    operator.outputs[0].type = FloatTensorType([None, 1])


def _convert_dummy_classifier(scope: Any, operator: Any, container: Any) -> None:
    dummy = operator.raw_operator
    if dummy.strategy not in ("prior", "most_frequent"):
        raise ReleaseError(
            f"a DummyClassifier with strategy {dummy.strategy!r} answers at random: use strategy='prior'."
        )
    constant = dummy.predict_proba(np.zeros((1, 1))).astype(np.float32)
    label = np.array([int(dummy.classes_[int(np.argmax(constant))])], dtype=np.int64)
    _repeated(scope, container, operator, label, operator.outputs[0].full_name, columns=False)
    _repeated(scope, container, operator, constant, operator.outputs[1].full_name, columns=True)


def _convert_dummy_regressor(scope: Any, operator: Any, container: Any) -> None:
    constant = np.asarray(operator.raw_operator.constant_, dtype=np.float32).reshape(1, 1)
    _repeated(scope, container, operator, constant, operator.outputs[0].full_name, columns=True)


def _repeated(scope: Any, container: Any, operator: Any, values: np.ndarray, output: str, columns: bool) -> None:
    """``values`` once for each row of the first input."""
    constant, shape, rows, first, target = (
        scope.get_unique_variable_name(n) for n in ("constant", "shape", "rows", "first", "target")
    )
    kind = onnx.TensorProto.INT64 if values.dtype == np.int64 else onnx.TensorProto.FLOAT
    container.add_initializer(constant, kind, list(values.shape), values.ravel().tolist())
    container.add_initializer(first, onnx.TensorProto.INT64, [1], [0])
    container.add_node("Shape", operator.inputs[0].full_name, shape, name=scope.get_unique_operator_name("Shape"))
    container.add_node("Gather", [shape, first], rows, name=scope.get_unique_operator_name("Gather"))
    if columns:
        width = scope.get_unique_variable_name("width")
        container.add_initializer(width, onnx.TensorProto.INT64, [1], [values.shape[1]])
        container.add_node("Concat", [rows, width], target, name=scope.get_unique_operator_name("Concat"), axis=0)
    else:
        target = rows
    container.add_node("Expand", [constant, target], output, name=scope.get_unique_operator_name("Expand"))


def _convert_boosting_regressor(scope: Any, operator: Any, container: Any) -> None:
    link = type(operator.raw_operator._loss.link).__name__
    if link == "IdentityLink":
        convert_sklearn_random_forest_regressor_converter(scope, operator, container)
    elif link == "LogLink":
        sum_of_trees = scope.get_unique_variable_name("sum_of_trees")
        trees = SimpleNamespace(
            raw_operator=operator.raw_operator,
            inputs=operator.inputs,
            input_full_names=operator.input_full_names,
            outputs=[SimpleNamespace(full_name=sum_of_trees)],
        )
        convert_sklearn_random_forest_regressor_converter(scope, trees, container)
        output = operator.outputs[0].full_name
        container.add_node("Exp", sum_of_trees, output, name=scope.get_unique_operator_name("Exp"))
    else:
        raise ReleaseError(f"gradient boosting with the link {link} of its loss is not supported here.")
