"""Tuner's work: read the splits, search, and write what came of it."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.metadata
import json
import os
import pathlib
from collections.abc import Sequence
from typing import Any

from tfx.types import artifact_utils
from tfx.utils import io_utils

from components.artifacts import files as artifact_files
from components.artifacts.base_executor import Artifacts, ComponentExecutor, Parameters
from components.audio.params import AudioParams
from components.common import progress
from components.common.errors import DataError
from components.models import registry
from components.models.network import Network
from components.models.settings import ModelSettings
from components.trainer import splits, tensorflow_devices
from components.trainer.callbacks import Reporter
from components.trainer.checkpoints import CHECKPOINTS_VARIABLE, Checkpoint
from components.trainer.devices import Gpu, dtype_policy
from components.trainer.features import KeptFeatures
from components.trainer.history import versions
from components.trainer.resolved import resolve
from components.trainer.settings import TrainingSettings
from components.trainer.training import train
from components.trainer.tuned import Values
from components.tuner.outcome import Outcome
from components.tuner.search import search
from components.tuner.settings import TuningSettings
from components.tuner.trainee import Trainee
from components.tuner.trials import State, Trial, guessing_loss


class Executor(ComponentExecutor):
    """Writes the best values as TFX's HyperParameters, and the TuningResults."""

    def execute(self, inputs: Artifacts, outputs: Artifacts, parameters: Parameters) -> None:
        task = Task.parse(parameters)
        examples = [inputs.single("examples")]
        patterns = [
            [io_utils.all_files_pattern(uri)]
            for split in ("train", "validation")
            for uri in artifact_utils.get_split_uris(examples, split)
        ]
        outcome, files = run(task, patterns[0], patterns[1])
        for key, contents in (
            ("results", outcome.results()),
            ("hyperparameters", outcome.hyperparameters()),
        ):
            folder = outputs.uri(key)
            for name, content in contents.items():
                artifact_files.write_bytes(os.path.join(folder, name), content)
        files.remove()


@dataclasses.dataclass(frozen=True)
class Task:
    """The node's parameters, parsed. `model` and `training` are as trial_tables made them."""

    architecture: str
    model: ModelSettings
    training: TrainingSettings
    tuning: TuningSettings
    audio: AudioParams
    genres: tuple[str, ...]
    weights_digest: str
    code_digest: str

    @classmethod
    def parse(cls, parameters: Parameters) -> Task:
        """Return the task of the node's parameters (see component.TunerSpec)."""
        return cls(
            architecture=parameters["architecture"],
            model=parameters.parse("model", ModelSettings),
            training=parameters.parse("training", TrainingSettings),
            tuning=parameters.parse("tuning", TuningSettings),
            audio=parameters.parse("audio", AudioParams),
            genres=tuple(parameters.json("genres")),
            weights_digest=parameters["weights_digest"],
            code_digest=parameters["code_digest"],
        )


def run(
    task: Task, train_files: list[str], validation_files: list[str]
) -> tuple[Outcome, StateFiles]:
    """Searches; returns what came of it, and the state to remove once that is safe.

    Args:
      task: what to do.
      train_files, validation_files: file patterns. The test split is no business of a search.

    Raises:
      GenreflowError: the examples cannot be used, the network cannot be built or trained, or
        all trials failed.
    """
    gpus = tensorflow_devices.gpus()
    with splits.opened(
        train_files,
        validation_files,
        task.audio,
        task.genres,
        limit=task.model.max_train_clips,
        seed=task.training.seed,
    ) as both:
        _check_batches(task, len(both[0]))
        files = StateFiles.of(task, both, gpus)
        watcher = _Watcher(task, len(both[0]))
        trainee = Trainee(
            task.training,
            task.model,
            registry.defaults(task.architecture),
            both,
            build=functools.partial(_build, task),
            placed=functools.partial(tensorflow_devices.placed, gpus),
            fit=functools.partial(
                train,
                scratch_dir=os.environ.get(CHECKPOINTS_VARIABLE),
                kept_features=KeptFeatures(min(_batch_sizes(task))),
            ),
            report=watcher.reporter,
            checkpoint=files.checkpoint,
            gpus=gpus,
        )
        trials = search(
            task.tuning,
            trainee,
            guessing_loss=guessing_loss(len(task.genres)),
            watcher=watcher,
            state=State(files.state),
        )
    outcome = Outcome(
        architecture=task.architecture,
        genres=len(task.genres),
        settings=task.tuning,
        trials=trials,
        clips={"train": len(both[0]), "validation": len(both[1])},
        versions=_versions(),
        audio_hash=task.audio.digest(),
        code_digest=task.code_digest,
    )
    return outcome, files


@dataclasses.dataclass(frozen=True)
class StateFiles:
    """The files of an unfinished search: its trials, and the state of the trial under way.

    Named by what the search depends on, and so not found by another one; None keeps nothing.
    """

    stem: pathlib.Path | None

    @classmethod
    def of(
        cls, task: Task, both: tuple[splits.Split, splits.Split], gpus: Sequence[Gpu]
    ) -> StateFiles:
        """Those of a search, in the folder that the environment names."""
        folder = os.environ.get(CHECKPOINTS_VARIABLE)
        if not folder:
            return cls(None)
        depends_on = [
            task.architecture,
            dataclasses.asdict(task.model),
            dataclasses.asdict(task.training),
            dataclasses.asdict(task.tuning),
            dtype_policy(task.training.precision, gpus),
            task.audio.digest(),
            task.genres,
            task.weights_digest,
            task.code_digest,
            _versions(),
            [splits.digest(split) for split in both],
        ]
        key = hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()[:24]
        return cls(pathlib.Path(folder, f"tuner-{task.architecture}-{key}"))

    @property
    def state(self) -> pathlib.Path | None:
        """Of the finished trials."""
        return self.stem and self.stem.with_name(f"{self.stem.name}.json")

    def checkpoint(self, number: int) -> Checkpoint:
        """Of the trial of a number."""
        return Checkpoint(self.stem and self.stem.with_name(f"{self.stem.name}-{number}.npz"))

    def remove(self) -> None:
        """Deletes them: the search is done."""
        State(self.state).remove()


class _Watcher:
    """Tells whoever shows progress: the event "tuning" with `architecture` and either `note`,
    a sentence, or `trial`, `trials`, `values`, `best` ([number, loss] or None so far), and
    `done` of `total` clips, counted once in each epoch of each trial."""

    def __init__(self, task: Task, clips: int) -> None:
        self._architecture = task.architecture
        self._trials, self._epochs, self._clips = task.tuning.trials, task.tuning.epochs, clips
        self._values: Values = {}
        self._best: Trial | None = None

    def begins(self, number: int, values: Values, best: Trial | None) -> None:
        self._values, self._best = values, best

    def note(self, text: str) -> None:
        progress.report("tuning", architecture=self._architecture, note=text)

    def reporter(self, number: int) -> Reporter:
        """What takes the progress of a trial's training."""

        def report(**fields: Any) -> None:
            if "note" in fields:
                self.note(f"trial {number}: {fields['note']}")
                return
            epochs = (number - 1) * self._epochs
            if fields["phase"] != "features":
                epochs += fields["epoch"] - 1
                epochs += fields["batch"] / fields["batches"] if fields["batches"] else 0
            progress.report(
                "tuning",
                architecture=self._architecture,
                trial=number,
                trials=self._trials,
                values=dict(self._values),
                best=self._best and [self._best.number, self._best.val_loss],
                done=int(epochs * self._clips),
                total=self._trials * self._epochs * self._clips,
            )

        return report


def _check_batches(task: Task, clips: int) -> None:
    largest = max(_batch_sizes(task))
    remedy = (
        "take it out of tuning.batch_size"
        if task.tuning.batch_size
        else f"set models.{task.architecture}.batch_size to {clips} or less"
    )
    if largest > clips:
        raise DataError(
            f"{task.architecture} would be tuned on {clips} clips, fewer than one batch of "
            f"{largest}: {remedy}, or tune on more clips (tuning.max_train_clips, more tracks)"
        )


def _batch_sizes(task: Task) -> Sequence[int]:
    """Those that trials may have."""
    defaults = registry.defaults(task.architecture)
    return task.tuning.batch_size or (resolve(task.training, task.model, defaults).batch_size,)


def _build(task: Task, model: ModelSettings, dtype_policy: str) -> Network:
    return registry.build(
        task.architecture,
        model,
        n_mels=task.audio.n_mels,
        frames=task.audio.frames,
        genres=len(task.genres),
        seed=task.training.seed,
        dtype_policy=dtype_policy,
    )


def _versions() -> dict[str, str]:
    names = ("keras-tuner", "scikit-learn", "scipy")
    return {**versions(), **{name: importlib.metadata.version(name) for name in names}}
