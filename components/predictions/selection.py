"""The Ensembler's choice, `selection.json`: the candidate, the best baseline, and all models."""

from __future__ import annotations

import dataclasses
import json
import os
from typing import Literal

from components.artifacts import files as artifact_files
from components.artifacts import typed_json
from components.artifacts.names import SELECTION_JSON
from components.common.errors import DataError
from components.common.escape import printable

ModelKind = Literal["network", "baseline", "ensemble"]


@dataclasses.dataclass(frozen=True)
class Selection:
    """The models of a run, and those chosen on the validation split.

    Attributes:
      candidate: name of the model that may be deployed.
      candidate_digest: its `model_digest`.
      best_baseline: the best baseline on validation; None without baselines.
      kinds: of each model.
      validation_track_accuracy: share of validation tracks that each model predicts correctly.
      parameters: number of each model's parameters; None where it is unknown.
      train_seconds: how long each model trained; None for ensembles.
      members: the models that each ensemble is made of.
      weights: shares of the members of ensemble_weighted; {} without it.
      genres: in label order.
      audio_hash: hash of the audio parameters.
      pretrained: for each network that started from trained weights, what is known of them
        (components.models.origins).
    """

    candidate: str
    candidate_digest: str
    best_baseline: str | None
    kinds: dict[str, ModelKind]
    validation_track_accuracy: dict[str, float]
    parameters: dict[str, int | None]
    train_seconds: dict[str, float | None]
    members: dict[str, tuple[str, ...]]
    weights: dict[str, float]
    genres: tuple[str, ...]
    audio_hash: str
    pretrained: dict[str, dict[str, str]]


def write_selection(selection: Selection, directory: str) -> None:
    """Write the file into the folder of the Predictions artifact."""
    text = json.dumps(dataclasses.asdict(selection), indent=2, sort_keys=True)
    artifact_files.write_text(os.path.join(directory, SELECTION_JSON), text)


def read_selection(directory: str) -> Selection:
    """Read the file from the folder of the Predictions artifact.

    Raises:
      DataError: it is missing, damaged, or of another version.
    """
    selection = typed_json.read(Selection, directory, SELECTION_JSON)
    for name in filter(None, (selection.candidate, selection.best_baseline)):
        if name not in selection.kinds:
            path = os.path.join(directory, SELECTION_JSON)
            raise DataError(
                f"{path}: {printable(str(name))} is not one of the models that it lists; rerun the "
                "pipeline"
            )
    return selection
