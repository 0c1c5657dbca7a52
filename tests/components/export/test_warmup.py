"""The requests that a server answers before a version takes traffic."""

from __future__ import annotations

import collections
import itertools
import pathlib
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from components.audio.params import AudioParams
from components.export import warmup
from components.trainer.export import export_saved_model

PARAMS = AudioParams(
    sample_rate_hz=8000, fft_samples=256, hop_samples=128, n_mels=16, clip_seconds=0.25
)
SIGNATURES = ("serving_default", "serving_wav", "serving_examples", "describe")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    keras.utils.set_random_seed(1)
    mel_db = keras.Input((PARAMS.n_mels, PARAMS.frames))
    answer = keras.layers.Dense(3, activation="softmax")(keras.layers.Flatten()(mel_db))
    path = tmp_path_factory.mktemp("warm") / "1"
    export_saved_model(
        keras.Model(mel_db, answer), str(path), params=PARAMS, genres="abc", model_card={}
    )
    return path


def _requests(folder: pathlib.Path) -> list[Any]:
    """Return the requests in the file, read as TensorFlow Serving reads them."""
    path = folder / "assets.extra" / "tf_serving_warmup_requests"
    logs = [
        prediction_log_pb2.PredictionLog.FromString(record.numpy())
        for record in tf.data.TFRecordDataset(str(path))
    ]
    assert all(log.WhichOneof("log_type") == "predict_log" for log in logs)
    return [log.predict_log.request for log in logs]


def test_every_signature_is_asked_with_one_clip_and_with_a_songs(exported: pathlib.Path) -> None:
    asked = collections.Counter(r.model_spec.signature_name for r in _requests(exported))
    assert asked == dict.fromkeys(SIGNATURES, len(warmup.BATCHES))
    batches = {
        (request.model_spec.signature_name, tensor.tensor_shape.dim[0].size)
        for request in _requests(exported)
        for tensor in request.inputs.values()
    }
    assert batches == set(itertools.product(SIGNATURES, warmup.BATCHES))


def test_the_model_answers_each_of_them(exported: pathlib.Path) -> None:
    signatures = tf.saved_model.load(str(exported)).signatures
    assert set(signatures) == set(SIGNATURES)
    for request in _requests(exported):
        inputs = {name: tf.constant(tf.make_ndarray(t)) for name, t in request.inputs.items()}
        answer = signatures[request.model_spec.signature_name](**inputs)
        (rows,) = {len(tf.make_ndarray(tensor)) for tensor in request.inputs.values()}
        assert {len(values) for values in answer.values()} == {rows}
        if "probabilities" in answer:
            assert np.isfinite(answer["probabilities"].numpy()).all()


def test_the_same_parameters_give_the_same_bytes() -> None:
    assert warmup.warmup_records(PARAMS) == warmup.warmup_records(PARAMS)
    other = AudioParams(sample_rate_hz=4000, fft_samples=256, hop_samples=128, n_mels=16)
    assert warmup.warmup_records(other) != warmup.warmup_records(PARAMS)
