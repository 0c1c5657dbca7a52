"""The files that describe an exported model: their one writer and reader, and a signature check.

A SavedModel's `assets` folder holds:

genres.json        the genres' names, in label order
audio_params.json  {"digest": hash, "params": AudioParams.to_json()}
model_card.json    an object: how the model was trained (components/trainer/history.py), and
                   `model_digest`: equal exactly for the same networks with the same weights; and
                   `training_inputs`: equal for trainings of the same clips with the same settings
seen_tracks.json   {"train": [...], "validation": [...]}: sorted digests of the ids of all tracks
                   that the model was trained or chosen on. The ids stay out: a model travels
                   further than its data.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from components.artifacts import files as artifact_files
from components.audio.params import AudioParams
from components.common.errors import DataError
from components.common.model_contract import (
    ASSETS_FOLDER,
    AUDIO_PARAMS_JSON,
    GENRES_JSON,
    MODEL_CARD_JSON,
    PROBABILITIES,
    SAVED_MODEL,
    SEEN_TRACKS_JSON,
    SIGNATURES,
)
from components.storage.errors import ObjectMissing

SEEN_SPLITS = ("train", "validation")
_TRACK_DIGEST_DIGITS = 16
_REMEDY = "export the model again"


@dataclasses.dataclass(frozen=True)
class ModelIdentity:
    """Identity of an exported model; can be read from a model of another version too.

    Attributes:
      digest: the card's `model_digest`.
      audio_hash: hash of the audio parameters.
      genres: in label order.
    """

    digest: str
    audio_hash: str
    genres: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class ModelAssets:
    """Content of an exported model's assets.

    Attributes:
      genres: in label order.
      params: audio parameters.
      audio_hash: their hash, as the file states it.
      card: the model card, JSON values.
    """

    genres: tuple[str, ...]
    params: AudioParams
    audio_hash: str
    card: Mapping[str, Any]


def asset_files(
    *,
    genres: Sequence[str],
    params: AudioParams,
    model_card: Mapping[str, Any],
    seen_tracks: Mapping[str, Sequence[str]] | None,
) -> dict[str, str]:
    """Return the content of a new model's assets by file name.

    Args:
      genres: in label order.
      params: audio parameters.
      model_card: JSON values.
      seen_tracks: as seen_tracks_of returns it; None leaves the file out.

    Raises:
      ValueError: the card is not JSON.
    """
    try:
        card = json.dumps(dict(model_card), sort_keys=True, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"model card is not JSON: {error}") from error
    files = {
        GENRES_JSON: json.dumps(list(genres), ensure_ascii=False, indent=1),
        AUDIO_PARAMS_JSON: json.dumps(
            {"digest": params.digest(), "params": params.to_json()}, sort_keys=True, indent=1
        ),
        MODEL_CARD_JSON: card,
    }
    if seen_tracks is not None:
        files[SEEN_TRACKS_JSON] = json.dumps(
            {split: list(seen_tracks[split]) for split in sorted(seen_tracks)}
        )
    return files


def read_identity(saved_model: str) -> ModelIdentity:
    """Return the identity of an exported model.

    Args:
      saved_model: folder of the SavedModel; a path or a URI.

    Raises:
      DataError: a file is missing or damaged.
    """
    genres = _read_genres(saved_model)
    audio_hash = _read_audio(saved_model)["digest"]
    return ModelIdentity(read_model_digest(saved_model), audio_hash, genres)


def read_assets(saved_model: str) -> ModelAssets:
    """Return the genres, audio parameters and card of an exported model.

    Args:
      saved_model: folder of the SavedModel; a path or a URI.

    Raises:
      DataError: a file is missing or damaged.
    """
    genres, card = _read_genres(saved_model), read_card(saved_model)
    audio = _read_audio(saved_model)
    try:
        params = AudioParams.from_json(audio["params"])
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        path = _path(saved_model, AUDIO_PARAMS_JSON)
        raise DataError(
            f"{path}: not the parameters of this version ({error}); {_REMEDY}"
        ) from error
    return ModelAssets(genres, params, audio["digest"], card)


def read_card(saved_model: str) -> dict[str, Any]:
    """Return the card of an exported model.

    Raises:
      DataError: it is missing or damaged.
    """
    card = _read_json(saved_model, MODEL_CARD_JSON)
    if not isinstance(card, dict):
        raise DataError(f"{_path(saved_model, MODEL_CARD_JSON)}: not a JSON object; {_REMEDY}")
    return card


def read_model_digest(saved_model: str) -> str:
    """Return the `model_digest` of an exported model: same network, same weights, same digest.

    Files cannot be compared instead: TensorFlow numbers names within a process, so two exports
    of the same weights differ in bytes.

    Raises:
      DataError: the folder is not a model that Genreflow exported.
    """
    digest = read_card(saved_model).get("model_digest")
    if digest is None:
        raise DataError(f"{_path(saved_model, MODEL_CARD_JSON)}: no model_digest; {_REMEDY}")
    return str(digest)


def track_digest(track_id: str) -> str:
    """Return 16 hex digits that stand for a track's id."""
    return hashlib.sha256(track_id.encode()).hexdigest()[:_TRACK_DIGEST_DIGITS]


def seen_tracks_of(track_ids: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """Return the content of seen_tracks.json.

    Args:
      track_ids: ids of the tracks of each of SEEN_SPLITS.
    """
    return {split: sorted(set(map(track_digest, track_ids[split]))) for split in SEEN_SPLITS}


def merge_seen_tracks(several: Iterable[Mapping[str, Iterable[str]]]) -> dict[str, list[str]]:
    """Return the content of seen_tracks.json for a model that is made of several.

    Args:
      several: content of the members' files.
    """
    every = list(several)
    return {split: sorted({d for one in every for d in one[split]}) for split in SEEN_SPLITS}


def read_seen_tracks_by_split(saved_model: str) -> dict[str, list[str]]:
    """Return the content of an exported model's seen_tracks.json.

    Args:
      saved_model: folder of the SavedModel; a path or a URI.

    Raises:
      DataError: it is missing (a model of an older version) or damaged.
    """
    unknown = "missing, so the tracks that this model was trained on are unknown"
    found = _read_json(saved_model, SEEN_TRACKS_JSON, missing=unknown)
    by_split: dict[str, list[str]] = {}
    for split in SEEN_SPLITS:
        digests = found.get(split) if isinstance(found, dict) else None
        if not isinstance(digests, list) or not all(isinstance(one, str) for one in digests):
            path = _path(saved_model, SEEN_TRACKS_JSON)
            raise DataError(f"{path}: no list of track digests for {split}; {_REMEDY}")
        by_split[split] = digests
    return by_split


def read_seen_tracks(saved_model: str) -> frozenset[str]:
    """Return the digests of all tracks that an exported model was trained or chosen on.

    Raises:
      DataError: as read_seen_tracks_by_split.
    """
    found = read_seen_tracks_by_split(saved_model)
    return frozenset(digest for split in SEEN_SPLITS for digest in found[split])


def signature_problem(saved_model: str, signature: str, genres: int) -> str | None:
    """Return why a model cannot predict with a signature, or None if it can.

    Only saved_model.pb is read; the model is not loaded.

    Args:
      saved_model: folder of the SavedModel; a path or a URI.
      signature: a predicting signature of model_contract.SIGNATURES.
      genres: number of genres that it must return probabilities of.

    Returns:
      The end of a sentence that begins with the model's name, such as "has no signature x".
    """
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2  # imports TensorFlow: seconds

    try:
        content = artifact_files.read_bytes(os.path.join(saved_model, SAVED_MODEL))
        saved = saved_model_pb2.SavedModel.FromString(content)
    except (FileNotFoundError, ObjectMissing, DecodeError):
        return f"has no readable {SAVED_MODEL}"
    found: Mapping[str, Any] = saved.meta_graphs[0].signature_def if saved.meta_graphs else {}
    if signature not in found:
        return f"has no signature {signature}"
    contract, definition = SIGNATURES[signature], found[signature]
    if not set(contract.inputs) <= set(definition.inputs):
        return f"has a signature {signature} without the input {', '.join(contract.inputs)}"
    if PROBABILITIES not in definition.outputs:
        return f"has a signature {signature} without the output {PROBABILITIES}"
    shape = [side.size for side in definition.outputs[PROBABILITIES].tensor_shape.dim]
    if len(shape) != contract.outputs[PROBABILITIES].rank or shape[1] not in (-1, genres):
        return f"has a signature {signature} that returns {shape}, not {genres} probabilities a row"
    return None


def _read_genres(saved_model: str) -> tuple[str, ...]:
    genres = _read_json(saved_model, GENRES_JSON)
    if not isinstance(genres, list) or not all(isinstance(genre, str) for genre in genres):
        raise DataError(f"{_path(saved_model, GENRES_JSON)}: not a list of genres; {_REMEDY}")
    return tuple(genres)


def _read_audio(saved_model: str) -> dict[str, Any]:
    audio = _read_json(saved_model, AUDIO_PARAMS_JSON)
    if not isinstance(audio, dict) or not isinstance(audio.get("digest"), str):
        raise DataError(
            f"{_path(saved_model, AUDIO_PARAMS_JSON)}: no digest of audio parameters; {_REMEDY}"
        )
    return audio


def _read_json(saved_model: str, name: str, missing: str = "missing") -> Any:
    folder = os.path.join(saved_model, ASSETS_FOLDER)
    return artifact_files.read_json(folder, name, missing=missing, remedy=_REMEDY)


def _path(saved_model: str, name: str) -> str:
    return os.path.join(saved_model, ASSETS_FOLDER, name)
