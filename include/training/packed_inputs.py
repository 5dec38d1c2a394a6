"""An ONNX graph with at most two inputs: all numbers as one tensor, all texts as another.

skl2onnx converts a pipeline to a graph with one input of shape [rows, 1] for each feature. onnxruntime checks and
converts every input of a call, which takes as long as the model itself if there are many. Here the graph is rewritten,
so that it takes apart the tensor itself, or uses it as it is. The scores do not change, in any bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import onnx
from onnx import TensorProto, helper

from include.errors import IntegrityError
from include.scoring.documents import Tensors


def pack(model: onnx.ModelProto, types: Sequence[str]) -> None:
    """Give the graph packed inputs, in place.

    Parameters
    ----------
    model : takes one input of shape [rows, 1] for each feature.
    types : "string" or "number", one for each input.
    """
    graph = model.graph
    features = [feature.name for feature in graph.input]
    names = _Names(graph)
    inputs, taken_apart = [], []
    for kind, element, seed in (("number", TensorProto.FLOAT, "numbers"), ("string", TensorProto.STRING, "texts")):
        columns = [name for name, of in zip(features, types, strict=True) if of == kind]
        if columns:
            tensor = names.new(seed)
            inputs.append(helper.make_tensor_value_info(tensor, element, [None, len(columns)]))
            _join(graph, columns, tensor, names)
            taken_apart += _take_apart(graph, columns, tensor, names)
    nodes = [*taken_apart, *graph.node]
    del graph.input[:], graph.node[:]
    graph.input.extend(inputs)
    graph.node.extend(nodes)


def tensors_of(model: onnx.ModelProto, features: Sequence[str]) -> Tensors | None:
    """The names of the packed inputs; None if the graph has an input for each feature, as older ones.

    Raises
    ------
    IntegrityError : it has other inputs.
    """
    inputs = {node.type.tensor_type.elem_type: node.name for node in model.graph.input}
    if {node.name for node in model.graph.input} == set(features):
        return None
    if len(inputs) != len(model.graph.input) or not inputs.keys() <= {TensorProto.FLOAT, TensorProto.STRING}:
        raise IntegrityError(f"the ONNX model takes the inputs {[node.name for node in model.graph.input]}.")
    return Tensors(inputs.get(TensorProto.FLOAT), inputs.get(TensorProto.STRING))


class _Names:
    """Names for new values and nodes that nothing in the graph has, whatever its features are called."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._taken = {value.name for value in (*graph.input, *graph.output)}
        for part in _graphs(graph):
            self._taken |= {value.name for value in (*part.initializer, *part.value_info)}
            for node in part.node:
                self._taken |= {node.name, *node.input, *node.output}

    def new(self, seed: str) -> str:
        """``seed`` or, if it is taken, ``seed_1``, ``seed_2``, ..."""
        name, count = seed, 0
        while name in self._taken:
            count += 1
            name = f"{seed}_{count}"
        self._taken.add(name)
        return name


def _join(graph: onnx.GraphProto, columns: Sequence[str], tensor: str, names: _Names) -> None:
    """Replace what only puts columns of ``tensor`` next to each other: by the tensor, if it has the same columns."""
    at = {name: place for place, name in enumerate(columns)}
    kept: list[onnx.NodeProto] = []
    for node in graph.node:
        joins = node.op_type == "Concat" and helper.get_node_attr_value(node, "axis") == 1
        if not joins or not at.keys() >= set(node.input):
            kept.append(node)
        elif list(node.input) == list(columns) and node.output[0] not in {output.name for output in graph.output}:
            _rename(graph, node.output[0], tensor)
        else:
            kept.append(_gather(graph, tensor, [at[name] for name in node.input], node.output[0], names))
    del graph.node[:]
    graph.node.extend(kept)


def _take_apart(graph: onnx.GraphProto, columns: Sequence[str], tensor: str, names: _Names) -> list[onnx.NodeProto]:
    """Nodes that make the columns of ``tensor`` that are still used on their own.

    One `Gather` a column, not one `Split`: it is as fast, and the same in every version of the operators.
    """
    if len(columns) == 1:
        _rename(graph, columns[0], tensor)
    used = {name for part in _graphs(graph) for node in part.node for name in node.input}
    return [_gather(graph, tensor, [at], name, names) for at, name in enumerate(columns) if name in used]


def _gather(graph: onnx.GraphProto, tensor: str, places: Sequence[int], output: str, names: _Names) -> onnx.NodeProto:
    """A node that makes ``output`` of some columns of ``tensor``; its indices become part of the graph."""
    indices = names.new("columns")
    graph.initializer.append(helper.make_tensor(indices, TensorProto.INT64, [len(places)], places))
    return helper.make_node("Gather", [tensor, indices], [output], name=names.new("Gather"), axis=1)


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Let all nodes read ``new`` where they read ``old``."""
    for part in _graphs(graph):
        for node in part.node:
            node.input[:] = [new if name == old else name for name in node.input]


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """The graph, and those inside its nodes (of a loop, say), which can use its values."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                if inner.node:
                    yield from _graphs(inner)
