"""Descriptions and outputs of models, checked before they are used.

A server may be any program. Everything that it sends is checked here, so that wrong data causes
an error message and nothing worse.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from components.common.model_contract import (
    AUDIBLE_WINDOWS,
    EVALUATION,
    GENRES,
    PROBABILITIES,
    QUERY,
)
from components.common.model_evaluation import MAX_BYTES, ModelEvaluation, parse_evaluation
from components.common.probabilities import are_probabilities

# Inputs of `describe`: one row, whose text no model reads.
REQUEST: Mapping[str, npt.NDArray[Any]] = {QUERY: np.array([b""], object)}

# Bounds of components.audio.params.AudioParams, and sizes far above any set of genres.
_MIN_RATE_HZ, _MAX_RATE_HZ = 4000, 192_000
_MIN_CLIP_SAMPLES, _MAX_CLIP_SECONDS = 64, 120
_MAX_GENRES, _MAX_GENRE_BYTES = 1000, 1000
_MAX_CARD_BYTES = 1 << 20
_DIGEST = re.compile(r"[0-9a-f]{16}", re.ASCII)


@dataclasses.dataclass(frozen=True)
class ModelDescription:
    """Description of a model, by itself.

    Attributes:
      version: the version that responded; None if the protocol does not tell (REST).
      genres: the genres in label order.
      sample_rate_hz: sample rate of the audio that the model takes, in Hz.
      clip_samples: length of one window in samples.
      audio_params: hash of all audio parameters.
      model_card: JSON values.
      evaluation: results on its test split; None if it does not tell them: it was not pushed, or
        an earlier version of Genreflow exported it.
      evaluation_problem: why the evaluation that it tells is invalid, or "". Predictions do not
        depend on it.
    """

    version: int | None
    genres: tuple[str, ...]
    sample_rate_hz: int
    clip_samples: int
    audio_params: str
    model_card: Mapping[str, Any]
    evaluation: ModelEvaluation | None = None
    evaluation_problem: str = ""

    def is_compatible_with(self, other: ModelDescription) -> bool:
        """Return whether both models take the same windows and predict the same genres."""
        return self._contract() == other._contract()

    def _contract(self) -> tuple[object, ...]:
        return self.genres, self.sample_rate_hz, self.clip_samples, self.audio_params


def parse_description(
    outputs: Mapping[str, npt.NDArray[Any]], version: int | None
) -> ModelDescription:
    """Parse the outputs of the signature `describe` for REQUEST, which is one row.

    Raises:
      ValueError: an output is missing or invalid; the message says which and why.
    """
    rate_hz = _integer(outputs, "sample_rate_hz")
    clip_samples = _integer(outputs, "clip_samples")
    if (
        not _MIN_RATE_HZ <= rate_hz <= _MAX_RATE_HZ
        or not _MIN_CLIP_SAMPLES <= clip_samples <= _MAX_CLIP_SECONDS * rate_hz
    ):
        raise ValueError(f"clip_samples {clip_samples} at sample_rate_hz {rate_hz} is out of range")
    digest = _text(outputs, "audio_params", 16)
    if not _DIGEST.fullmatch(digest):
        raise ValueError("audio_params is not a hash of 16 hex digits")
    evaluation, problem = _evaluation(outputs)
    return ModelDescription(
        version=version,
        genres=_genres(outputs),
        sample_rate_hz=rate_hz,
        clip_samples=clip_samples,
        audio_params=digest,
        model_card=_card(outputs),
        evaluation=evaluation,
        evaluation_problem=problem,
    )


def check_probabilities(
    outputs: Mapping[str, npt.NDArray[Any]], rows: int, genres: tuple[str, ...]
) -> npt.NDArray[np.float32]:
    """Check the outputs of serving_default, and return the probabilities.

    A row may be all 0 if `audible_windows`, which models of earlier versions lack, says that its
    window is left out.

    Args:
      outputs: array by name, as a server sent them.
      rows: the number of windows that were sent.
      genres: the model's genres in label order.

    Returns:
      Probabilities, float32 `[rows, genres]`.

    Raises:
      ValueError: there is not one row of probabilities per window, or the genres differ.
    """
    matrix, names = _output(outputs, PROBABILITIES), _output(outputs, GENRES)
    if matrix.dtype.kind not in "fi" or matrix.shape != (rows, len(genres)):
        raise ValueError(
            f"probabilities are {matrix.dtype} {list(matrix.shape)} for {rows} windows of "
            f"{len(genres)} genres"
        )
    if names.shape != matrix.shape or names.dtype.kind != "O":
        raise ValueError(f"genres are {names.dtype} {list(names.shape)}")
    expected = np.array([name.encode() for name in genres], object)
    if not (names == expected).all():
        raise ValueError("the genres differ from those of the signature describe")
    left_out = _rows_left_out(outputs, rows)
    if matrix[left_out].any():
        raise ValueError("a row has probabilities, but audible_windows says that no window counts")
    predicted = matrix[~left_out]
    # Negated, so that NaN fails too.
    if not (predicted <= 1).all() or not are_probabilities(predicted).all():
        raise ValueError("the numbers are not probabilities: each row must sum to 1")
    return matrix.astype(np.float32)


def _rows_left_out(outputs: Mapping[str, npt.NDArray[Any]], rows: int) -> npt.NDArray[np.bool_]:
    """Return which rows have no window that counts; none if the model does not say it."""
    counts = outputs.get(AUDIBLE_WINDOWS, np.ones(rows, np.int64))
    if counts.dtype.kind != "i" or counts.shape != (rows,):
        raise ValueError(f"audible_windows are {counts.dtype} {list(counts.shape)}")
    return np.asarray(counts == 0)


def _output(outputs: Mapping[str, npt.NDArray[Any]], name: str) -> npt.NDArray[Any]:
    if name not in outputs:
        raise ValueError(f"there is no output {name!r}")
    return outputs[name]


def _integer(outputs: Mapping[str, npt.NDArray[Any]], name: str) -> int:
    value = _output(outputs, name)
    if value.shape != (1,) or value.dtype.kind != "i":
        raise ValueError(f"{name} is {value.dtype} {list(value.shape)}, not one integer")
    return int(value[0])


def _text(outputs: Mapping[str, npt.NDArray[Any]], name: str, max_bytes: int) -> str:
    value = _output(outputs, name)
    if value.shape != (1,) or value.dtype.kind != "O":
        raise ValueError(f"{name} is {value.dtype} {list(value.shape)}, not one string")
    return _decoded(value[0], name, max_bytes)


def _genres(outputs: Mapping[str, npt.NDArray[Any]]) -> tuple[str, ...]:
    value = _output(outputs, GENRES)
    is_row = value.ndim == 2 and len(value) == 1 and 1 <= value.shape[1] <= _MAX_GENRES
    if not is_row or value.dtype.kind != "O":
        raise ValueError(f"genres is {value.dtype} {list(value.shape)}, not one row of names")
    names = tuple(_decoded(name, "a genre", _MAX_GENRE_BYTES) for name in value[0])
    if len(set(names)) != len(names) or not all(names):
        raise ValueError("genres are not distinct names")
    return names


def _card(outputs: Mapping[str, npt.NDArray[Any]]) -> Mapping[str, Any]:
    try:
        card = json.loads(_text(outputs, "model_card", _MAX_CARD_BYTES))
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"model_card is not JSON ({error})") from error
    if not isinstance(card, dict):
        raise ValueError("model_card is not a JSON object")
    return card


def _evaluation(
    outputs: Mapping[str, npt.NDArray[Any]],
) -> tuple[ModelEvaluation | None, str]:
    """Return the evaluation, if there is one, and why it is invalid."""
    if EVALUATION not in outputs:
        return None, ""
    try:
        return parse_evaluation(_text(outputs, EVALUATION, MAX_BYTES)), ""
    except ValueError as error:
        return None, f"the evaluation that the model tells is invalid: {error}"


def _decoded(value: object, name: str, max_bytes: int) -> str:
    if not isinstance(value, bytes) or len(value) > max_bytes:
        raise ValueError(f"{name} is not a string of at most {max_bytes} bytes")
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{name} is not UTF-8") from error
