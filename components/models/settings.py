"""The [models.<architecture>] tables."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from annotated_types import Ge, Gt, Le, Lt


@dataclasses.dataclass(frozen=True)
class ModelSettings:
    """Settings of one network. None means the value of [training], or the network's default.

    Attributes:
      weights: the name of published weights for the base, such as "imagenet", "none", or the
        path of a weights file, which for some networks may be a checkpoint's folder.
      image_size: side in pixels of the square picture that the base sees; 0 keeps the
        spectrogram's own size, which is the default without starting weights.
      head_units: width of the hidden dense layers between a base's features and the
        probabilities; 0 for none.
      dropout: share of units dropped in training.
      l2: weight of the squared-weights penalty.
      max_train_clips: clips of the train split to use at most, 0 for all.
      epochs: epochs of the first phase.
      fine_tune_epochs: epochs of the second phase; 0 skips it.
      batch_size: clips in a batch.
      learning_rate: highest rate of the first phase.
      fine_tune_learning_rate: highest rate of the second phase.
    """

    weights: str = "none"
    image_size: Annotated[int, Ge(0), Le(1024)] | None = None
    head_units: Annotated[int, Ge(0), Le(4096)] | None = None
    dropout: Annotated[float, Ge(0), Lt(1)] | None = None
    l2: Annotated[float, Ge(0), Le(1)] | None = None
    max_train_clips: Annotated[int, Ge(0)] = 0
    epochs: Annotated[int, Ge(1), Le(10000)] | None = None
    fine_tune_epochs: Annotated[int, Ge(0), Le(10000)] | None = None
    batch_size: Annotated[int, Ge(1), Le(4096)] | None = None
    learning_rate: Annotated[float, Gt(0), Le(1)] | None = None
    fine_tune_learning_rate: Annotated[float, Gt(0), Le(1)] | None = None

    def image_size_or(self, of_trained_base: int) -> int:
        """Return the side of the picture, 0 for the spectrogram's own size.

        Args:
          of_trained_base: the network's default if its base starts from trained weights.
        """
        if self.image_size is not None:
            return self.image_size
        return 0 if self.weights == "none" else of_trained_base
