"""Conversion between NumPy arrays and TensorProtos, without TensorFlow.

`tensorflow/core/framework/tensor.proto` defines the layout. Values are either `tensor_content`
(little-endian bytes, row by row) or a typed list, whose last value is repeated until the shape
is full.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.protocol.protos import tensor_pb2, types_pb2

# For each enum value, the dtype and the field of typed values. Strings are handled separately.
# Genreflow's models use none of TensorFlow's other types.
_NUMBERS: dict[int, tuple[Any, str]] = {
    types_pb2.DT_FLOAT: (np.float32, "float_val"),
    types_pb2.DT_DOUBLE: (np.float64, "double_val"),
    types_pb2.DT_INT64: (np.int64, "int64_val"),
    types_pb2.DT_INT32: (np.int32, "int_val"),
    types_pb2.DT_INT16: (np.int16, "int_val"),
    types_pb2.DT_INT8: (np.int8, "int_val"),
    types_pb2.DT_UINT8: (np.uint8, "int_val"),
    types_pb2.DT_BOOL: (np.bool_, "bool_val"),
}
_ENUMS = {np.dtype(dtype): enum for enum, (dtype, _) in _NUMBERS.items()}

# A shape of a few bytes can claim any amount of memory.
MAX_TENSOR_BYTES = 1 << 30
# NumPy's own limit.
MAX_DIMENSIONS = 32


class TensorError(ValueError):
    """Error for a tensor that is invalid or not supported; the message says why."""


def to_proto(array: npt.ArrayLike, *, typed: bool = False) -> Any:
    """Convert an array to a TensorProto.

    Args:
      array: numbers, or bytes and text as an object array (text is encoded as UTF-8).
      typed: fill the typed list, which is readable in JSON, as TensorFlow Serving does in its
        responses; otherwise `tensor_content`, a copy of the bytes. Strings are always listed.

    Raises:
      TensorError: the element type is not supported.
    """
    values = np.asarray(array)
    proto = tensor_pb2.TensorProto()
    for size in values.shape:
        proto.tensor_shape.dim.add().size = size
    if values.dtype.kind in "OSU":
        proto.dtype = types_pb2.DT_STRING
        proto.string_val.extend(_as_bytes(value) for value in values.ravel().tolist())
        return proto
    enum = _ENUMS.get(values.dtype)
    if enum is None:
        raise TensorError(f"elements of type {values.dtype} are not supported")
    proto.dtype = enum
    if typed:
        getattr(proto, _NUMBERS[enum][1]).extend(values.ravel().tolist())
    else:
        little = values.astype(values.dtype.newbyteorder("<"), copy=False)
        proto.tensor_content = little.tobytes()
    return proto


def to_array(proto: Any, max_bytes: int = MAX_TENSOR_BYTES) -> npt.NDArray[Any]:
    """Convert a TensorProto to an array.

    Args:
      proto: the TensorProto.
      max_bytes: size limit of the array.

    Returns:
      The array; strings are bytes objects. It is read-only where no copy is needed.

    Raises:
      TensorError: the rank is unknown, a size is negative or too large, the type is not
        supported, or the number of values does not match the shape.
    """
    if proto.tensor_shape.unknown_rank:
        raise TensorError("its shape has no known rank")
    shape = tuple(dim.size for dim in proto.tensor_shape.dim)
    if any(size < 0 for size in shape):
        raise TensorError(f"its shape {list(shape)} has a negative size")
    if len(shape) > MAX_DIMENSIONS:
        raise TensorError(
            f"its shape has {len(shape)} dimensions; at most {MAX_DIMENSIONS} are allowed"
        )
    total = math.prod(shape)
    # Even if one size is 0, NumPy multiplies the others, and they may be huge.
    span = math.prod(size for size in shape if size)
    if proto.dtype == types_pb2.DT_STRING:
        _check_size(span * np.dtype(object).itemsize, shape, max_bytes)
        return _filled(list(proto.string_val), shape, total, np.dtype(object))
    if proto.dtype not in _NUMBERS:
        known = proto.dtype in types_pb2.DataType.values()
        name = types_pb2.DataType.Name(proto.dtype) if known else str(proto.dtype)
        raise TensorError(f"its element type {name} is not supported")
    number, field = _NUMBERS[proto.dtype]
    dtype = np.dtype(number)
    _check_size(span * dtype.itemsize, shape, max_bytes)
    if proto.tensor_content:
        if len(proto.tensor_content) != total * dtype.itemsize:
            raise TensorError(
                f"its shape {list(shape)} needs {total * dtype.itemsize} bytes of content; "
                f"it has {len(proto.tensor_content)}"
            )
        little = dtype.newbyteorder("<")
        return np.frombuffer(proto.tensor_content, little).astype(dtype, copy=False).reshape(shape)
    return _filled(getattr(proto, field), shape, total, dtype)


def dtype_name(enum: int) -> str:
    """Return a type as TensorFlow's messages write it, such as "float"; its number if unknown."""
    if enum not in types_pb2.DataType.values():
        return str(enum)
    return str(types_pb2.DataType.Name(enum)).removeprefix("DT_").lower()


def _filled(values: Any, shape: tuple[int, ...], total: int, dtype: Any) -> npt.NDArray[Any]:
    if len(values) > total or (total and not values):
        raise TensorError(f"its shape {list(shape)} needs {total} values; it has {len(values)}")
    array = np.empty(total, dtype)
    if dtype.kind in "iu" and values:  # int_val holds 32 bits whatever the type
        bounds = np.iinfo(dtype)
        if min(values) < bounds.min or max(values) > bounds.max:
            raise TensorError(f"a value does not fit its element type {dtype}")
    array[: len(values)] = values
    if total:
        array[len(values) :] = values[-1]
    return array.reshape(shape)


def _check_size(needed: int, shape: tuple[int, ...], max_bytes: int) -> None:
    if needed > max_bytes:
        raise TensorError(
            f"its shape {list(shape)} needs {needed} bytes; at most {max_bytes} are allowed"
        )


def _as_bytes(value: object) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytes):
        return value
    raise TensorError(f"an element of type {type(value).__name__} is not supported")
