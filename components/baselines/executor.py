"""BaselineTrainer's work: read, fit, predict validation and test, write."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import pandas as pd
from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.types import artifact_utils

from components.artifacts.base_executor import empty_outputs
from components.audio.params import AudioParams
from components.baselines import store
from components.baselines.reading import Split, read_split
from components.baselines.settings import BaselineSettings
from components.baselines.train import Baselines, fit
from components.common import progress
from components.common.errors import DataError
from components.predictions import table
from components.trainer.memory import cache_bytes

PREDICTED_SPLITS = ("validation", "test")


class Executor(BaseExecutor):  # type: ignore[misc]
    """Writes the models with `baselines.json`, and their rows of the predictions table."""

    def Do(  # noqa: N802  TFX's name
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        self._log_startup(input_dict, output_dict, exec_properties)
        empty_outputs(output_dict)
        task = Task.parse(exec_properties)
        examples = artifact_utils.get_single_instance(input_dict["examples"])
        check_audio_hash(examples, task.audio)
        baselines, predicted, clips = run(task, examples.uri)
        predictions = artifact_utils.get_single_instance(output_dict["predictions"])
        table.write_table(predicted, predictions.uri)
        models = artifact_utils.get_single_instance(output_dict["baselines"])
        models.set_string_custom_property("audio_hash", task.audio.digest())
        store.save(
            baselines,
            models.uri,
            audio_hash=task.audio.digest(),
            clips=clips,
            code_digest=task.code_digest,
        )


@dataclasses.dataclass(frozen=True)
class Task:
    """The node's parameters, parsed."""

    settings: BaselineSettings
    audio: AudioParams
    genres: tuple[str, ...]
    code_digest: str

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Task:
        """From the node's parameters (see component.BaselineTrainerSpec)."""
        return cls(
            settings=BaselineSettings.from_json(json.loads(values["settings"])),
            audio=AudioParams.from_json(json.loads(values["audio"])),
            genres=tuple(json.loads(values["genres"])),
            code_digest=values["code_digest"],
        )


def check_audio_hash(examples: Any, audio: AudioParams) -> None:
    """Raises DataError where the examples were made with other audio parameters."""
    found = examples.get_string_custom_property("audio_hash")
    if found != audio.digest():
        raise DataError(
            f"the examples were made with audio parameters {found}, this run's are "
            f"{audio.digest()}: they must not be mixed"
        )


def run(task: Task, examples_uri: str) -> tuple[Baselines, pd.DataFrame, dict[str, int]]:
    """Fits on the train split alone, and predicts the others.

    Args:
      task: what to do.
      examples_uri: root of an Examples artifact.

    Returns:
      The baselines; their rows of the predictions table; and the clips of each split.

    Raises:
      GenreflowError: the examples cannot be used (see train.fit and reading.read_split).
    """
    _report("reading the train split", 0, len(task.settings.models) + 1)
    train = read_split(examples_uri, "train", task.audio, held_bytes=cache_bytes())
    baselines = fit(train.blocks, train.labels, task.genres, task.settings, _report)
    clips = {"train": len(train.clips)}
    del train
    tables = []
    for name in PREDICTED_SPLITS:
        split = read_split(examples_uri, name, task.audio)
        clips[name] = len(split.clips)
        tables += predict(baselines, split, name)
    order = list(baselines.models)
    tables.sort(key=lambda rows: order.index(rows["model"].iloc[0]))
    return baselines, pd.concat(tables, ignore_index=True), clips


def predict(baselines: Baselines, split: Split, name: str) -> list[pd.DataFrame]:
    """The predictions table of each model for one split.

    Raises:
      DataError: a label fits no genre, or the pictures do not fit the features.
    """
    wrong = split.labels[(split.labels < 0) | (split.labels >= len(baselines.genres))]
    if len(wrong):
        raise DataError(
            f"the {name} split holds label {wrong[0]}, but there are {len(baselines.genres)} "
            "genres: the examples were written with another list of genres"
        )
    features = baselines.transform(split.blocks())
    return [
        table.make_table(
            model, name, split.clips, baselines.predict_proba(model, features), baselines.genres
        )
        for model in baselines.models
    ]


def _report(detail: str, done: int, total: int) -> None:
    progress.report("progress", stage="baselines", detail=detail, done=done, total=total)
