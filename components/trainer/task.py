"""The training of one network, as a node of the graph hands it to its worker. Light."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from components.audio.params import AudioParams
from components.common.dataclass_json import from_json
from components.models.settings import ModelSettings
from components.trainer.settings import TrainingSettings


@dataclasses.dataclass(frozen=True)
class TrainingTask:
    """Settings of one network, and what its training data must agree with.

    `to_json` is part of TFX's cache key: whatever changes in it trains the network again.

    Attributes:
      architecture: the network's name.
      model: the network's own table.
      training: the [training] table.
      audio: the parameters that the examples are made with.
      genres: names in label order.
      code_digest: digest of the code that trains.
      weights_digest: digest of a local file of starting weights, or "".
      synthetic: whether a program made the audio. The model card says so.
      data: tables of the settings that decided which clips there are. They are recorded only.
    """

    architecture: str
    model: ModelSettings
    training: TrainingSettings
    audio: AudioParams
    genres: tuple[str, ...]
    code_digest: str
    weights_digest: str
    synthetic: bool = False
    data: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the task as JSON values, with the hash of its audio parameters."""
        values = dataclasses.asdict(self)
        return {**values, "genres": list(self.genres), "audio_hash": self.audio.digest()}

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> TrainingTask:
        """Return the task of which to_json made `values`.

        Raises:
          ValueError: a key or field is missing or unknown, or the audio parameters do not have
            the hash that the task was made with.
        """
        fields = dict(values)
        audio_hash = fields.pop("audio_hash", None)
        task = from_json(cls, fields)
        if task.audio.digest() != audio_hash:
            raise ValueError(
                f"audio parameters of hash {task.audio.digest()} in a task made for {audio_hash}"
            )
        return task
