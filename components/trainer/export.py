"""Export of a trained network as a SavedModel that takes audio, with checks and a digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from components.audio.front_ends.front_end import DYNAMIC_RANGE_DB
from components.audio.params import AudioParams
from components.common.probabilities import are_probabilities
from components.export.saved_model import write_saved_model
from components.export.serving_module import pictures


def export_saved_model(
    model: keras.Model,
    directory: str,
    *,
    params: AudioParams,
    genres: Sequence[str],
    model_card: Mapping[str, Any],
    seen: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Write `model` with its audio front end as a SavedModel, completely or not at all.

    Args:
      model: maps float32 dB spectrograms `[batch, n_mels, frames]` to probabilities
        `[batch, genres]`. It runs with training=False.
      directory: the SavedModel's folder, absent or empty. For a URL that tf.io.gfile writes,
        `saved_model.pb` is written last.
      params: the model's audio parameters.
      genres: the names in label order.
      model_card: JSON values. They are stored as an asset and in the `describe` signature,
        with the result of `model_digest` added.
      seen: see components.export.saved_model.write_saved_model.

    Raises:
      ValueError: the model's shapes do not fit `params` and `genres`, it does not
        return probabilities, or the card is not JSON.
      FileExistsError: `directory` holds files already.
    """
    _check_model(model, params, genres)
    write_saved_model(
        _network(model, params),
        [weight.value for weight in model.weights],
        directory,
        params=params,
        genres=genres,
        model_card={**model_card, "model_digest": model_digest(model, params, genres)},
        seen=seen,
    )


def model_digest(model: keras.Model, params: AudioParams, genres: Sequence[str]) -> str:
    """Return 64 hex digits that are equal only for the same network with the same weights.

    The digest covers the genres, the audio parameters, the weights' bytes and the network's
    operations. It covers no names, because TensorFlow and Keras number them within a process;
    two exports of the same weights therefore differ in their bytes.
    """
    digest = hashlib.sha256()
    digest.update(json.dumps([list(genres), params.digest()]).encode())
    for weight in model.weights:
        values = np.asarray(weight)
        digest.update(f"{values.dtype.str}{values.shape}".encode() + values.tobytes())
    graph = _network(model, params).get_concrete_function().graph.as_graph_def()
    functions = [function.node_def for function in graph.library.function]
    for body in sorted(_operations_digest(nodes) for nodes in [graph.node, *functions]):
        digest.update(body)
    return digest.hexdigest()


def _operations_digest(nodes: Iterable[Any]) -> bytes:
    digest = hashlib.sha256()
    for node in nodes:
        digest.update(f"{node.op}\n".encode())
        for name, value in sorted(node.attr.items()):
            # A counter names functions. Attributes that start with "_" are bookkeeping.
            if not name.startswith("_") and value.WhichOneof("value") != "func":
                content = value.SerializeToString(deterministic=True)
                digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.digest()


def _network(model: keras.Model, params: AudioParams) -> Any:
    """Return `model` as a tf.function: float32 `[batch, n_mels, frames]` to `[batch, genres]`."""

    def network(mel_db: tf.Tensor) -> tf.Tensor:
        return tf.cast(model(mel_db, training=False), tf.float32)

    return tf.function(network, input_signature=[pictures(params)])


def _check_model(model: keras.Model, params: AudioParams, genres: Sequence[str]) -> None:
    """Raise ValueError unless `model` maps pictures of `params` to genre probabilities."""
    if not genres or len(set(genres)) != len(genres):
        raise ValueError(f"genres must be distinct names, got {list(genres)}")
    picture = (params.n_mels, params.frames)
    # Constant level, a sound that ends half-way, and a level that falls from band to band.
    probes = np.zeros((3, *picture), np.float32)
    probes[1, :, params.frames // 2 :] = -DYNAMIC_RANGE_DB
    probes[2] = np.linspace(0.0, -DYNAMIC_RANGE_DB, params.n_mels)[:, np.newaxis]
    try:
        predicted = np.asarray(model(probes, training=False), dtype=np.float32)
    except (ValueError, tf.errors.InvalidArgumentError) as error:
        raise ValueError(f"{model.name} does not take pictures of {picture}: {error}") from error
    if predicted.shape != (3, len(genres)):
        raise ValueError(
            f"{model.name} returns {predicted.shape} for three pictures, not (3, {len(genres)}): "
            f"one probability for each of {list(genres)}"
        )
    if not are_probabilities(predicted).all():
        raise ValueError(f"{model.name} does not return probabilities: {predicted.tolist()}")
