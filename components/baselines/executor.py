"""Executor of BaselineTrainer: reads, fits, predicts validation and test, and writes."""

from __future__ import annotations

import dataclasses

import pandas as pd

from components.artifacts.base_executor import (
    Artifacts,
    ComponentExecutor,
    Parameters,
    check_audio_hash,
)
from components.audio.params import AudioParams
from components.baselines import store
from components.baselines.reading import Split, read_split
from components.baselines.settings import BaselineSettings
from components.baselines.train import Baselines, fit
from components.common import progress
from components.common.errors import DataError
from components.common.resources import cache_bytes
from components.predictions import table

PREDICTED_SPLITS = ("validation", "test")


class Executor(ComponentExecutor):
    """Executor that writes the models with `baselines.json`, and their predictions."""

    def execute(self, inputs: Artifacts, outputs: Artifacts, parameters: Parameters) -> None:
        """Train the models, and write them and their predictions."""
        task = BaselineTask.parse(parameters)
        check_audio_hash(inputs.single("examples"), task.audio.digest())
        baselines, predicted, clips = run(task, inputs.uri("examples"))
        table.write_table(predicted, outputs.uri("predictions"))
        models = outputs.single("baselines")
        models.set_string_custom_property("audio_hash", task.audio.digest())
        store.save(
            baselines,
            models.uri,
            audio_hash=task.audio.digest(),
            clips=clips,
            code_digest=task.code_digest,
        )


@dataclasses.dataclass(frozen=True)
class BaselineTask:
    """The node's parameters."""

    settings: BaselineSettings
    audio: AudioParams
    genres: tuple[str, ...]
    code_digest: str

    @classmethod
    def parse(cls, parameters: Parameters) -> BaselineTask:
        """Return the task of the node's parameters (see component.BaselineTrainerSpec)."""
        return cls(
            settings=parameters.parse("settings", BaselineSettings),
            audio=parameters.parse("audio", AudioParams),
            genres=tuple(parameters.json("genres")),
            code_digest=parameters["code_digest"],
        )


def run(task: BaselineTask, examples_uri: str) -> tuple[Baselines, pd.DataFrame, dict[str, int]]:
    """Fit on the train split alone, and predict the others.

    Args:
      task: the models to train.
      examples_uri: root of an Examples artifact.

    Returns:
      The baselines, their rows of the predictions table, and the number of clips by split.

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
    """Return each model's predictions table for one split.

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
