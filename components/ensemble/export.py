"""The average of several exported networks as one SavedModel with the same signatures."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from components.artifacts import files as artifact_files
from components.audio.params import AudioParams
from components.common.errors import DataError
from components.export import seen_tracks as seen
from components.export.saved_model import (
    AUDIO_PARAMS_ASSET,
    GENRES_ASSET,
    MODEL_CARD_ASSET,
    write_saved_model,
)
from components.export.serving_module import pictures


def export_average(
    saved_models: Mapping[str, str],
    directory: str,
    *,
    name: str,
    genres: Sequence[str],
    model_card: Mapping[str, Any],
) -> None:
    """Writes the mean of several networks' probabilities as one served model.

    The front end runs once and each network on its result, so an answer costs what the
    networks cost together.

    Args:
      saved_models: for each member its SavedModel's folder, as this project exports it.
        A path or a URI.
      directory: where the new SavedModel goes; absent or empty.
      name: of the average, for its card.
      genres: in label order.
      model_card: JSON values for its card, beside what the members' cards say.

    Raises:
      DataError: a member was made for other genres or audio parameters, or is no model of
        this project.
      ValueError: fewer than two members.
      FileExistsError: `directory` holds files already.
    """
    if len(saved_models) < 2:
        raise ValueError(f"an average needs two members or more, got {sorted(saved_models)}")
    names = sorted(saved_models)
    cards = {member: _read(saved_models[member], MODEL_CARD_ASSET) for member in names}
    params = _shared_params(saved_models, genres)
    loaded = [_load(saved_models[member]) for member in names]

    def average(mel_db: tf.Tensor) -> tf.Tensor:
        return tf.add_n([member.network(mel_db) for member in loaded]) / len(loaded)

    write_saved_model(
        tf.function(average, input_signature=[pictures(params)]),
        [variable for member in loaded for variable in member.model_variables],
        directory,
        params=params,
        genres=genres,
        model_card={
            **model_card,
            "architecture": name,
            "audio_hash": params.digest(),
            "parameters": sum(int(card["parameters"]) for card in cards.values()),
            "members": cards,
            "model_digest": average_digest(
                [cards[member]["model_digest"] for member in names], params, genres
            ),
        },
        seen=seen.merged(seen.read_seen_splits(saved_models[member]) for member in names),
    )


def average_digest(members: Sequence[str], params: AudioParams, genres: Sequence[str]) -> str:
    """64 hex digits that identify a plain average: by its members, in whatever order.

    Args:
      members: their `model_digest`.
    """
    text = json.dumps(["average", sorted(members), list(genres), params.digest()])
    return hashlib.sha256(text.encode()).hexdigest()


def _shared_params(saved_models: Mapping[str, str], genres: Sequence[str]) -> AudioParams:
    found: dict[str, AudioParams] = {}
    for member, directory in sorted(saved_models.items()):
        if _read(directory, GENRES_ASSET) != list(genres):
            raise DataError(f"model {member} was trained for other genres than {list(genres)}")
        params = AudioParams.from_json(_read(directory, AUDIO_PARAMS_ASSET)["params"])
        found[member] = params
    digests = {member: params.digest() for member, params in found.items()}
    if len(set(digests.values())) > 1:
        raise DataError(f"models of different audio parameters cannot be averaged: {digests}")
    return next(iter(found.values()))


def _load(directory: str) -> Any:
    module = tf.saved_model.load(directory)
    if not hasattr(module, "network") or not hasattr(module, "model_variables"):
        raise DataError(f"{directory}: not a model that this version of Genreflow exported")
    return module


def _read(directory: str, asset: str) -> Any:
    path = os.path.join(directory, "assets", asset)
    try:
        return json.loads(artifact_files.read_text(path))
    except (FileNotFoundError, ValueError) as error:
        raise DataError(f"{path}: not an exported model's") from error
