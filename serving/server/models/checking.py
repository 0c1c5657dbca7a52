"""Checks of a request against a signature, before anything runs.

Messages and codes are those of `tensorflow_serving/servables/tensorflow/predict_util.cc` where
it has any. For types and shapes, TensorFlow Serving passes on the graph's own errors; the
messages here name the input.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from components.common.model_contract import SERVING_DEFAULT
from serving.protocol import tensors
from serving.server.config.settings import Limits
from serving.server.errors import failed_precondition, invalid

# Every SavedModel lists this function among its signatures, but clients cannot request it.
INIT_SIGNATURE = "__saved_model_init_op"

Arrays = Mapping[str, npt.NDArray[Any]]


def signature_key(name: str, known: Collection[str]) -> str:
    """Return the signature's name; "" stands for serving_default.

    Raises:
      ServingError: FAILED_PRECONDITION if there is no such signature.
    """
    key = name or SERVING_DEFAULT
    if key not in known or key == INIT_SIGNATURE:
        raise failed_precondition(f'Serving signature key "{key}" not found.')
    return key


def check_inputs(definition: Any, inputs: Arrays, limits: Limits) -> None:
    """Check inputs against a SignatureDef: their names, types, shapes and sizes.

    Raises:
      ServingError: INVALID_ARGUMENT, saying what was sent and what is expected.
    """
    sent, wanted = set(inputs), set(definition.inputs)
    if sent != wanted:
        raise invalid(
            f"input size does not match signature: {len(sent)}!={len(wanted)} "
            f"len({{{_names(sent)}}}) != len({{{_names(wanted)}}}). "
            f"Sent extra: {{{_names(sent - wanted)}}}. "
            f"Missing but required: {{{_names(wanted - sent)}}}."
        )
    for name in sorted(inputs):
        _check_tensor(name, inputs[name], definition.inputs[name], limits)


def check_filter(definition: Any, output_filter: Sequence[str]) -> None:
    """Check that the signature has the requested outputs, and that none is named twice.

    Raises:
      ServingError: INVALID_ARGUMENT otherwise.
    """
    seen: set[str] = set()
    for name in output_filter:
        if name not in definition.outputs:
            raise invalid(
                f"output tensor alias not found in signature: {name} "
                f"Outputs expected to be in the set {{{_names(definition.outputs)}}}."
            )
        if name in seen:
            raise invalid(f"duplicate output tensor alias: {name}")
        seen.add(name)


def can_be_batched(definition: Any) -> bool:
    """Return whether all inputs and outputs have a first dimension of any size: the batch."""

    def is_open(info: Any) -> bool:
        shape = info.tensor_shape
        return not shape.unknown_rank and len(shape.dim) > 0 and shape.dim[0].size == -1

    infos = [*definition.inputs.values(), *definition.outputs.values()]
    return bool(definition.inputs) and all(is_open(info) for info in infos)


def _check_tensor(name: str, values: npt.NDArray[Any], info: Any, limits: Limits) -> None:
    expected, provided = tensors.dtype_name(info.dtype), _dtype_name(values.dtype)
    if expected != provided:
        raise invalid(f"Expects input {name} to be {expected} but {provided} is provided")
    if not info.tensor_shape.unknown_rank:
        sizes = [dim.size for dim in info.tensor_shape.dim]
        fits = len(sizes) == values.ndim and all(
            size in (-1, given) for size, given in zip(sizes, values.shape, strict=True)
        )
        if not fits:
            shape = ",".join("?" if size == -1 else str(size) for size in sizes)
            given = ",".join(str(size) for size in values.shape)
            raise invalid(f"Expects input {name} to have shape [{shape}] but [{given}] is provided")
    _check_size(name, values, limits)


def _check_size(name: str, values: npt.NDArray[Any], limits: Limits) -> None:
    if values.ndim and values.shape[0] > limits.rows:
        raise invalid(f"input {name} has {values.shape[0]} rows; at most {limits.rows} are allowed")
    if values.dtype.kind == "f" and values.size > limits.waveform_samples:
        raise invalid(
            f"input {name} has {values.size} samples; at most {limits.waveform_samples} are "
            "allowed: send a long recording in parts"
        )


def _dtype_name(dtype: np.dtype[Any]) -> str:
    """Return a NumPy type as TensorFlow's messages write it."""
    if dtype.kind in "OSU":
        return "string"
    return {"float32": "float", "float64": "double", "float16": "half"}.get(dtype.name, dtype.name)


def _names(names: Collection[str]) -> str:
    return ",".join(sorted(names))
