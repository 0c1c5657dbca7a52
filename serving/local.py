"""Predictions by a model loaded into this process."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import numpy as np
import numpy.typing as npt

from components.audio.decode import DecodeError
from components.audio.decoder import Decoder, InProcessDecoder
from components.audio.params import AudioParams
from components.audio.windows import whole_clips
from serving import model_files
from serving.model_files import ModelFolderError

# Windows sent to the model in one call, so that a long file needs no more memory.
WINDOWS_PER_CALL = 16


@dataclasses.dataclass(frozen=True, eq=False)
class Prediction:
    """What a model says about one file.

    `seconds`: length of the whole recording. `windows`: how many clips were cut from it,
    one after the other; a shorter tail is not looked at. `probabilities`: genre to mean
    over the windows, most probable first, equal ones in label order.
    `window_probabilities`: float32 `[windows, genres]`, in time and label order.
    """

    path: str
    seconds: float
    windows: int
    probabilities: dict[str, float]
    window_probabilities: npt.NDArray[np.float32]


class LocalModel:
    """An exported model, loaded in this process. Takes seconds to make (TensorFlow)."""

    def __init__(self, path: str | pathlib.Path, decoder: Decoder | None = None) -> None:
        """Checks the model's files, then loads it.

        Args:
          path: one version's folder, or the folder of versions (the highest is taken).
          decoder: reads the audio files; None is one in this process.

        Raises:
          ModelFolderError: not a model, half copied, not as it says it is, or unsafe.
        """
        self._decoder = decoder or InProcessDecoder()
        self.path = model_files.resolve_version(path)
        assets = model_files.read_assets(self.path)
        model_files.check_graph(self.path)
        self.genres: tuple[str, ...] = assets.genres
        self.params: AudioParams = assets.params
        self.model_card = assets.model_card
        self._model, self._signature = _load(self.path)
        self._check_description(assets)

    def predict_windows(self, windows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """float32 `[windows, clip_samples]` to probabilities float32 `[windows, genres]`."""
        import tensorflow as tf  # seconds to import

        answers = [np.zeros((0, len(self.genres)), np.float32)]
        for start in range(0, len(windows), WINDOWS_PER_CALL):
            batch = tf.constant(windows[start : start + WINDOWS_PER_CALL])
            answers.append(self._signature(waveform=batch)["probabilities"].numpy())
        return np.concatenate(answers)

    def predict_file(self, path: str | pathlib.Path) -> Prediction:
        """Decodes a file (mp3, wav, au, flac, ogg), cuts it into clips and asks the model.

        Raises:
          DecodeError: the file is not audio that can be used, or is shorter than one clip
            ("too_short").
        """
        recording = self._decoder.decode(path, self.params.sample_rate_hz)
        try:
            windows = whole_clips(recording.samples, self.params)
        except ValueError as error:
            raise DecodeError("too_short", str(error)) from error
        matrix = self.predict_windows(windows)
        mean = matrix.mean(axis=0, dtype=np.float64)
        order = np.argsort(-mean, kind="stable")
        return Prediction(
            path=str(path),
            seconds=recording.seconds,
            windows=len(windows),
            probabilities={self.genres[index]: float(mean[index]) for index in order},
            window_probabilities=matrix,
        )

    def _check_description(self, assets: model_files.ModelAssets) -> None:
        """The graph's own description against the files beside it."""
        try:
            said = {
                name: value.numpy() for name, value in self._model.signatures["describe"]().items()
            }
            graph = (
                tuple(name.decode() for name in said["genres"]),
                int(said["sample_rate_hz"]),
                int(said["clip_samples"]),
                said["audio_params"].decode(),
            )
        except (KeyError, AttributeError, TypeError, ValueError) as error:
            raise ModelFolderError(
                f"{self.path}: its describe signature is not that of a genreflow model"
            ) from error
        files = (
            assets.genres,
            assets.params.sample_rate_hz,
            assets.params.clip_samples,
            assets.params_digest,
        )
        if graph != files:
            raise ModelFolderError(
                f"{self.path}: its assets belong to another model: they say {files}, "
                f"the model itself {graph}; copy or export it again"
            )


def _load(version: pathlib.Path) -> tuple[Any, Any]:
    """(the loaded object, which must be kept alive, its serving_default signature)."""
    import tensorflow as tf  # seconds to import

    # What TensorFlow raises for a damaged file depends on where in it the damage is.
    damage = (OSError, LookupError, ValueError, TypeError, AttributeError, RuntimeError)
    try:
        model = tf.saved_model.load(str(version))
    except (tf.errors.OpError, AssertionError, *damage) as error:
        raise ModelFolderError(
            f"{version}: cannot be loaded ({error}); copy the model again"
        ) from error
    signature = model.signatures.get("serving_default")
    arguments = signature.structured_input_signature[1] if signature else {}
    if "waveform" not in arguments or "probabilities" not in signature.structured_outputs:
        raise ModelFolderError(
            f"{version}: no signature serving_default from waveform to probabilities; "
            "this is not a genreflow model"
        )
    return model, signature
