"""Tuner: searches for a network's learning rate, batch size, dropout and L2."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ExecutionParameter

from components.artifacts.code_digest import code_digest
from components.artifacts.types import TuningResults
from components.audio.params import AudioParams
from components.models import architectures
from components.models.settings import ModelSettings
from components.trainer.settings import TrainingSettings
from components.tuner.executor import Executor
from components.tuner.settings import TuningSettings
from components.tuner.trainee import trial_tables

_JSON = ("model", "training", "tuning", "audio", "genres")


class TunerSpec(types.ComponentSpec):  # type: ignore[misc]
    """See Tuner. JSON texts but for the architecture and the digests."""

    PARAMETERS = {
        name: ExecutionParameter(type=str)
        for name in ("architecture", "audio_hash", "weights_digest", "code_digest", *_JSON)
    }
    INPUTS = {"examples": ChannelParameter(type=standard_artifacts.Examples)}
    OUTPUTS = {
        "hyperparameters": ChannelParameter(type=standard_artifacts.HyperParameters),
        "results": ChannelParameter(type=TuningResults),
    }


class Tuner(base_component.BaseComponent):  # type: ignore[misc]
    """Outputs `hyperparameters`, which TFX's Trainer takes as they are, and `results`.

    KerasTuner's algorithms, but neither TFX's own Tuner nor KerasTuner's loop: those keep
    their state in a folder that a rerun does not find, hide an error of the data as a failed
    trial, hand on the values of a failed trial where all failed, and write down neither
    failures nor seconds. This one trains with the Trainer's own training.
    """

    SPEC_CLASS = TunerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        *,
        architecture: str,
        examples: types.BaseChannel,
        model: ModelSettings,
        training: TrainingSettings,
        tuning: TuningSettings,
        audio: AudioParams,
        genres: Sequence[str],
        weights_digest: str,
    ) -> None:
        """Initializes the component.

        Args:
          architecture: the network's name.
          examples: SpectrogramGen's; its train and validation splits are read.
          model: the network's own table.
          training: the [training] table.
          tuning: the [tuning] table. Which networks it names is not part of the node.
          audio: the parameters that the examples are made with.
          genres: in label order.
          weights_digest: of a local file of starting weights.
        """
        training, model = trial_tables(training, model, tuning)
        values = {
            "model": dataclasses.asdict(model),
            "training": dataclasses.asdict(training),
            "tuning": dataclasses.asdict(dataclasses.replace(tuning, networks=())),
            "audio": audio.to_json(),
            "genres": list(genres),
        }
        super().__init__(
            spec=TunerSpec(
                architecture=architecture,
                audio_hash=audio.digest(),
                weights_digest=weights_digest,
                code_digest=code_digest(
                    Executor.__module__,
                    (architectures.__name__, (architectures.NETWORKS[architecture].module,)),
                ),
                examples=examples,
                hyperparameters=types.Channel(type=standard_artifacts.HyperParameters),
                results=types.Channel(type=TuningResults),
                **{name: json.dumps(values[name], sort_keys=True) for name in _JSON},
            )
        )
