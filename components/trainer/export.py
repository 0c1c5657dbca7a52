"""A trained network as a SavedModel that takes audio: four signatures and three assets.

serving_default    waveform float32 [batch, samples]
serving_wav        audio string [batch], 16-bit PCM WAV files
serving_examples   examples string [batch], serialized tf.Examples
describe           nothing in; genres, rates, hash, model card

The first three return `probabilities` float32 [batch, genres] and `genres` string of
the same shape, so that a client needs no file beside the answer.
"""

from __future__ import annotations

import hashlib
import json
import pathlib
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from components.audio import mel_graph
from components.audio.params import DYNAMIC_RANGE_DB, LARGEST_SAMPLE, AudioParams
from components.examples import parser, schema
from components.storage import objects
from components.storage.uri import is_remote

GENRES_ASSET = "genres.json"
AUDIO_PARAMS_ASSET = "audio_params.json"
MODEL_CARD_ASSET = "model_card.json"

# Clips that go through the network at once, so that an hour-long waveform needs no
# more memory than half a minute does.
CLIPS_AT_ONCE = 16
PROBABILITY_SUM_TOLERANCE = 1e-3


def export_saved_model(
    model: keras.Model,
    directory: str,
    *,
    params: AudioParams,
    genres: Sequence[str],
    model_card: Mapping[str, Any],
) -> None:
    """Writes `model` with its audio front end as a SavedModel; complete, or not at all.

    Args:
      model: takes float32 dB spectrograms `[batch, n_mels, frames]`, returns
        probabilities `[batch, genres]`. Run with training=False.
      directory: the SavedModel's folder: absent or empty. May be a URL that tf.io.gfile
        writes; there `saved_model.pb` is written last.
      genres: the names in label order.
      model_card: JSON values. Stored as an asset and in the `describe` signature, with
        `model_digest` added: what `model_digest` returns.

    Raises:
      ValueError: the model's shapes do not fit `params` and `genres`, it does not
        return probabilities, or the card is not JSON.
      FileExistsError: `directory` holds files already.
    """
    _check_model(model, params, genres)
    card = _card_json({**model_card, "model_digest": model_digest(model, params, genres)})
    if tf.io.gfile.exists(directory) and tf.io.gfile.listdir(directory):
        raise FileExistsError(f"{directory}: holds files already; a model is exported once")
    module = ServingModule(model, params, genres, card)
    assets = {
        GENRES_ASSET: json.dumps(list(genres), ensure_ascii=False, indent=1),
        AUDIO_PARAMS_ASSET: json.dumps(
            {"digest": params.digest(), "params": params.to_json()}, sort_keys=True, indent=1
        ),
        MODEL_CARD_ASSET: card,
    }
    if "://" in directory:
        with tempfile.TemporaryDirectory(prefix="genreflow-export-") as scratch:
            local = pathlib.Path(scratch, "model")
            _write(module, local, assets)
            _publish(local, directory)
        return
    target = pathlib.Path(directory).absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=target.parent) as scratch:
        local = pathlib.Path(scratch, "model")
        _write(module, local, assets)
        local.rename(target)


def model_digest(model: keras.Model, params: AudioParams, genres: Sequence[str]) -> str:
    """64 hex digits: the same exactly for the same network with the same weights.

    Over the genres, the audio parameters, the weights' bytes and the network's
    operations, but no names: in one process TensorFlow and Keras number theirs on, so
    two exports of the same weights are not byte for byte the same file.
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
            # Functions are named by a counter; what starts with "_" is bookkeeping.
            if not name.startswith("_") and value.WhichOneof("value") != "func":
                content = value.SerializeToString(deterministic=True)
                digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.digest()


class ServingModule(tf.Module):  # type: ignore[misc]
    """The four signatures around one network; what `export_saved_model` saves."""

    def __init__(
        self, model: keras.Model, params: AudioParams, genres: Sequence[str], card_json: str
    ) -> None:
        super().__init__(name="genreflow")
        # The variables alone are tracked, not the Keras objects: the SavedModel then
        # holds no Python class names and nothing of the optimizer.
        self.model_variables = [weight.value for weight in model.weights]
        self._params = params
        self._genres = list(genres)
        self._card_json = card_json
        # One traced function that all signatures call, so the graph holds the network once.
        self._network = _network(model, params)

    def signatures(self) -> dict[str, Any]:
        """Name to tf.function with its input signature, as tf.saved_model.save takes it."""
        waveform = tf.TensorSpec([None, None], tf.float32, name="waveform")
        audio = tf.TensorSpec([None], tf.string, name="audio")
        examples = tf.TensorSpec([None], tf.string, name="examples")
        return {
            "serving_default": tf.function(self.waveform, input_signature=[waveform]),
            "serving_wav": tf.function(self.wav, input_signature=[audio]),
            "serving_examples": tf.function(self.examples, input_signature=[examples]),
            "describe": tf.function(self.describe, input_signature=[]),
        }

    def waveform(self, waveform: tf.Tensor) -> dict[str, tf.Tensor]:
        """Mono float32 `[batch, samples]` at the model's rate, at least one clip long."""
        rate = self._params.sample_rate_hz
        sound = tf.reduce_all(tf.abs(waveform) <= LARGEST_SAMPLE)  # false for NaN too
        checks = [
            tf.debugging.Assert(
                sound, ["waveform: samples are not finite, or far beyond full scale (1.0)"]
            ),
            self._assert_one_clip(tf.shape(waveform)[1], f"waveform at {rate} Hz"),
        ]
        with tf.control_dependencies(checks):
            waveform = tf.identity(waveform)
        return self._answer(self._track_probabilities(waveform))

    def wav(self, audio: tf.Tensor) -> dict[str, tf.Tensor]:
        """16-bit PCM WAV files, string `[batch]`, each of its own length and channels."""
        rate = self._params.sample_rate_hz

        def one(wav_bytes: tf.Tensor) -> tf.Tensor:
            # All channels, then their mean: desired_channels=1 would keep only the left.
            channels, wav_rate = tf.audio.decode_wav(wav_bytes)
            checks = [
                tf.debugging.Assert(
                    tf.equal(wav_rate, rate),
                    [f"audio: the model takes WAV files at {rate} Hz; this one has", wav_rate],
                ),
                self._assert_one_clip(tf.shape(channels)[0], f"audio at {rate} Hz"),
            ]
            with tf.control_dependencies(checks):
                mono = tf.reduce_mean(channels, axis=1)
            return self._track_probabilities(mono[tf.newaxis])[0]

        spec = tf.TensorSpec([len(self._genres)], tf.float32)
        return self._answer(tf.map_fn(one, audio, fn_output_signature=spec))

    def examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Serialized tf.Examples, string `[batch]`; only `mel_db` is read."""
        parsed = tf.io.parse_example(
            examples, {schema.MEL_DB: tf.io.FixedLenFeature([], tf.string)}
        )
        mel_db = parser.decode_mel(parsed[schema.MEL_DB], self._params)
        in_range = tf.reduce_all((mel_db >= -DYNAMIC_RANGE_DB) & (mel_db <= 0.0))
        check = tf.debugging.Assert(in_range, ["examples: mel_db holds values outside [-80, 0] dB"])
        with tf.control_dependencies([check]):
            mel_db = tf.identity(mel_db)
        return self._answer(_in_chunks(self._network, mel_db, len(self._genres)))

    def describe(self) -> dict[str, tf.Tensor]:
        """What the model is: constants."""
        return {
            "genres": tf.constant(self._genres),
            "sample_rate_hz": tf.constant(self._params.sample_rate_hz, tf.int64),
            "clip_samples": tf.constant(self._params.clip_samples, tf.int64),
            "audio_params": tf.constant(self._params.digest()),
            "model_card": tf.constant(self._card_json),
        }

    def _assert_one_clip(self, samples: tf.Tensor, what: str) -> tf.Operation:
        clip_samples = self._params.clip_samples
        return tf.debugging.Assert(
            samples >= clip_samples,
            [f"{what}: shorter than one clip, which needs {clip_samples} samples; got", samples],
        )

    def _track_probabilities(self, waveform: tf.Tensor) -> tf.Tensor:
        """`[batch, samples]` to `[batch, genres]`: the mean over each row's whole clips."""
        clip_samples, genres = self._params.clip_samples, len(self._genres)
        rows, clips = tf.shape(waveform)[0], tf.shape(waveform)[1] // clip_samples
        flat = tf.reshape(waveform[:, : clips * clip_samples], [rows * clips, clip_samples])
        probabilities = _in_chunks(self._clip_probabilities, flat, genres)
        return tf.reduce_mean(tf.reshape(probabilities, [rows, clips, genres]), axis=1)

    def _clip_probabilities(self, clips: tf.Tensor) -> tf.Tensor:
        mel_db = mel_graph.log_mel(clips, self._params)
        return self._network(mel_graph.stored_rounding(mel_db))

    def _answer(self, probabilities: tf.Tensor) -> dict[str, tf.Tensor]:
        names = tf.tile(tf.constant([self._genres]), [tf.shape(probabilities)[0], 1])
        return {"probabilities": probabilities, "genres": names}


def _network(model: keras.Model, params: AudioParams) -> Any:
    """`model` as a tf.function: float32 `[batch, n_mels, frames]` to `[batch, genres]`."""

    def network(mel_db: tf.Tensor) -> tf.Tensor:
        return tf.cast(model(mel_db, training=False), tf.float32)

    pictures = tf.TensorSpec([None, params.n_mels, params.frames], tf.float32, name="mel_db")
    return tf.function(network, input_signature=[pictures])


def _in_chunks(function: Any, rows: tf.Tensor, outputs: int) -> tf.Tensor:
    """`function` over slices of at most CLIPS_AT_ONCE rows; float32 `[rows, outputs]`."""
    total = tf.shape(rows)[0]

    def body(start: tf.Tensor, done: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        chunk = function(rows[start : start + CLIPS_AT_ONCE])
        return start + CLIPS_AT_ONCE, tf.concat([done, chunk], axis=0)

    _, probabilities = tf.while_loop(
        lambda start, _: start < total,
        body,
        [tf.constant(0), tf.zeros([0, outputs], tf.float32)],
        shape_invariants=[tf.TensorShape([]), tf.TensorShape([None, outputs])],
        parallel_iterations=1,
    )
    return probabilities


def _check_model(model: keras.Model, params: AudioParams, genres: Sequence[str]) -> None:
    """Raises ValueError unless `model` maps pictures of `params` to genre probabilities."""
    if not genres or len(set(genres)) != len(genres):
        raise ValueError(f"genres must be distinct names, got {list(genres)}")
    picture = (params.n_mels, params.frames)
    # Silence, a sound that ends half-way, and a fall from band to band.
    probes = np.zeros((3, *picture), np.float32)
    probes[1, :, params.frames // 2 :] = -DYNAMIC_RANGE_DB
    probes[2] = np.linspace(0.0, -DYNAMIC_RANGE_DB, params.n_mels)[:, np.newaxis]
    try:
        answers = np.asarray(model(probes, training=False), dtype=np.float32)
    except (ValueError, tf.errors.InvalidArgumentError) as error:
        raise ValueError(f"{model.name} does not take pictures of {picture}: {error}") from error
    if answers.shape != (3, len(genres)):
        raise ValueError(
            f"{model.name} returns {answers.shape} for three pictures, not (3, {len(genres)}): "
            f"one probability for each of {list(genres)}"
        )
    # Stated positively, so that NaN fails.
    sums_to_one = np.abs(answers.sum(axis=1) - 1) <= PROBABILITY_SUM_TOLERANCE
    if not ((answers >= 0).all() and sums_to_one.all()):
        raise ValueError(f"{model.name} does not return probabilities: {answers.tolist()}")


def _card_json(model_card: Mapping[str, Any]) -> str:
    try:
        return json.dumps(dict(model_card), sort_keys=True, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"model card is not JSON: {error}") from error


def _write(module: ServingModule, local: pathlib.Path, assets: Mapping[str, str]) -> None:
    tf.saved_model.save(module, str(local), signatures=module.signatures())
    (local / "assets").mkdir(exist_ok=True)
    for name, text in assets.items():
        (local / "assets" / name).write_text(text, encoding="utf-8")
    # It holds a random id; without it the same weights give the same files.
    (local / "fingerprint.pb").unlink(missing_ok=True)


def _publish(local: pathlib.Path, directory: str) -> None:
    """Copies to a store without atomic renames; a half-copied model has no saved_model.pb."""
    if is_remote(directory):
        objects.upload_folder(local, directory, last="saved_model.pb")
        return
    files = sorted(path for path in local.rglob("*") if path.is_file())
    files.sort(key=lambda path: path.name == "saved_model.pb")
    for path in files:
        url = f"{directory.rstrip('/')}/{path.relative_to(local).as_posix()}"
        tf.io.gfile.makedirs(url.rsplit("/", 1)[0])
        with path.open("rb") as source, tf.io.gfile.GFile(url, "wb") as sink:
            shutil.copyfileobj(source, sink, 1 << 20)
