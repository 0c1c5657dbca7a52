"""Predict's answers as JSON, in the two forms of TensorFlow Serving's REST API.

Row format: {"predictions": [one value, or an object of them, for each row]}.
Column format: {"outputs": one value, or an object of them}.
Text is text; bytes that are no UTF-8, and outputs named *_bytes, are {"b64": "..."}.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.server.config.errors import invalid
from serving.server.protocols.json_tensors import Format

# As TensorFlow Serving names outputs that are bytes, not text.
BYTES_SUFFIX = "_bytes"


def to_json(outputs: Mapping[str, npt.NDArray[Any]], form: Format) -> bytes:
    """The answer's body, UTF-8.

    Raises:
      ServingError: INVALID_ARGUMENT, outputs that have no rows asked for as rows.
    """
    values = {name: _listed(name, outputs[name]) for name in sorted(outputs)}
    answer: Any
    if form == "column":
        answer = {"outputs": values if len(values) > 1 else next(iter(values.values()))}
    else:
        sizes = {}
        for name in values:
            if outputs[name].ndim == 0:
                raise invalid(f"Tensor name: {name} has no shape information ")
            sizes[name] = outputs[name].shape[0]
        if len(set(sizes.values())) > 1:
            raise invalid(f"outputs have inconsistent batch sizes: {sizes}; ask for 'inputs'")
        if len(values) == 1:
            answer = {"predictions": next(iter(values.values()))}
        else:
            rows = zip(*values.values(), strict=True)
            answer = {"predictions": [dict(zip(values, row, strict=True)) for row in rows]}
    return json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode()


def _listed(name: str, array: npt.NDArray[Any]) -> Any:
    """Nested lists that json can write."""
    if array.dtype == object:
        texts = np.empty(array.shape, object)
        as_bytes = name.endswith(BYTES_SUFFIX)
        for index in np.ndindex(array.shape):
            texts[index] = _text(array[index], as_bytes=as_bytes)
        return texts.tolist()
    if array.dtype == np.float32:
        # The shortest digits that are this float32; as a double, 0.2 has seventeen.
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
