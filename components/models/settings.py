"""The [training] and [models.<architecture>] tables."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from annotated_types import Ge, Gt, Le, Lt


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """How every network trains, unless its own table says otherwise.

    Two-phase networks train the head for `epochs` with the base frozen, then the
    base for `fine_tune_epochs` with the head fixed; others train for `epochs`.
    """

    epochs: Annotated[int, Ge(1), Le(10000)] = 20
    fine_tune_epochs: Annotated[int, Ge(0), Le(10000)] = 10
    batch_size: Annotated[int, Ge(1), Le(4096)] = 32
    learning_rate: Annotated[float, Gt(0), Le(1)] = 1e-3
    fine_tune_learning_rate: Annotated[float, Gt(0), Le(1)] = 1e-5
    patience: Annotated[int, Ge(1)] = 5
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class ModelSettings:
    """One network. None means: as [training] says, or the network's own default.

    `weights`: "imagenet", "none", or the path of a Keras weights file for the base.
    `image_size`: side in pixels of the square picture the base sees; 0 keeps the
    spectrogram's own size. `max_train_clips`: 0 for all clips of the train split.
    """

    weights: str = "none"
    image_size: Annotated[int, Ge(0), Le(1024)] = 0
    dropout: Annotated[float, Ge(0), Lt(1)] | None = None
    l2: Annotated[float, Ge(0), Le(1)] | None = None
    max_train_clips: Annotated[int, Ge(0)] = 0
    epochs: Annotated[int, Ge(1), Le(10000)] | None = None
    fine_tune_epochs: Annotated[int, Ge(0), Le(10000)] | None = None
    batch_size: Annotated[int, Ge(1), Le(4096)] | None = None
    learning_rate: Annotated[float, Gt(0), Le(1)] | None = None
    fine_tune_learning_rate: Annotated[float, Gt(0), Le(1)] | None = None
