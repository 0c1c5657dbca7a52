"""Contract of an exported model, as plain data: names of its files, its signatures, its limits.

The exporter writes models by it, the gate, ServingCheck and the server check models by it. It
imports no other module, so that both sides can use it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Final

MODEL_NAME = "genreflow"  # of the served model, in paths and requests

# Files of a SavedModel, relative to its folder.
SAVED_MODEL = "saved_model.pb"
WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"
# What is known of a pushed version; its content: components/versions/record.py.
VERSION_RECORD = "assets.extra/genreflow_version.json"
# TFDV's statistics of the songs that it was trained on: components/data_check/statistics.py.
TRAINING_STATISTICS = "assets.extra/genreflow_training_statistics.pb"
ASSETS_FOLDER = "assets"
# Files in ASSETS_FOLDER; their content: components/export/assets.py.
GENRES_JSON = "genres.json"
AUDIO_PARAMS_JSON = "audio_params.json"
MODEL_CARD_JSON = "model_card.json"
SEEN_TRACKS_JSON = "seen_tracks.json"

# Signatures, and the inputs and outputs that have a name in code.
SERVING_DEFAULT: Final = "serving_default"
SERVING_WAV: Final = "serving_wav"
SERVING_EXAMPLES: Final = "serving_examples"
DESCRIBE: Final = "describe"
WAVEFORM, AUDIO, EXAMPLES, QUERY = "waveform", "audio", "examples", "query"
PROBABILITIES, GENRES = "probabilities", "genres"
AUDIBLE_WINDOWS = "audible_windows"
EVALUATION = "evaluation"
# Constant in the graph of `describe` that a push fills: components/export/told_evaluation.py.
EVALUATION_NODE = "genreflow_evaluation"


@dataclasses.dataclass(frozen=True)
class TensorContract:
    """Type and dimensions of an input or output.

    Attributes:
      dtype: TensorFlow's name of the type: "float32", "int64" or "string".
      dims: names of the dimensions, in order.
    """

    dtype: str
    dims: tuple[str, ...]

    @property
    def rank(self) -> int:
        """Number of dimensions."""
        return len(self.dims)


@dataclasses.dataclass(frozen=True)
class SignatureContract:
    """Inputs and outputs of a signature, by name."""

    inputs: Mapping[str, TensorContract]
    outputs: Mapping[str, TensorContract]


_PREDICTION = {
    PROBABILITIES: TensorContract("float32", ("batch", "genres")),
    GENRES: TensorContract("string", ("batch", "genres")),
}
# Of sound, near-silent windows are left out. Without any other, all probabilities are 0. Models
# that were exported by earlier versions lack this output.
_SOUND_PREDICTION = {**_PREDICTION, AUDIBLE_WINDOWS: TensorContract("int64", ("batch",))}
SIGNATURES: Mapping[str, SignatureContract] = {
    SERVING_DEFAULT: SignatureContract(
        {WAVEFORM: TensorContract("float32", ("batch", "samples"))}, _SOUND_PREDICTION
    ),
    SERVING_WAV: SignatureContract(
        {AUDIO: TensorContract("string", ("batch",))}, _SOUND_PREDICTION
    ),
    SERVING_EXAMPLES: SignatureContract(
        {EXAMPLES: TensorContract("string", ("batch",))}, _PREDICTION
    ),
    DESCRIBE: SignatureContract(
        {QUERY: TensorContract("string", ("batch",))},
        {
            GENRES: TensorContract("string", ("batch", "genres")),
            "sample_rate_hz": TensorContract("int64", ("batch",)),
            "clip_samples": TensorContract("int64", ("batch",)),
            "audio_params": TensorContract("string", ("batch",)),
            "model_card": TensorContract("string", ("batch",)),
            # Models that were exported by earlier versions lack this output.
            EVALUATION: TensorContract("string", ("batch",)),
        },
    ),
}
