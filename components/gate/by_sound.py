"""Predictions of a serving model that hears songs in another form than the examples hold."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import tensorflow as tf

from components.audio.decoding.clip_reader import WindowShape
from components.audio.stretches import Stretch
from components.common import model_contract as contract
from components.common.errors import DataError
from components.examples import schema
from components.examples.sources import read_sources
from components.export.assets import ModelIdentity
from components.gate.hearing import Listening, hear
from components.predictions import table
from components.predictions.predict import load, read_clips, whole_float32

# Bounds of components.audio.params.AudioParams.
_MIN_RATE_HZ, _MAX_RATE_HZ = 4000, 192_000
_MIN_CLIP_SAMPLES, _MAX_CLIP_SECONDS = 64, 120


@dataclasses.dataclass(frozen=True, eq=False)
class HeardTracks:
    """Predictions of a model for the tracks of the test split that it can hear.

    Attributes:
      rows: its rows of the predictions table, by windows of its own.
      shape: rate and length of these windows.
      unheard: number of the other tracks, by reject reason.
    """

    rows: pd.DataFrame
    shape: WindowShape
    unheard: Mapping[str, int]


def predict_songs(
    saved_model: str,
    examples_uri: str,
    tracks: Collection[str],
    *,
    model_name: str,
    clip_seconds: float,
    serving: ModelIdentity,
    listening: Listening,
    advance: Callable[[int], None],
) -> HeardTracks:
    """Predict test tracks by the signature that takes waveforms.

    The model hears the same seconds of each song as the candidate: those of its test clips, in
    windows of the model's own length at its own rate.

    Args:
      saved_model: folder of a SavedModel with the signatures `serving_default` and `describe`.
      examples_uri: root of an Examples artifact.
      tracks: ids of the test tracks to predict.
      model_name: the model's name in the rows.
      clip_seconds: length of the examples' clips.
      serving: the model's identity, by its assets.
      listening: how to read the audio.
      advance: called with the number of windows predicted since the last call.

    Raises:
      DataError: the model cannot be loaded or is not what its assets say, its outputs are not
        probabilities, or an audio file is missing, has changed or cannot be decoded.
      tf.errors.OpError: the model fails.
      StorageError: an object store cannot be read.
    """
    model = load(saved_model)
    shape = _shape_of(model, serving.audio_hash)
    signature = model.signatures[contract.SERVING_DEFAULT]
    columns = (*table.CLIP_KEYS, schema.CLIP_START_S)
    clips = read_clips(examples_uri, table.TEST, columns)
    stretches: dict[str, list[Stretch]] = {}
    for track_id, start_s in zip(clips["track_id"], clips[schema.CLIP_START_S], strict=True):
        if track_id in tracks:
            span = (float(start_s), float(start_s) + clip_seconds)
            stretches.setdefault(track_id, []).append(span)
    keys = clips.drop_duplicates("track_id").set_index("track_id")[["artist_id", "label"]]
    heard: list[pd.DataFrame] = []
    probabilities: list[npt.NDArray[np.float32]] = []
    unheard: collections.Counter[str] = collections.Counter()
    with whole_float32():
        for track_id, windows in hear(stretches, read_sources(examples_uri), shape, listening):
            if windows.unheard:
                unheard[windows.unheard] += 1
                continue
            outputs = signature(**{contract.WAVEFORM: tf.constant(windows.waveforms())})
            found = outputs[contract.PROBABILITIES].numpy()
            # By rounding, the graph may find a window silent that the decoder did not.
            found = found[found.any(axis=1)]
            advance(len(windows.peaks))
            if not len(found):
                unheard["near_silent"] += 1
                continue
            one = {"track_id": track_id, **keys.loc[track_id], "clip_index": range(len(found))}
            heard.append(pd.DataFrame(one))
            probabilities.append(found)
    if not heard:
        counted = ", ".join(f"{reason} {number}" for reason, number in sorted(unheard.items()))
        raise DataError(f"it cannot hear any of {len(stretches)} test tracks ({counted})")
    rows = table.make_table(
        model_name, table.TEST, pd.concat(heard), np.concatenate(probabilities), serving.genres
    )
    return HeardTracks(rows, shape, dict(unheard))


def _shape_of(model: Any, audio_hash: str) -> WindowShape:
    """Return the windows that a model takes, by its description of itself."""
    problem = "its signature describe is missing or invalid"
    try:
        said = model.signatures[contract.DESCRIBE](**{contract.QUERY: tf.constant([b""])})
        rate_hz, samples = int(said["sample_rate_hz"][0]), int(said["clip_samples"][0])
        digest = said["audio_params"][0].numpy().decode()
    except (KeyError, TypeError, ValueError, AttributeError, tf.errors.OpError) as error:
        raise DataError(f"{problem} ({error})") from error
    if not (
        _MIN_RATE_HZ <= rate_hz <= _MAX_RATE_HZ
        and _MIN_CLIP_SAMPLES <= samples <= _MAX_CLIP_SECONDS * rate_hz
    ):
        raise DataError(f"{problem} (clips of {samples} samples at {rate_hz} Hz)")
    if digest != audio_hash:
        raise DataError(
            f"its graph was made with audio parameters {digest!r}, by its assets {audio_hash}"
        )
    return WindowShape(rate_hz, samples)
