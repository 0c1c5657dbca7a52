"""Executor of Tuner: reads the splits, searches, and writes the results."""

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
from components.common import progress
from components.common.errors import DataError
from components.models import registry
from components.models.network import Network
from components.models.settings import ModelSettings
from components.trainer import splits, tensorflow_devices
from components.trainer.callbacks import Reporter
from components.trainer.checkpoints import CHECKPOINTS_VARIABLE, Checkpoint
from components.trainer.devices import Gpu, dtype_policy
from components.trainer.features import FeatureCache
from components.trainer.history import versions
from components.trainer.resolved import resolve
from components.trainer.task import TrainingTask
from components.trainer.training import train
from components.trainer.tuned import Values
from components.tuner.results import SearchResults
from components.tuner.search import search
from components.tuner.task import TuningTask
from components.tuner.trial_runner import NetworkTrialRunner
from components.tuner.trials import SearchState, Trial, guessing_loss


class Executor(ComponentExecutor):
    """Executor that writes the best values as TFX's HyperParameters, and the TuningResults."""

    def execute(self, inputs: Artifacts, outputs: Artifacts, parameters: Parameters) -> None:
        """Search, and write the results."""
        task = TuningTask.parse(parameters.json("task"))
        examples = [inputs.single("examples")]
        patterns = [
            [io_utils.all_files_pattern(uri)]
            for split in ("train", "validation")
            for uri in artifact_utils.get_split_uris(examples, split)
        ]
        results, state = run(task, patterns[0], patterns[1])
        for key, contents in (
            ("results", results.result_files()),
            ("hyperparameters", results.hyperparameter_files()),
        ):
            folder = outputs.uri(key)
            for name, content in contents.items():
                artifact_files.write_bytes(os.path.join(folder, name), content)
        state.remove()


def run(
    task: TuningTask, train_files: list[str], validation_files: list[str]
) -> tuple[SearchResults, StateFiles]:
    """Search. Return the results, and the state files to remove once the results are safe.

    Args:
      task: the search to run.
      train_files, validation_files: file patterns. A search never reads the test split.

    Raises:
      GenreflowError: the examples cannot be used, the network cannot be built or trained, or
        all trials failed.
    """
    network = task.training
    gpus = tensorflow_devices.gpus()
    with splits.opened(
        train_files,
        validation_files,
        network.audio,
        network.genres,
        limit=network.model.max_train_clips,
        seed=network.training.seed,
    ) as both:
        _check_batches(task, len(both[0]))
        files = StateFiles.of(task, both, gpus)
        watcher = _Watcher(task, len(both[0]))
        runner = NetworkTrialRunner(
            network.training,
            network.model,
            registry.defaults(network.architecture),
            both,
            build=functools.partial(_build, network),
            placed=functools.partial(tensorflow_devices.placed, gpus),
            train=functools.partial(
                train,
                scratch_dir=os.environ.get(CHECKPOINTS_VARIABLE),
                feature_cache=FeatureCache(min(_batch_sizes(task))),
            ),
            reporter=watcher.reporter,
            checkpoint=files.checkpoint,
            gpus=gpus,
        )
        trials = search(
            task.tuning,
            runner,
            guessing_loss=guessing_loss(len(network.genres)),
            watcher=watcher,
            state=SearchState(files.state),
        )
    results = SearchResults(
        architecture=network.architecture,
        genres=len(network.genres),
        settings=task.tuning,
        trials=trials,
        clips={"train": len(both[0]), "validation": len(both[1])},
        versions=_versions(),
        audio_hash=network.audio.digest(),
        code_digest=network.code_digest,
    )
    return results, files


@dataclasses.dataclass(frozen=True)
class StateFiles:
    """Files of an unfinished search: its finished trials, and the state of the current trial.

    Attributes:
      stem: path without its suffix. Its name is a hash of all that the search depends on, so
        another search does not find it. None saves nothing.
    """

    stem: pathlib.Path | None

    @classmethod
    def of(
        cls, task: TuningTask, both: tuple[splits.Split, splits.Split], gpus: Sequence[Gpu]
    ) -> StateFiles:
        """Return the files of a search, in the folder that the environment names."""
        folder = os.environ.get(CHECKPOINTS_VARIABLE)
        if not folder:
            return cls(None)
        depends_on = [
            task.to_json(),
            dtype_policy(task.training.training.precision, gpus),
            _versions(),
            [splits.digest(split) for split in both],
        ]
        key = hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()[:24]
        return cls(pathlib.Path(folder, f"tuner-{task.training.architecture}-{key}"))

    @property
    def state(self) -> pathlib.Path | None:
        """File of the finished trials."""
        return self.stem and self.stem.with_name(f"{self.stem.name}.json")

    def checkpoint(self, number: int) -> Checkpoint:
        """Return the checkpoint of a trial."""
        return Checkpoint(self.stem and self.stem.with_name(f"{self.stem.name}-{number}.npz"))

    def remove(self) -> None:
        """Delete the files, once the search's results are safe."""
        SearchState(self.state).remove()


class _Watcher:
    """Sender of progress events "tuning".

    An event has `architecture` and either `note`, a sentence, or these fields: `trial` of
    `trials`; the trial's `values`; `best`, which is [number, loss] of the best trial so far or
    None; and `done` of `total` clips, each counted once in each epoch of each trial.
    """

    def __init__(self, task: TuningTask, clips: int) -> None:
        self._architecture = task.training.architecture
        self._trials, self._epochs, self._clips = task.tuning.trials, task.tuning.epochs, clips
        self._values: Values = {}
        self._best: Trial | None = None

    def begins(self, number: int, values: Values, best: Trial | None) -> None:
        self._values, self._best = values, best

    def note(self, text: str) -> None:
        progress.report("tuning", architecture=self._architecture, note=text)

    def reporter(self, number: int) -> Reporter:
        """Return the receiver of a trial's progress."""

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


def _check_batches(task: TuningTask, clips: int) -> None:
    """Raise DataError if a trial could have a batch larger than the train split."""
    architecture = task.training.architecture
    largest = max(_batch_sizes(task))
    remedy = (
        "remove it from tuning.batch_size"
        if task.tuning.batch_size
        else f"set models.{architecture}.batch_size to {clips} or less"
    )
    if largest > clips:
        raise DataError(
            f"{architecture} would be tuned on {clips} clips, fewer than one batch of "
            f"{largest}: {remedy}, or tune on more clips (tuning.max_train_clips, more tracks)"
        )


def _batch_sizes(task: TuningTask) -> Sequence[int]:
    """Return the batch sizes that trials may have."""
    network = task.training
    defaults = registry.defaults(network.architecture)
    settings = resolve(network.training, network.model, defaults)
    return task.tuning.batch_size or (settings.batch_size,)


def _build(task: TrainingTask, model: ModelSettings, dtype_policy: str) -> Network:
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
