"""Requests that TensorFlow Serving answers before a new version takes traffic.

The first request of each signature is slow, because graphs are optimised and memory is
allocated. A server that finds `assets.extra/tf_serving_warmup_requests` in a version answers
the requests in it while it loads the version (TensorFlow Serving, "SavedModel Warmup").
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from components.audio.params import AudioParams
from components.audio.spectrogram.stored import to_stored
from components.common import model_contract as contract
from components.examples.writer import Clip, serialize

# One clip, and as many as a song of half a minute has at 2 seconds each.
BATCHES = (1, 15)
# A steady tone: silence would take another path through the graph.
TONE_HZ, TONE_AMPLITUDE = 440.0, 0.3


def warmup_inputs(params: AudioParams, batch: int) -> dict[str, Mapping[str, Any]]:
    """Return the inputs of each signature by name, for a request of `batch` clips."""
    times = np.arange(params.clip_samples) / params.sample_rate_hz
    tone = (TONE_AMPLITUDE * np.sin(2 * np.pi * TONE_HZ * times)).astype(np.float32)
    wav = tf.audio.encode_wav(tone[:, np.newaxis], params.sample_rate_hz).numpy()
    mel_db = np.full((params.n_mels, params.frames), -40.0, np.float32)
    mel_db[params.n_mels // 2] = 0.0
    example = serialize(Clip("", "", "", 0, 0, 0.0, to_stored(mel_db)), params)
    return {
        contract.SERVING_DEFAULT: {contract.WAVEFORM: np.tile(tone, (batch, 1))},
        contract.SERVING_WAV: {contract.AUDIO: np.array([wav] * batch, object)},
        contract.SERVING_EXAMPLES: {contract.EXAMPLES: np.array([example] * batch, object)},
        contract.DESCRIBE: {contract.QUERY: np.array([b""] * batch, object)},
    }


def warmup_records(params: AudioParams) -> Sequence[bytes]:
    """Return serialized PredictionLogs: each signature with each of BATCHES, deterministic."""
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    records = []
    for batch in BATCHES:
        for signature, inputs in warmup_inputs(params, batch).items():
            request = predict_pb2.PredictRequest()
            request.model_spec.name = contract.MODEL_NAME
            request.model_spec.signature_name = signature
            for name, values in inputs.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(values))
            log = prediction_log_pb2.PredictionLog()
            log.predict_log.request.CopyFrom(request)
            records.append(log.SerializeToString(deterministic=True))
    return records


def write_warmup(saved_model: pathlib.Path, params: AudioParams) -> None:
    """Add the warm-up requests to a SavedModel on a local disk."""
    path = saved_model / contract.WARMUP_FILE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in warmup_records(params):
            writer.write(record)
