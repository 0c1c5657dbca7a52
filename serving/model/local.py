"""Model that is loaded into this process."""

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
    """Exported model, loaded into this process. Loading takes seconds (TensorFlow).

        model = LocalModel("genreflow-work/serving_models/genreflow")
        print(model.predict_file("song.mp3").probabilities)

    Attributes:
      path: folder of the version that was loaded.
      params: the model's audio parameters.
    """

    def __init__(self, path: str | pathlib.Path, decoder: Decoder | None = None) -> None:
        """Check the model's files, then load it.

        Args:
          path: folder of one version, or of versions; of these the highest is loaded.
          decoder: reads the audio files; None for one in this process.

        Raises:
          ModelFolderError: the folder holds no model, or one that is incomplete, unsafe, or
            does not match its own description.
        """
        super().__init__(decoder)
        self.path = model_files.resolve_version(path)
        assets = model_files.read_assets(self.path)
        model_files.check_graph(self.path)
        self.genres = assets.genres
        self.params: AudioParams = assets.params
        self.sample_rate_hz = assets.params.sample_rate_hz
        self.max_sample = assets.params.max_sample
        self.clip_samples = assets.params.clip_samples
        self.model_card = assets.model_card
        self._model, self._signature = _load(self.path)
        self._check_description(assets)

    def predict_windows(self, windows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Predict the genres of windows; see GenreModel."""
        import tensorflow as tf  # seconds to import

        parts = [np.zeros((0, len(self.genres)), np.float32)]
        for start in range(0, len(windows), self.windows_per_call):
            batch = tf.constant(windows[start : start + self.windows_per_call])
            parts.append(self._signature(**{WAVEFORM: batch})[PROBABILITIES].numpy())
        return np.concatenate(parts)

    def _check_description(self, assets: model_files.ModelAssets) -> None:
        """Check that the graph's own description matches the asset files."""
        import tensorflow as tf  # seconds to import

        try:
            result = self._model.signatures[DESCRIBE](
                **{name: tf.constant(values) for name, values in description.REQUEST.items()}
            )
            outputs = {name: np.asarray(value.numpy()) for name, value in result.items()}
            described = description.parse_description(outputs, None)
        except (KeyError, AttributeError, TypeError, ValueError, tf.errors.OpError) as error:
            raise ModelFolderError(
                f"{self.path}: not a genreflow model: its signature describe is missing or invalid "
                f"({error}); export the model again"
            ) from error
        graph = (
            described.genres,
            described.sample_rate_hz,
            described.clip_samples,
            described.audio_params,
        )
        files = (
            assets.genres,
            assets.params.sample_rate_hz,
            assets.params.clip_samples,
            assets.params_digest,
        )
        if graph != files:
            raise ModelFolderError(
                f"{self.path}: the assets belong to another model: they describe {files}, but the "
                f"graph describes {graph}; copy or export the model again"
            )


def _load(version: pathlib.Path) -> tuple[Any, Any]:
    """Return the loaded object, which must be kept alive, and its signature serving_default."""
    import tensorflow as tf  # seconds to import

    # The exception depends on where in the file the damage is.
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
            f"{version}: not a genreflow model: it has no signature serving_default from waveform "
            "to probabilities; give the folder of a model that genreflow exported"
        )
    return model, signature
