"""SpectrogramGen: converts a dataset's audio to tf.Examples of mel spectrograms."""

from __future__ import annotations

import dataclasses
import json

from tfx import types
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ExecutionParameter

from components.artifacts.code_digest import code_digest
from components.artifacts.types import Rejects
from components.audio.params import AudioParams
from components.datasets import registry
from components.datasets.settings import DatasetSettings, SplitSettings
from components.spectrogram_gen.executor import Executor


class SpectrogramGenSpec(types.ComponentSpec):  # type: ignore[misc]
    """Specification of SpectrogramGen.

    Settings are JSON texts. The two digests make TFX's cache notice changed files and code.
    """

    PARAMETERS = {
        "dataset": ExecutionParameter(type=str),
        "split": ExecutionParameter(type=str),
        "audio": ExecutionParameter(type=str),
        "shard_tracks": ExecutionParameter(type=int),
        "manifest_digest": ExecutionParameter(type=str),
        "store": ExecutionParameter(type=str),
        "code_digest": ExecutionParameter(type=str),
    }
    INPUTS: dict[str, ChannelParameter] = {}
    OUTPUTS = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "rejects": ChannelParameter(type=Rejects),
    }


class SpectrogramGen(base_beam_component.BaseBeamComponent):  # type: ignore[misc]
    """Component with outputs `examples` (splits train, validation, test) and `rejects`."""

    SPEC_CLASS = SpectrogramGenSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(
        self,
        *,
        dataset: DatasetSettings,
        split: SplitSettings,
        audio: AudioParams,
        manifest_digest: str,
        shard_tracks: int,
        store: str,
    ) -> None:
        """Initialize the component.

        Args:
          dataset: the dataset's settings, with `data_dir`.
          split: the split's settings.
          audio: the audio parameters.
          manifest_digest: digest of the corpus (components.datasets.digest).
          shard_tracks: number of tracks per shard.
          store: folder of the clip store (components.spectrogram_gen.store), "" for none.
        """
        used = (registry.__name__, (registry.READERS[dataset.kind].module,))
        super().__init__(
            spec=SpectrogramGenSpec(
                dataset=json.dumps(dataclasses.asdict(dataset), sort_keys=True),
                split=json.dumps(dataclasses.asdict(split), sort_keys=True),
                audio=json.dumps(audio.to_json(), sort_keys=True),
                shard_tracks=shard_tracks,
                manifest_digest=manifest_digest,
                store=store,
                code_digest=code_digest(Executor.__module__, used),
                examples=types.Channel(type=standard_artifacts.Examples),
                rejects=types.Channel(type=Rejects),
            )
        )
