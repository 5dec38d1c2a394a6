"""Converters of LightGBM, XGBoost and CatBoost to ONNX: those of the libraries, and what they get wrong.

* LightGBM (onnxmltools): its thresholds are float64 and become the nearest float32, which can be on the other side of
  a feature's value: here they are rounded down first.
* XGBoost (onnxmltools): takes no names of features but ``f0``, ``f1``, ...: here they are removed first.
* CatBoost exports itself, as a whole graph with a ZipMap: here its one node of trees is put into the pipeline's graph.
  The exponential of its losses for counts and amounts is missing there.

`booster_settings` has the settings that are converted wrongly, without an error.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import numpy as np
from onnx import helper
from skl2onnx import update_registered_converter
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType
from skl2onnx.common.shape_calculator import (
    calculate_linear_classifier_output_shapes,
    calculate_linear_regressor_output_shapes,
)

from include.errors import ConfigurationError, ReleaseError
from include.extras import advice
from include.training import boosters

EXPONENTIAL = ("Poisson", "Tweedie")  # losses of CatBoost whose predictions are exponentials of the sum of the trees
CLASSIFIER = {"zipmap": [True, False, "columns"], "nocl": [True, False], "output_class_labels": [False, True]}


def register(estimator: Any) -> None:
    """Register the converters of the libraries whose boosters are in ``estimator``, each once in a process.

    Raises
    ------
    ConfigurationError : a converter is not installed: the library was, but not by its extra.
    """
    for _, library in boosters.parts(estimator):
        _register(library.module)


@cache
def _register(module: str) -> None:
    library = next(one for one in boosters.LIBRARIES if one.module == module)
    try:
        convert = {"lightgbm": _lightgbm, "xgboost": _xgboost, "catboost": _catboost}[module]()
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"{module} needs {error.name} to become ONNX: {advice(module)}") from error
    for name in library.classes:
        classifies = name.endswith("Classifier")
        update_registered_converter(
            getattr(import_module(module), name),
            f"Perennial{name}",
            calculate_linear_classifier_output_shapes if classifies else calculate_linear_regressor_output_shapes,
            convert,
            parser=_parse_classifier if classifies else None,
            options=CLASSIFIER if classifies else None,
        )


def _parse_classifier(scope: Any, model: Any, inputs: Any, custom_parsers: Any = None) -> Any:
    """Label and probabilities: skl2onnx expects them of a `ClassifierMixin` only, which CatBoost's are not."""
    operator = scope.declare_local_operator(f"Perennial{_name(model)}", model)
    operator.inputs = inputs
    operator.outputs.append(scope.declare_local_variable("label", Int64TensorType()))
    operator.outputs.append(scope.declare_local_variable("probabilities", FloatTensorType()))
    return operator.outputs


def _name(model: Any) -> str:
    """The name of the library's class that an estimator is of."""
    library = boosters.library_of(model)
    names = [kind.__name__ for kind in type(model).__mro__]
    return next(name for name in names if library and name in library.classes)


Convert = Callable[[Any, Any, Any], None]


def _lightgbm() -> Convert:
    from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm

    def convert(scope: Any, operator: Any, container: Any) -> None:
        fitted = operator.raw_operator
        dumped = fitted.booster_.dump_model()
        for tree in dumped["tree_info"]:
            for node in _nodes(tree["tree_structure"]):
                if node["decision_type"] == "<=":
                    node["threshold"] = float(float32_not_above(np.array([node["threshold"]]))[0])
        # What onnxmltools calls a mock is anything that answers `dump_model` itself.
        booster = SimpleNamespace(is_mock=True, dump_model=lambda: dumped)
        classes = {"classes_": fitted.classes_} if hasattr(fitted, "classes_") else {}
        stand_in = SimpleNamespace(booster_=booster, boosting_type=fitted.boosting_type, **classes)
        convert_lightgbm(scope, _Operator(operator, stand_in), container)

    return convert


def _nodes(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The nodes of a tree that decide."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if "decision_type" in node:
            yield node
            waiting += [node["left_child"], node["right_child"]]


def _xgboost() -> Convert:
    from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost

    def convert(scope: Any, operator: Any, container: Any) -> None:
        fitted = copy.deepcopy(operator.raw_operator)
        fitted.get_booster().feature_names = None
        convert_xgboost(scope, _Operator(operator, fitted), container)

    return convert


def _catboost() -> Convert:
    from catboost.utils import convert_to_onnx_object

    def convert(scope: Any, operator: Any, container: Any) -> None:
        graph = convert_to_onnx_object(operator.raw_operator).graph
        trees = [node for node in graph.node if node.op_type.startswith("TreeEnsemble")]
        others = {node.op_type for node in graph.node} - {trees[0].op_type if trees else "", "ZipMap"}
        if len(trees) != 1 or others or graph.initializer:
            found = ", ".join(sorted(node.op_type for node in graph.node))
            raise ReleaseError(f"CatBoost's ONNX has other parts than one set of trees ({found}).")
        attributes = {a.name: helper.get_attribute_value(a) for a in trees[0].attribute}
        outputs = operator.output_full_names
        if str(operator.raw_operator.get_all_params().get("loss_function")).startswith(EXPONENTIAL):
            outputs = [scope.get_unique_variable_name("sum_of_trees")]
            container.add_node("Exp", outputs, operator.output_full_names, name=scope.get_unique_operator_name("Exp"))
        container.add_node(
            trees[0].op_type,
            operator.input_full_names,
            outputs,
            op_domain="ai.onnx.ml",
            name=scope.get_unique_operator_name(trees[0].op_type),
            **attributes,
        )

    return convert


class _Operator:
    """An operator of skl2onnx with another estimator: converters read it and change nothing."""

    def __init__(self, operator: Any, raw_operator: Any) -> None:
        self._operator, self.raw_operator = operator, raw_operator

    def __getattr__(self, name: str) -> Any:
        return getattr(self._operator, name)


def float32_not_above(thresholds: np.ndarray) -> np.ndarray:
    """The largest float32 values, as float64, that are not above some float64 ones.

    ``x <= t`` for a float32 ``x`` and a float64 ``t`` is the same as ``x <= w`` with ``w`` the largest float32 not
    above ``t``.
    """
    with np.errstate(over="ignore"):
        rounded = thresholds.astype(np.float32)
    above = rounded.astype(np.float64) > thresholds
    rounded[above] = np.nextafter(rounded[above], np.float32(-np.inf))
    return rounded.astype(np.float64)
