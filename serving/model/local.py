"""Predictions by a model loaded into this process."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import numpy.typing as npt

from components.audio.decoding.decoder import Decoder
from components.audio.params import AudioParams
from components.common.model_contract import DESCRIBE, PROBABILITIES, SERVING_DEFAULT, WAVEFORM
from serving.model import description, model_files
from serving.model.model_files import ModelFolderError
from serving.model.prediction import GenreModel


class LocalModel(GenreModel):
    """An exported model, loaded in this process. Takes seconds to make (TensorFlow)."""

    def __init__(self, path: str | pathlib.Path, decoder: Decoder | None = None) -> None:
        """Checks the model's files, then loads it.

        Args:
          path: one version's folder, or the folder of versions (the highest is taken).
          decoder: reads the audio files; None is one in this process.

        Raises:
          ModelFolderError: not a model, half copied, not as it says it is, or unsafe.
        """
        super().__init__(decoder)
        self.path = model_files.resolve_version(path)
        assets = model_files.read_assets(self.path)
        model_files.check_graph(self.path)
        self.genres = assets.genres
        self.params: AudioParams = assets.params
        self.sample_rate_hz = assets.params.sample_rate_hz
        self.clip_samples = assets.params.clip_samples
        self.model_card = assets.model_card
        self._model, self._signature = _load(self.path)
        self._check_description(assets)

    def predict_windows(self, windows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """float32 `[windows, clip_samples]` to probabilities float32 `[windows, genres]`."""
        import tensorflow as tf  # seconds to import

        answers = [np.zeros((0, len(self.genres)), np.float32)]
        for start in range(0, len(windows), self.windows_per_call):
            batch = tf.constant(windows[start : start + self.windows_per_call])
            answers.append(self._signature(**{WAVEFORM: batch})[PROBABILITIES].numpy())
        return np.concatenate(answers)

    def _check_description(self, assets: model_files.ModelAssets) -> None:
        """The graph's own description against the files beside it."""
        import tensorflow as tf  # seconds to import

        try:
            answer = self._model.signatures[DESCRIBE](
                **{name: tf.constant(values) for name, values in description.REQUEST.items()}
            )
            outputs = {name: np.asarray(value.numpy()) for name, value in answer.items()}
            said = description.parse(outputs, None)
        except (KeyError, AttributeError, TypeError, ValueError, tf.errors.OpError) as error:
            raise ModelFolderError(
                f"{self.path}: its describe signature is not that of a genreflow model "
                f"({error}); export the model again"
            ) from error
        graph = (said.genres, said.sample_rate_hz, said.clip_samples, said.audio_params)
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
    signature = model.signatures.get(SERVING_DEFAULT)
    arguments = signature.structured_input_signature[1] if signature else {}
    if WAVEFORM not in arguments or PROBABILITIES not in signature.structured_outputs:
        raise ModelFolderError(
            f"{version}: no signature serving_default from waveform to probabilities; "
            "this is not a genreflow model"
        )
    return model, signature
