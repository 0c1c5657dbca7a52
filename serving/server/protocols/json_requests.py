"""Predict requests as JSON, in the two formats of TensorFlow Serving's REST API.

Row format: {"instances": [for each row a value, or an object of values by name]}.
Column format: {"inputs": a value, or an object of values by name}.
Bytes are {"b64": "..."}; NaN, Infinity and -Infinity are numbers.
"""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Callable, Mapping
from typing import Any, Literal

import grpc
import numpy as np
import numpy.typing as npt

from serving.protocol.protos import types_pb2
from serving.protocol.tensors import dtype_name
from serving.server.errors import ServingError, invalid

Format = Literal["row", "column"]

# Lists and objects in one request. A row is a list, so this is far above a request of
# Limits.rows, and far below what would exhaust memory: as Python objects, "[],[],[]..." is 50
# times as large.
MAX_CONTAINERS = 100_000
# NumPy's own limit.
MAX_DIMENSIONS = 32
MAX_QUOTE_CHARACTERS = 80

_INTEGERS: dict[int, Any] = {
    types_pb2.DT_INT64: np.int64,
    types_pb2.DT_INT32: np.int32,
    types_pb2.DT_INT16: np.int16,
    types_pb2.DT_INT8: np.int8,
    types_pb2.DT_UINT8: np.uint8,
}
_KINDS = {dict: "Object", list: "Array", str: "String", int: "Number", float: "Number"}


@dataclasses.dataclass(frozen=True)
class JsonRequest:
    """A parsed request body.

    Attributes:
      document: the JSON object.
      signature: name of the signature; "" if the request names none.
    """

    document: Mapping[str, Any]
    signature: str


def parse(body: bytes) -> JsonRequest:
    """Parse a request body.

    Raises:
      ServingError: INVALID_ARGUMENT if the body is not JSON, is not an object, or could exhaust
        memory.
    """
    if not body.strip():
        raise invalid("JSON Parse error: The document is empty")
    if body.count(b"[") + body.count(b"{") > MAX_CONTAINERS:
        raise invalid(
            f"JSON Parse error: more than {MAX_CONTAINERS} lists and objects, the maximum"
        )
    try:
        document = json.loads(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise invalid(f"JSON Parse error: not UTF-8 at offset: {error.start}") from error
    except json.JSONDecodeError as error:
        raise invalid(f"JSON Parse error: Invalid value. {error.msg} at offset: {error.pos}") from (
            error
        )
    except RecursionError as error:
        raise invalid("JSON Parse error: nested too deeply") from error
    except ValueError as error:  # an integer of thousands of digits
        raise invalid("JSON Parse error: Number too big") from error
    if not isinstance(document, dict):
        raise invalid(f"JSON Value: {_quote(document)} Is not object")
    signature = document.get("signature_name", "")
    if not isinstance(signature, str):
        raise invalid(
            f"JSON Value: {_quote(document)} not formatted correctly. "
            "'signature_name' key must be a string value."
        )
    return JsonRequest(document, signature)


def to_inputs(
    request: JsonRequest, dtypes: Mapping[str, int]
) -> tuple[Format, dict[str, npt.NDArray[Any]]]:
    """Return the format of a request, and its arrays by name.

    Args:
      request: the parsed request.
      dtypes: type of each input of the signature, as TensorFlow's enum values.

    Raises:
      ServingError: INVALID_ARGUMENT, in TensorFlow Serving's words.
    """
    if not dtypes:
        raise invalid(f"Failed to get input map for signature: {request.signature or 'DEFAULT'}")
    document = request.document
    if "instances" in document and "inputs" in document:
        raise invalid(
            f"JSON Value: {_quote(document)} Not formatted correctly expecting only one of "
            "'inputs' or 'instances' keys to exist "
        )
    if "instances" in document:
        return "row", _from_rows(document, dtypes)
    if "inputs" in document:
        return "column", _from_columns(document["inputs"], dtypes)
    raise invalid("Missing 'inputs' or 'instances' key")


def _from_rows(
    document: Mapping[str, Any], dtypes: Mapping[str, int]
) -> dict[str, npt.NDArray[Any]]:
    rows = document["instances"]
    if not isinstance(rows, list):
        raise invalid(f"JSON Value: {_quote(document)} Excepting 'instances' to be an list/array")
    if not rows:
        raise invalid(f"JSON Value: {_quote(document)} No values in 'instances' array")
    if not _is_named(rows[0]):
        if len(dtypes) > 1:
            raise invalid(
                "instances is a plain list, but expecting list of objects as multiple "
                "input tensors required as per tensorinfo_map"
            )
        for index, row in enumerate(rows):
            if _is_named(row):
                raise invalid(f"Expecting value/list but got object at item {index} of input list")
        name = next(iter(dtypes))
        return {name: _stacked(rows, dtypes[name], name)}
    columns: dict[str, list[Any]] = {name: [] for name in dtypes}
    for index, row in enumerate(rows):
        if not _is_named(row):
            raise invalid(f"Expecting object but got list at item {index} of input list")
        for name in row:
            if name not in dtypes:
                raise _in_row(index, name, f"JSON object: does not have named input: {_cut(name)}")
        if len(row) != len(dtypes):
            raise invalid(
                f"Failed to process element: {index} of 'instances' list. JSON object: "
                f"{_quote(row)} keys must be equal to: {','.join(sorted(dtypes))}"
            )
        for name, value in row.items():
            columns[name].append(value)
    return {name: _stacked(values, dtypes[name], name) for name, values in columns.items()}


def _from_columns(inputs: Any, dtypes: Mapping[str, int]) -> dict[str, npt.NDArray[Any]]:
    if not _is_named(inputs):
        if len(dtypes) > 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple "
                "input tensors required as per tensorinfo_map"
            )
        return {name: _to_array(inputs, dtype) for name, dtype in dtypes.items()}
    for name in dtypes:
        if name not in inputs:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
    return {name: _to_array(inputs[name], dtype) for name, dtype in dtypes.items()}


def _stacked(values: list[Any], dtype: int, name: str) -> npt.NDArray[Any]:
    """Return one array of all rows; an error names the row that does not fit."""
    shape = _shape_of(values[0])
    arrays = []
    for index, value in enumerate(values):
        try:
            array = _to_array(value, dtype)
        except ServingError as error:
            raise _in_row(index, name, error.message) from error
        if array.shape != shape:
            raise _in_row(
                index,
                name,
                f"Expecting shape {_shown(shape)} but got: {_shown(array.shape)}; all "
                "rows of a request must have the same shape",
            )
        arrays.append(array)
    return np.stack(arrays)


def _to_array(value: Any, dtype: int) -> npt.NDArray[Any]:
    shape = _shape_of(value)
    flat: list[Any] = []
    _flatten(value, shape, 0, flat)
    return _converted(flat, dtype).reshape(shape)


def _shape_of(value: Any) -> tuple[int, ...]:
    """Return the shape that follows from the first element of each list."""
    shape: list[int] = []
    while isinstance(value, list):
        if len(shape) == MAX_DIMENSIONS:
            raise invalid(f"lists are nested more than {MAX_DIMENSIONS} deep")
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    return tuple(shape)


def _flatten(value: Any, shape: tuple[int, ...], level: int, flat: list[Any]) -> None:
    if not isinstance(value, list):
        if level != len(shape):
            raise invalid(
                f"JSON Value: {_quote(value)} found at incorrect level: {level + 1} in the JSON "
                f"DOM. Expected at level: {len(shape)}"
            )
        flat.append(value)
        return
    if level >= len(shape):
        raise invalid(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    if len(value) != shape[level]:
        raise invalid(
            f"Encountered list at unexpected size: {len(value)} at level: {level} "
            f"expected size: {shape[level]}"
        )
    if level == len(shape) - 1 and list not in set(map(type, value)):
        flat.extend(value)  # a whole waveform in one step
        return
    for item in value:
        _flatten(item, shape, level + 1, flat)


def _converted(flat: list[Any], dtype: int) -> npt.NDArray[Any]:
    """Return a flat array of the type; an error names the first value that is not of it."""
    types = set(map(type, flat))
    if dtype == types_pb2.DT_STRING:
        strings = np.empty(len(flat), object)
        strings[:] = [_to_bytes(value) for value in flat]
        return strings
    if dtype in (types_pb2.DT_FLOAT, types_pb2.DT_DOUBLE):
        _require(flat, types <= {int, float}, dtype, lambda value: type(value) in (int, float))
        return _decimals(flat, dtype)
    if dtype in _INTEGERS:
        bounds = np.iinfo(_INTEGERS[dtype])
        fits = types <= {int} and (
            not flat or (bounds.min <= min(flat) and max(flat) <= bounds.max)
        )
        _require(
            flat,
            fits,
            dtype,
            lambda value: type(value) is int and bounds.min <= value <= bounds.max,
        )
        return np.array(flat, _INTEGERS[dtype])
    if dtype == types_pb2.DT_BOOL:
        _require(flat, types <= {bool}, dtype, lambda value: type(value) is bool)
        return np.array(flat, np.bool_)
    raise ServingError(
        grpc.StatusCode.UNIMPLEMENTED, f"Conversion of JSON values to type: {dtype_name(dtype)}"
    )


def _decimals(flat: list[Any], dtype: int) -> npt.NDArray[Any]:
    try:
        doubles = np.array(flat, np.float64)
    except OverflowError as error:  # an integer beyond a double
        raise invalid("Cannot convert JSON value to float without loss of precision.") from error
    if dtype == types_pb2.DT_DOUBLE:
        return doubles
    with np.errstate(over="ignore"):
        floats = doubles.astype(np.float32)
    # The shortest digits of the largest float32 are slightly above it, so compare after rounding.
    outside = np.isfinite(doubles) & ~np.isfinite(floats)
    if outside.any():
        raise invalid(
            f"Cannot convert JSON value: {_quote(flat[int(outside.argmax())])} to float without "
            "loss of precision."
        )
    return floats


def _require(flat: list[Any], ok: bool, dtype: int, fits: Callable[[Any], bool]) -> None:
    if ok:
        return
    wrong = next(value for value in flat if not fits(value))
    raise invalid(
        f"JSON Value: {_quote(wrong)} Type: {_kind(wrong)} is not of expected type: "
        f"{dtype_name(dtype)}"
    )


def _to_bytes(value: Any) -> bytes:
    if isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError as error:  # half of a surrogate pair
            raise invalid(f"JSON Value: {_quote(value)} is not Unicode text") from error
    if isinstance(value, dict):
        if not _is_base64(value):
            raise invalid(f"JSON Value: {_quote(value)} not formatted correctly for base64 data")
        try:
            return decode_base64(value["b64"])
        except ValueError as error:
            raise invalid("Unable to base64 decode") from error
    raise invalid(
        f"JSON Value: {_quote(value)} Type: {_kind(value)} is not of expected type: string"
    )


def decode_base64(text: str) -> bytes:
    """Return the bytes of a base64 text, as absl::Base64Unescape does for TensorFlow Serving.

    White space may be anywhere (Python's base64.encodebytes writes lines). The padding may be
    missing, and may be "." as well as "="; if it is there, it must be whole. The alphabet is the
    standard one: "-" and "_" are refused.
    (https://github.com/abseil/abseil-cpp/blob/master/absl/strings/escaping.cc; called in
    tensorflow_serving/util/json_tensor.cc, JsonDecodeBase64Object.)

    Raises:
      ValueError: the text is no base64.
    """
    coded = text.encode("ascii").translate(None, b" \t\n\v\f\r")
    data = coded.rstrip(b"=.")
    missing = -len(data) % 4
    if missing == 3 or len(coded) - len(data) not in (0, missing):
        raise ValueError("the padding does not fit")
    return base64.b64decode(data + b"=" * missing, validate=True)


def _is_base64(value: Any) -> bool:
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def _is_named(value: Any) -> bool:
    """Return whether a value is an object of named inputs, and not one that stands for bytes."""
    return isinstance(value, dict) and not _is_base64(value)


def _in_row(index: int, name: str, why: str) -> ServingError:
    return invalid(
        f"Failed to process element: {index} key: {_cut(name)} of 'instances' list. Error: {why}"
    )


def _kind(value: Any) -> str:
    if value is None:
        return "Null"
    if isinstance(value, bool):
        return str(value)
    return _KINDS.get(type(value), "Object")


def _quote(value: Any) -> str:
    """Return a value for a message, short whatever its size."""
    if isinstance(value, dict):
        return _cut("{" + ", ".join(json.dumps(_cut(key)) for key in list(value)[:8]) + "}")
    if isinstance(value, list):
        return f"[{len(value)} elements]"
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 1000:
        return f"an integer of {value.bit_length()} bits"
    return _cut(json.dumps(value[:MAX_QUOTE_CHARACTERS] if isinstance(value, str) else value))


def _cut(text: str) -> str:
    return text if len(text) <= MAX_QUOTE_CHARACTERS else text[:MAX_QUOTE_CHARACTERS] + "..."


def _shown(shape: tuple[int, ...]) -> str:
    return f"[{','.join(map(str, shape))}]"
