"""Exporter of the average of several networks: one SavedModel with the usual signatures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from components.audio.params import AudioParams
from components.common.errors import DataError
from components.export.assets import (
    ModelAssets,
    merge_seen_tracks,
    read_assets,
    read_model_digest,
    read_seen_tracks_by_split,
)
from components.export.saved_model import write_saved_model
from components.export.serving_module import pictures


def export_average(
    saved_models: Mapping[str, str],
    directory: str,
    *,
    name: str,
    genres: Sequence[str],
    model_card: Mapping[str, Any],
) -> None:
    """Write the mean of several networks' probabilities as one served model.

    The front end runs once and each network runs on its result, so a request costs as much as
    the networks cost together.

    Args:
      saved_models: for each member the folder of its SavedModel, as this project exports it.
        A path or a URI.
      directory: folder of the new SavedModel; absent or empty.
      name: name of the average, for its card.
      genres: in label order.
      model_card: JSON values for its card, beside the content of the members' cards.

    Raises:
      DataError: a member was made for other genres or audio parameters, or is not a model of
        this project.
      ValueError: fewer than two members.
      FileExistsError: `directory` holds files already.
    """
    if len(saved_models) < 2:
        raise ValueError(f"an average needs two members or more, got {sorted(saved_models)}")
    names = sorted(saved_models)
    members = {member: read_assets(saved_models[member]) for member in names}
    digests = [read_model_digest(saved_models[member]) for member in names]
    params = _shared_params(members, genres)
    loaded = [_load(saved_models[member]) for member in names]

    def average(mel_db: tf.Tensor) -> tf.Tensor:
        return tf.add_n([member.network(mel_db) for member in loaded]) / len(loaded)

    cards = {member: assets.card for member, assets in members.items()}
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
            "model_digest": average_digest(digests, params, genres),
            "training_inputs": _training_inputs(cards),
        },
        seen=merge_seen_tracks(read_seen_tracks_by_split(saved_models[member]) for member in names),
    )


def average_digest(members: Sequence[str], params: AudioParams, genres: Sequence[str]) -> str:
    """Return 64 hex digits that identify a plain average by its members, in any order.

    Args:
      members: their `model_digest`s.
      params: audio parameters.
      genres: in label order.
    """
    text = json.dumps(["average", sorted(members), list(genres), params.digest()])
    return hashlib.sha256(text.encode()).hexdigest()


def _training_inputs(cards: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a hash of the members' `training_inputs`; "" if an earlier version exported one."""
    inputs = [str(card.get("training_inputs") or "") for card in cards.values()]
    if not all(inputs):
        return ""
    return hashlib.sha256(json.dumps(["average", sorted(inputs)]).encode()).hexdigest()


def _shared_params(members: Mapping[str, ModelAssets], genres: Sequence[str]) -> AudioParams:
    for member, assets in members.items():
        if assets.genres != tuple(genres):
            raise DataError(f"model {member} was trained for other genres than {list(genres)}")
    hashes = {member: assets.params.digest() for member, assets in members.items()}
    if len(set(hashes.values())) > 1:
        raise DataError(f"models of different audio parameters cannot be averaged: {hashes}")
    return next(iter(members.values())).params


def _load(directory: str) -> Any:
    module = tf.saved_model.load(directory)
    if not hasattr(module, "network") or not hasattr(module, "model_variables"):
        raise DataError(f"{directory}: not a model that this version of Genreflow exported")
    return module
