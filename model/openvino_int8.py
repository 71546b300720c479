"""OpenVINO's network with its weights in int8, derived from the one in full precision.

Each output of a layer has its scale for its weights; what goes in is scaled as it comes, every token by
itself in pieces of one length (`piece_of`). So no data is needed to find ranges, and a token that is far from
the others costs them nothing. The table of the words' embeddings, most of the file otherwise, has a scale
for each row.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import ModelError

INT8_GRAPH = "openvino.int8.xml"
INT8_WEIGHTS = "openvino.int8.weights"
PIECES = (768, 512, 384, 256, 128, 64, 32)
"""Lengths of the pieces, best first; the inputs of all layers must be whole ones."""
_SMALLEST = 64
"""A layer with fewer inputs or outputs costs too little to be worth it."""
_SMALLEST_TABLE = 2048
"""Rows; a smaller table is not worth it."""


def write_openvino_int8(graph: Path, weights: Path) -> None:
    """Write ``openvino.int8.xml`` and its weights beside the network in full precision.

    Parameters
    ----------
    graph, weights
        Of that network.

    Raises
    ------
    ModelError
        If OpenVINO is not to be had or does not understand the network.
    """
    folder = graph.parent
    try:
        import openvino

        network = openvino.Core().read_model(str(graph), str(weights))
        for layer in layers(network):
            _compress(layer)
        for lookup in lookups(network):
            _compress_table(lookup)
        network.validate_nodes_and_infer_types()
        target = folder / INT8_GRAPH
        openvino.save_model(network, str(target), compress_to_fp16=False)
        del network
        target.with_suffix(".bin").replace(folder / INT8_WEIGHTS)
    except Exception as error:  # OpenVINO raises RuntimeError for every fault, and others
        raise ModelError("OpenVINO does not understand the exported network", file=folder) from error


def layers(network: Any) -> list[Any]:
    """Give the products of a network with weights of its own that are worth to be done in int8."""
    return [node for node in network.get_ordered_ops() if _is_layer(node)]


def _is_layer(node: Any) -> bool:
    if node.get_type_name() != "MatMul" or node.get_attributes()["transpose_a"]:
        return False
    if node.input_value(0).get_partial_shape().is_static:  # a product of constants, which is done once
        return False
    other = node.input_value(1)
    if other.get_node().get_type_name() != "Constant":
        return False
    shape = list(other.get_shape())
    return len(shape) == 2 and min(shape) >= _SMALLEST


def lookups(network: Any) -> list[Any]:
    """Give the lookups in tables that are worth to be kept in int8: the words' embeddings."""
    return [node for node in network.get_ordered_ops() if _is_lookup(node)]


def _is_lookup(node: Any) -> bool:
    if node.get_type_name() != "Gather" or node.input_value(0).get_node().get_type_name() != "Constant":
        return False
    table = node.input_value(0)
    shape = list(table.get_shape())
    return len(shape) == 2 and shape[0] >= _SMALLEST_TABLE and table.get_element_type().is_real()


def piece_of(network: Any) -> int:
    """Give how many inputs of a layer have a scale together: the first of `PIECES` that fits all layers.

    Parameters
    ----------
    network
        As `write_openvino_int8` wrote it.
    """
    inputs = set()
    for node in network.get_ordered_ops():
        if node.get_type_name() == "MatMul" and node.input_value(1).get_node().get_type_name() == "Multiply":
            shape = node.input_value(1).get_partial_shape()
            if shape.is_static and len(shape) == 2:
                inputs.add(shape.to_shape()[1 if node.get_attributes()["transpose_b"] else 0])
    return next((piece for piece in PIECES if all(count % piece == 0 for count in inputs)), PIECES[-1])


def _compress(layer: Any) -> None:
    from openvino import opset13 as ops

    weights = layer.input_value(1).get_node().get_data()
    by_output = weights if layer.get_attributes()["transpose_b"] else weights.T
    whole, scale = rounded(by_output)
    product = ops.multiply(ops.convert(ops.constant(whole), np.float32), ops.constant(scale))
    smaller = ops.matmul(layer.input_value(0), product, False, True)
    smaller.set_friendly_name(layer.get_friendly_name())
    layer.output(0).replace(smaller.output(0))


def _compress_table(lookup: Any) -> None:
    from openvino import opset13 as ops

    whole, scale = rounded(lookup.input_value(0).get_node().get_data().astype(np.float32))
    which, axis = lookup.input_value(1), lookup.input_value(2)
    row, size = (ops.gather(ops.constant(part), which, axis) for part in (whole, scale))
    smaller = ops.multiply(ops.convert(row, np.float32), size)
    smaller.set_friendly_name(lookup.get_friendly_name())
    lookup.output(0).replace(smaller.output(0))


def rounded(weights: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Give whole numbers and a scale for each row, which together are nearly the weights.

    Parameters
    ----------
    weights
        Shape (outputs, inputs).

    Returns
    -------
    whole : ndarray of shape (outputs, inputs)
    scale : ndarray of shape (outputs, 1)
    """
    most = np.abs(weights).max(axis=1, keepdims=True)
    scale = np.where(most > 0, most / 127, 1).astype(np.float32)
    return np.round(weights / scale).astype(np.int8), scale
