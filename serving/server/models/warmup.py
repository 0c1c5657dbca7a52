"""Warm-up requests, which a model answers before it serves (TensorFlow Serving's
"SavedModel Warmup"): PredictionLog records in `assets.extra/tf_serving_warmup_requests`."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

from components.common.model_contract import WARMUP_FILE
from serving.model.model_files import ModelFolderError
from serving.protocol import tensors

# TensorFlow Serving's own limit (WarmupConsts::kMaxNumRecords).
MAX_RECORDS = 1000
# Far above the megabytes that an export writes, and small enough for memory.
MAX_FILE_BYTES = 128 << 20


def read_warmup(version: pathlib.Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each request's signature name and inputs, in the file's order.

    Without the file there are no requests.

    Raises:
      ModelFolderError: the file is too large or broken, has too many records, or one that is
        not a Predict request. TensorFlow Serving does not load such a version either.
    """
    import tensorflow as tf  # seconds to import
    from google.protobuf.message import DecodeError
    from tensorflow_serving.apis import prediction_log_pb2

    path = version / WARMUP_FILE
    if not path.exists():
        return
    if path.stat().st_size > MAX_FILE_BYTES:
        raise _bad(path, f"larger than {MAX_FILE_BYTES} bytes")
    try:
        for number, record in enumerate(tf.data.TFRecordDataset(str(path)).as_numpy_iterator()):
            if number >= MAX_RECORDS:
                raise _bad(path, f"more than {MAX_RECORDS} records")
            log = prediction_log_pb2.PredictionLog.FromString(record)
            if log.WhichOneof("log_type") != "predict_log":
                raise _bad(path, f"record {number + 1} is not a Predict request")
            request = log.predict_log.request
            inputs = {name: tensors.to_array(proto) for name, proto in request.inputs.items()}
            yield request.model_spec.signature_name, inputs
    except (tf.errors.OpError, DecodeError, tensors.TensorError) as error:
        raise _bad(path, "damaged, or not TFRecords of PredictionLogs") from error


def _bad(path: pathlib.Path, why: str) -> ModelFolderError:
    return ModelFolderError(f"{path}: {why}; export the model again, or remove the file")
