"""The inputs of a bundle's ONNX model, filled with what `features.build` returned.

A missing text (None, nan, NaT) becomes "", as in training (`training.dataset.frame_of`): onnxruntime would take it for
the text "None" or "nan".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from include.scoring.documents import InputSchema

Features = Mapping[str, Any]
"""What `features.build` returned: an array of one value for each row, by name."""


class Packed:
    """Fills one input of shape [rows, numbers] and one of shape [rows, texts].

    Attributes
    ----------
    inputs : names of the inputs, and how many columns each has.
    """

    def __init__(self, schema: InputSchema, numbers: str | None, texts: str | None) -> None:
        self._numbers = (numbers, [feature.name for feature in schema.features if feature.type != "string"])
        self._texts = (texts, [feature.name for feature in schema.features if feature.type == "string"])
        self.inputs: dict[str, int] = {}
        for tensor, names in (self._numbers, self._texts):
            # features without a tensor are named as inputs, which the model does not have
            self.inputs |= dict.fromkeys(names, 1) if tensor is None else {tensor: len(names)}

    def __call__(self, features: Features, rows: int) -> dict[str, np.ndarray]:
        """The inputs, by name.

        Raises
        ------
        KeyError : a feature is missing.
        TypeError, ValueError : it does not have one value for each row, or is not a number.
        """
        feed = {}
        tensor, names = self._numbers
        if tensor is not None:
            feed[tensor] = _number_table(features, names, rows)
        tensor, names = self._texts
        if tensor is not None:
            feed[tensor] = _text_table(features, names, rows)
        return feed


class Separate:
    """Fills one input of shape [rows, 1] for each feature, named like it: of bundles that name no tensors.

    Attributes and errors are those of `Packed`.
    """

    def __init__(self, schema: InputSchema) -> None:
        self._features = [(feature.name, feature.type == "string") for feature in schema.features]
        self.inputs = dict.fromkeys((name for name, _ in self._features), 1)

    def __call__(self, features: Features, rows: int) -> dict[str, np.ndarray]:
        """The inputs, by name."""
        return {
            name: _text_table(features, [name], rows)
            if text
            else np.asarray(features[name], dtype=np.float32).reshape(rows, 1)
            for name, text in self._features
        }


def feed_of(schema: InputSchema) -> Packed | Separate:
    """How the model of a bundle gets its inputs."""
    tensors = schema.tensors
    return Separate(schema) if tensors is None else Packed(schema, tensors.numbers, tensors.texts)


def _number_table(features: Features, names: Sequence[str], rows: int) -> np.ndarray:
    if rows == 1:
        values = _only_row(features, names)
        if _FLOATS.issuperset(map(type, values)):  # an integer is rounded once only below
            return np.array([values], dtype=np.float32)
    table = np.empty((rows, len(names)), dtype=np.float32)
    for at, name in enumerate(names):
        table[:, at] = np.asarray(features[name]).reshape(rows)
    return table


def _text_table(features: Features, names: Sequence[str], rows: int) -> np.ndarray:
    if rows == 1:
        values = _only_row(features, names)
        if _TEXTS.issuperset(map(type, values)):
            return np.array([values], dtype=object)
    table = np.empty((rows, len(names)), dtype=object)
    for at, name in enumerate(names):
        column = table[:, at]
        column[:] = np.asarray(features[name], dtype=object).reshape(rows)
        if not _TEXTS.issuperset(map(type, column.tolist())):
            column[:] = ["" if _is_missing(value) else value for value in column]
    return table


_FLOATS, _TEXTS = frozenset({float, bool}), frozenset({str})


def _only_row(features: Features, names: Sequence[str]) -> list[Any]:
    """The one value of each feature; something that is neither number nor text, if it is not an array of one value."""
    try:
        return [features[name].item() for name in names]
    except (AttributeError, ValueError):
        return [None]


def _is_missing(value: Any) -> bool:
    try:
        return value is None or bool(value != value)
    except TypeError:  # `pandas.NA` is neither equal to itself nor not
        return True
