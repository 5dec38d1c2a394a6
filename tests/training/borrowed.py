"""Estimators like those of other libraries: scikit-learn can fit them, but skops does not know their types."""

from __future__ import annotations

from typing import Any

from skl2onnx import update_registered_converter
from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes
from skl2onnx.operator_converters.linear_classifier import convert_sklearn_linear_classifier
from sklearn.linear_model import LogisticRegression


class Borrowed(LogisticRegression):
    """A logistic regression under a name that is not reviewed, with a converter to ONNX."""


class Stubborn(LogisticRegression):
    """The same, but its converter fails."""


def _fails(scope: Any, operator: Any, container: Any) -> None:
    raise RuntimeError("not with these coefficients")


OPTIONS = {
    "zipmap": [True, False, "columns"],
    "nocl": [True, False],
    "output_class_labels": [False, True],
    "raw_scores": [True, False],
}
for estimator, converter in ((Borrowed, convert_sklearn_linear_classifier), (Stubborn, _fails)):
    name, shapes = f"Tests{estimator.__name__}", calculate_linear_classifier_output_shapes
    update_registered_converter(estimator, name, shapes, converter, options=OPTIONS)
