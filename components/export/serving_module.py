"""The four signatures that a served model has around its network. Imports no Keras.

serving_default    waveform float32 [batch, samples]
serving_wav        audio string [batch], 16-bit PCM WAV files
serving_examples   examples string [batch], serialized tf.Examples
describe           query string [batch]; genres, rates, hash, model card, evaluation

The first three return `probabilities` float32 [batch, genres] and `genres` string of the same
shape, so that a client needs no file.

The first two leave clips that are near silent, or whose channels cancel, out of a row's average
(components.audio.levels), and return `audible_windows` int64 [batch], the number of the others. If
it is 0, the row's probabilities are all 0. An error would refuse other callers' rows too, since a
server batches them together. `serving_examples` cannot leave out clips, because a spectrogram is
relative to its own peak.

The content of `query` is ignored. The input exists because TensorFlow Serving refuses signatures
without inputs over REST, and always while it batches. Batching also needs a row of each output for
each row of the request.

components/common/model_contract.py has the same contract as plain data.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from components.audio import levels
from components.audio.front_ends.front_end import DYNAMIC_RANGE_DB
from components.audio.params import AudioParams
from components.audio.spectrogram import mel_graph
from components.common import model_contract as contract
from components.examples import parser, schema
from components.export import wav_graph

# Clips that go through the network at once, so that an hour-long waveform needs no
# more memory than half a minute does.
CLIPS_AT_ONCE = 16


def pictures(params: AudioParams) -> tf.TensorSpec:
    """Return the type of a network's input: spectrograms in dB, `[batch, n_mels, frames]`."""
    return tf.TensorSpec([None, params.n_mels, params.frames], tf.float32, name="mel_db")


class ServingModule(tf.Module):  # type: ignore[misc]
    """The four signatures around one network.

    Attributes:
      network: function from float32 `[batch, n_mels, frames]` in dB to probabilities
        `[batch, genres]`. All signatures call this one traced function, so the graph holds it
        once. A loaded SavedModel has it too, so that an average can call its members'.
    """

    def __init__(
        self,
        network: Any,
        variables: Sequence[Any],
        params: AudioParams,
        genres: Sequence[str],
        card_json: str,
    ) -> None:
        """Initialize the module.

        Args:
          network: a tf.function with the input signature of `pictures(params)`.
          variables: the variables that it uses.
          params: parameters of the spectrograms.
          genres: in label order.
          card_json: the model card, which `describe` returns.
        """
        super().__init__(name="genreflow")
        # The variables alone are tracked, no Keras objects: the SavedModel then holds no
        # Python class names and nothing of the optimizer.
        self.model_variables = list(variables)
        self._params = params
        self._genres = list(genres)
        self._card_json = card_json
        self.network = network

    def signatures(self) -> dict[str, Any]:
        """Return each signature's tf.function by name, as tf.saved_model.save takes them."""
        methods = {
            contract.SERVING_DEFAULT: self.waveform,
            contract.SERVING_WAV: self.wav,
            contract.SERVING_EXAMPLES: self.examples,
            contract.DESCRIBE: self.describe,
        }
        return {
            name: tf.function(method, input_signature=_input_specs(name))
            for name, method in methods.items()
        }

    def waveform(self, waveform: tf.Tensor) -> dict[str, tf.Tensor]:
        """Predict mono waveforms at the model's rate, at least one clip long.

        Args:
          waveform: float32 `[batch, samples]`; full scale is 1.
        """
        rate = self._params.sample_rate_hz
        max_sample = self._params.max_sample
        sound = tf.reduce_all(tf.abs(waveform) <= max_sample)  # false for NaN too
        checks = [
            tf.debugging.Assert(
                sound, ["waveform: samples are not finite, or far beyond full scale (1.0)"]
            ),
            self._assert_one_clip(tf.shape(waveform)[1], f"waveform at {rate} Hz"),
        ]
        with tf.control_dependencies(checks):
            waveform = tf.identity(waveform)
        return self._sound_answer(*self._track_probabilities(waveform[..., tf.newaxis]))

    def wav(self, audio: tf.Tensor) -> dict[str, tf.Tensor]:
        """Predict 16-bit PCM WAV files, which may differ in length and channels.

        Args:
          audio: string `[batch]`.
        """
        rate = self._params.sample_rate_hz

        def one(wav_bytes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            channels = wav_graph.decode(wav_bytes, rate)
            check = self._assert_one_clip(tf.shape(channels)[0], f"audio at {rate} Hz")
            with tf.control_dependencies([check]):
                channels = tf.identity(channels)
            probabilities, audible = self._track_probabilities(channels[tf.newaxis])
            return probabilities[0], audible[0]

        specs = (tf.TensorSpec([len(self._genres)], tf.float32), tf.TensorSpec([], tf.int64))
        return self._sound_answer(*tf.map_fn(one, audio, fn_output_signature=specs))

    def examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Predict serialized tf.Examples, of which only `mel_db` is read.

        Args:
          examples: string `[batch]`.
        """
        parsed = tf.io.parse_example(
            examples, {schema.MEL_DB: tf.io.FixedLenFeature([], tf.string)}
        )
        mel_db = parser.decode_mel(parsed[schema.MEL_DB], self._params)
        in_range = tf.reduce_all((mel_db >= -DYNAMIC_RANGE_DB) & (mel_db <= 0.0))
        check = tf.debugging.Assert(in_range, ["examples: mel_db holds values outside [-80, 0] dB"])
        with tf.control_dependencies([check]):
            mel_db = tf.identity(mel_db)
        return self._answer(_in_chunks(self.network, mel_db, len(self._genres)))

    def describe(self, query: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return the description of the model, repeated for each row of the request.

        The evaluation is "" until a push fills it (components/export/told_evaluation.py).

        Args:
          query: string `[batch]`; its content is ignored.
        """
        rows = tf.shape(query)
        return {
            contract.GENRES: self._genre_rows(rows[0]),
            "sample_rate_hz": tf.fill(rows, tf.constant(self._params.sample_rate_hz, tf.int64)),
            "clip_samples": tf.fill(rows, tf.constant(self._params.clip_samples, tf.int64)),
            "audio_params": tf.fill(rows, self._params.digest()),
            "model_card": tf.fill(rows, self._card_json),
            contract.EVALUATION: tf.fill(rows, tf.constant("", name=contract.EVALUATION_NODE)),
        }

    def _assert_one_clip(self, samples: tf.Tensor, what: str) -> tf.Operation:
        clip_samples = self._params.clip_samples
        return tf.debugging.Assert(
            samples >= clip_samples,
            [f"{what}: shorter than one clip, which needs {clip_samples} samples; got", samples],
        )

    def _track_probabilities(self, channels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the mean over each row's audible clips, 0 without any, and their number.

        Args:
          channels: float32 `[batch, samples, channels]`.

        Returns:
          float32 `[batch, genres]` and int64 `[batch]`.
        """
        clip_samples, genres = self._params.clip_samples, len(self._genres)
        rows, clips = tf.shape(channels)[0], tf.shape(channels)[1] // clip_samples
        flat = tf.reshape(
            channels[:, : clips * clip_samples], [rows * clips, clip_samples, tf.shape(channels)[2]]
        )
        found = _in_chunks(self._clip_probabilities, flat, genres + 1)
        sums = tf.reduce_sum(tf.reshape(found, [rows, clips, genres + 1]), axis=1)
        counts = sums[:, genres:]
        return sums[:, :genres] / tf.maximum(counts, 1.0), tf.cast(counts[:, 0], tf.int64)

    def _clip_probabilities(self, channels: tf.Tensor) -> tf.Tensor:
        """Return the probabilities of clips followed by 1; only zeros for clips left out.

        Args:
          channels: float32 `[clips, samples, channels]`.

        Returns:
          float32 `[clips, genres + 1]`.
        """
        mono = tf.reduce_mean(channels, axis=2)
        mel_db = mel_graph.log_mel(mono, self._params)
        probabilities = self.network(mel_graph.stored_rounding(mel_db))
        audible = _are_audible(channels, mono)[:, tf.newaxis]
        counted = tf.concat([probabilities, tf.ones_like(probabilities[:, :1])], axis=1)
        return tf.where(audible, counted, 0.0)

    def _sound_answer(self, probabilities: tf.Tensor, audible: tf.Tensor) -> dict[str, tf.Tensor]:
        return {**self._answer(probabilities), contract.AUDIBLE_WINDOWS: audible}

    def _answer(self, probabilities: tf.Tensor) -> dict[str, tf.Tensor]:
        names = self._genre_rows(tf.shape(probabilities)[0])
        return {contract.PROBABILITIES: probabilities, contract.GENRES: names}

    def _genre_rows(self, rows: tf.Tensor) -> tf.Tensor:
        """Return the genres for each row, string `[rows, genres]`."""
        return tf.tile(tf.constant([self._genres]), [rows, 1])


def _input_specs(signature: str) -> list[tf.TensorSpec]:
    inputs = contract.SIGNATURES[signature].inputs
    return [
        tf.TensorSpec([None] * tensor.rank, tensor.dtype, name=name)
        for name, tensor in inputs.items()
    ]


def _are_audible(channels: tf.Tensor, mono: tf.Tensor) -> tf.Tensor:
    """Return by the rule of components.audio.levels which clips count; bool `[clips]`.

    Args:
      channels: float32 `[clips, samples, channels]`.
      mono: their mean, float32 `[clips, samples]`.
    """
    mix_power = tf.reduce_mean(tf.square(tf.cast(mono, tf.float64)), axis=1)
    channel_power = tf.reduce_mean(tf.square(tf.cast(channels, tf.float64)), axis=[1, 2])
    count = tf.cast(tf.shape(channels)[2], tf.float64)
    silent = levels.is_silent(mix_power)
    return ~(silent | levels.mix_cancels(mix_power, channel_power, count))


def _in_chunks(function: Any, rows: tf.Tensor, outputs: int) -> tf.Tensor:
    """Apply a function to slices of CLIPS_AT_ONCE rows or fewer; float32 `[rows, outputs]`."""
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
