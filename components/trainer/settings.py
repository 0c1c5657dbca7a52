"""The [training] table. Light."""

from __future__ import annotations

import dataclasses
import re
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt

# Names of augmentations for photographs, which users may try.
REFUSED_AUGMENTATION = re.compile(r"flip|rotat|mirror|revers|transpos|shear|perspective")

REFUSED_AUGMENTATION_REASON = (
    "a spectrogram's axes are time and pitch; a clip that is rotated, reversed or has bass and "
    "treble swapped is no longer music of its genre"
)


@dataclasses.dataclass(frozen=True)
class AugmentationSettings:
    """Random variations of training clips, drawn anew in every epoch; all off by default.

    Masks are SpecAugment's (arXiv:1904.08779): stripes that take the clip's mean level. Flips
    and rotations are rejected, for REFUSED_AUGMENTATION_REASON.

    Attributes:
      frequency_masks: number of stripes of mel bands.
      frequency_mask_bands: width of each at most.
      time_masks: number of stripes of frames.
      time_mask_frames: width of each at most.
      gain_db: largest change of level, up or down.
      shift_frames: largest shift in time, either way, around the clip's ends.
      mixup: two clips and their labels are mixed in shares drawn from Beta(mixup, mixup)
        (arXiv:1710.09412); 0 for no mixup.
    """

    frequency_masks: Annotated[int, Ge(0), Le(16)] = 0
    frequency_mask_bands: Annotated[int, Ge(1), Le(512)] = 16
    time_masks: Annotated[int, Ge(0), Le(16)] = 0
    time_mask_frames: Annotated[int, Ge(1), Le(4096)] = 16
    gain_db: Annotated[float, Ge(0), Le(40)] = 0.0
    shift_frames: Annotated[int, Ge(0), Le(4096)] = 0
    mixup: Annotated[float, Ge(0), Le(10)] = 0.0

    @property
    def any(self) -> bool:
        """Return whether any variation is on."""
        return bool(
            self.frequency_masks
            or self.time_masks
            or self.gain_db
            or self.shift_frames
            or self.mixup
        )


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """Settings of every network's training, unless its own table sets another value.

    A network with trained weights has two phases: its head trains on the frozen base, then the
    base trains with the head fixed. Other networks train as a whole in one phase.

    Attributes:
      epochs: epochs of the first phase at most.
      fine_tune_epochs: epochs of the second phase at most; 0 skips it.
      batch_size: clips in a batch.
      learning_rate: highest rate of the first phase; None for the network's recommended one.
      fine_tune_learning_rate: highest rate of the second phase; None likewise.
      schedule: "cosine" decays the rate to 0 over a phase, "constant" keeps it.
      warmup_epochs: epochs in which "cosine" first raises the rate.
      clip_norm: largest norm of all gradients together; 0 for no limit.
      class_weights: "balanced" weighs the clips of rare genres more.
      label_smoothing: share of each label that is spread over all genres.
      patience: a phase ends after so many epochs without a lower validation loss.
      seed: seed of everything random.
      precision: "mixed" computes in 16 bits and keeps weights in 32. "auto" does so if every
        GPU has tensor cores for it.
      augmentation: random variations of the clips.
    """

    epochs: Annotated[int, Ge(1), Le(10000)] = 20
    fine_tune_epochs: Annotated[int, Ge(0), Le(10000)] = 10
    batch_size: Annotated[int, Ge(1), Le(4096)] = 32
    learning_rate: Annotated[float, Gt(0), Le(1)] | None = None
    fine_tune_learning_rate: Annotated[float, Gt(0), Le(1)] | None = None
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup_epochs: Annotated[int, Ge(0), Le(1000)] = 1
    clip_norm: Annotated[float, Ge(0), Le(1e6)] = 1.0
    class_weights: Literal["balanced", "none"] = "balanced"
    label_smoothing: Annotated[float, Ge(0), Lt(1)] = 0.0
    patience: Annotated[int, Ge(1)] = 5
    seed: int = 0
    precision: Literal["auto", "float32", "mixed"] = "auto"
    augmentation: AugmentationSettings = dataclasses.field(default_factory=AugmentationSettings)
