"""Choice of networks, front end and batch size by the machine and the amount of music."""

from __future__ import annotations

import dataclasses
from typing import Any

from components.audio.front_ends.musicnn import Musicnn
from components.trainer.settings import TrainingSettings
from pipeline.prepare.doctor.machine import MIN_MEMORY_BYTES

# A quarter of the clips makes four steps an epoch.
_MIN_STEPS = 4


@dataclasses.dataclass(frozen=True)
class Machine:
    """Size of a machine.

    Attributes:
      cores: cores that may be used.
      memory_bytes: memory that may be used.
      gpus: names of the GPUs that the driver lists.
    """

    cores: int
    memory_bytes: int
    gpus: tuple[str, ...] = ()

    def __str__(self) -> str:
        gpus = f", {', '.join(self.gpus)}" if self.gpus else ", no GPU"
        return f"{self.cores} cores, {self.memory_bytes / 2**30:.0f} GiB of memory{gpus}"


@dataclasses.dataclass(frozen=True)
class Choice:
    """Networks for a machine.

    Attributes:
      models: their tables, by network.
      audio: the table [audio], as far as they decide it.
      why: the reason, in a sentence.
    """

    models: dict[str, dict[str, Any]]
    audio: dict[str, Any]
    why: str


def choose_networks(machine: Machine, *, pretrained: bool) -> Choice:
    """Return the networks to train.

    Args:
      machine: the machine.
      pretrained: whether to start from musicnn's published weights, which fix the front end.
    """
    if pretrained:
        return Choice(
            {"musicnn": {"weights": "msd", "fine_tune_epochs": 0}, "cnn_small": {}},
            {"front_end": Musicnn.name, "clips_per_track": 10, "evaluation_clips": "all"},
            "musicnn has heard a million songs, and only its head is trained, in minutes on a "
            "processor",
        )
    if machine.gpus:
        imagenet = {"weights": "imagenet"}
        return Choice(
            {"cnn_small": {}, "crnn": {}, "vgg16": imagenet, "resnet50": imagenet},
            {},
            "a GPU trains the large networks, too; ImageNet's weights are downloaded once",
        )
    if machine.memory_bytes < MIN_MEMORY_BYTES or machine.cores < 2:
        return Choice(
            {"ffnn": {}, "cnn_small": {}},
            {},
            "this machine has little memory or a single core, so only small ones",
        )
    return Choice(
        {"ffnn": {}, "cnn_small": {}, "crnn": {}},
        {},
        "a processor trains these in minutes to hours; crnn is the best of them on real music",
    )


def batch_size(train_clips: int) -> int:
    """Return a batch size with some steps in an epoch: the default, or less for few clips."""
    size = TrainingSettings.batch_size
    while size > 1 and size * _MIN_STEPS > train_clips:
        size //= 2
    return size


def floor(genres: int) -> float:
    """Return the gate's lowest accuracy: a quarter of the way from guessing to certainty."""
    return round(1 / genres + (1 - 1 / genres) / 4, 2)
