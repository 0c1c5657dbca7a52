"""Predict responses as JSON, in the two formats of TensorFlow Serving's REST API.

Row format: {"predictions": [for each row a value, or an object of values by name]}.
Column format: {"outputs": a value, or an object of values by name}.
Strings are text; bytes that are not UTF-8, and outputs named *_bytes, are {"b64": "..."}.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.server.errors import invalid
from serving.server.protocols.json_requests import Format

# TensorFlow Serving's mark of outputs that are bytes, not text.
BYTES_SUFFIX = "_bytes"


def to_json(outputs: Mapping[str, npt.NDArray[Any]], format_: Format) -> bytes:
    """Return the response's body, UTF-8.

    Raises:
      ServingError: INVALID_ARGUMENT if the row format is requested for outputs without rows.
    """
    values = {name: _to_list(name, outputs[name]) for name in sorted(outputs)}
    document: Any
    if format_ == "column":
        document = {"outputs": values if len(values) > 1 else next(iter(values.values()))}
    else:
        sizes = {}
        for name in values:
            if outputs[name].ndim == 0:
                raise invalid(f"Tensor name: {name} has no shape information ")
            sizes[name] = outputs[name].shape[0]
        if len(set(sizes.values())) > 1:
            raise invalid(f"outputs have inconsistent batch sizes: {sizes}; send 'inputs' instead")
        if len(values) == 1:
            document = {"predictions": next(iter(values.values()))}
        else:
            rows = zip(*values.values(), strict=True)
            document = {"predictions": [dict(zip(values, row, strict=True)) for row in rows]}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _to_list(name: str, array: npt.NDArray[Any]) -> Any:
    """Return an array as nested lists for json."""
    if array.dtype == object:
        texts = np.empty(array.shape, object)
        as_bytes = name.endswith(BYTES_SUFFIX)
        for index in np.ndindex(array.shape):
            texts[index] = _text(array[index], as_bytes=as_bytes)
        return texts.tolist()
    if array.dtype == np.float32:
        # The shortest digits that give this float32; as a double, 0.2 has seventeen.
        return (
            np.array([float(str(value)) for value in array.ravel()]).reshape(array.shape).tolist()
        )
    return array.tolist()


def _text(value: Any, *, as_bytes: bool) -> Any:
    raw = value if isinstance(value, bytes) else str(value).encode()
    if not as_bytes:
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            pass
    return {"b64": base64.b64encode(raw).decode()}
