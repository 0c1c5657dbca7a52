"""Audio parameters of a model, from its files or from its description of itself."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pydantic

from components.audio.front_ends.registry import FRONT_ENDS
from components.audio.params import AudioParams
from serving.model.description import ModelDescription


def checked_params(values: object) -> AudioParams:
    """Return audio parameters from JSON values that anyone may have written.

    Raises:
      ValueError: a key is unknown or missing, or a value has the wrong type or is out of range.
    """
    try:
        if not isinstance(values, dict):
            raise ValueError("params must be an object")
        AudioParams.from_json(values)  # exactly the right keys
        return pydantic.TypeAdapter(AudioParams).validate_json(json.dumps(values), strict=True)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{where}: {first['msg']}") from error
    except TypeError as error:
        raise ValueError(str(error)) from error


def described_params(described: ModelDescription) -> AudioParams | None:
    """Return the audio parameters of a model at a server, or None if it does not tell them.

    Its card has them; of a card without them, each front end's usual ones may be meant. Those whose
    hash is the model's are right.
    """
    for found in _candidates(described):
        if found.digest() == described.audio_params:
            return found
    return None


def similar_params(described: ModelDescription) -> AudioParams:
    """Return the default parameters at a model's rate and window, for a picture of its windows."""
    fft_samples = min(AudioParams.fft_samples, 1 << (described.clip_samples.bit_length() - 1))
    return AudioParams(
        sample_rate_hz=described.sample_rate_hz,
        clip_seconds=described.clip_samples / described.sample_rate_hz,
        fft_samples=fft_samples,
        hop_samples=fft_samples // 4,
    )


def _candidates(described: ModelDescription) -> Iterator[AudioParams]:
    card = described.model_card
    members = card.get("members")
    cards = [card, *(members.values() if isinstance(members, Mapping) else ())]
    for one in cards:
        values = _nested(one, "data", "audio")
        try:
            yield checked_params(values)
        except ValueError:
            continue
    for name in FRONT_ENDS:
        usual = AudioParams.of_front_end(name)
        try:
            yield usual if usual.front.fixed else _at_rate(usual, described)
        except ValueError:
            continue


def _at_rate(usual: AudioParams, described: ModelDescription) -> AudioParams:
    return dataclasses.replace(
        usual,
        sample_rate_hz=described.sample_rate_hz,
        clip_seconds=described.clip_samples / described.sample_rate_hz,
    )


def _nested(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
