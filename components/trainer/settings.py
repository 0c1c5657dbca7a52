"""What one network's training uses, with every "as [training] says" resolved. Light."""

from __future__ import annotations

import dataclasses
import re
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt

# What people know from photographs and ask for.
REFUSED_AUGMENTATION = re.compile(r"flip|rotat|mirror|revers|transpos|shear|perspective")

REFUSED_AUGMENTATION_REASON = (
    "a spectrogram's axes are time and pitch; a clip turned, played backwards or with bass and "
    "treble exchanged is no music of its genre"
)


@dataclasses.dataclass(frozen=True)
class AugmentationSettings:
    """How training clips are varied, anew in every epoch; all off by default.

    `frequency_masks` stripes of up to `frequency_mask_bands` mel bands and `time_masks` of
    up to `time_mask_frames` frames take the clip's mean level (SpecAugment,
    arXiv:1904.08779); `gain_db`: louder or softer by up to so much; `shift_frames`: later
    or earlier by up to so many, what leaves at one end enters at the other; `mixup`: two
    clips and their labels in shares drawn from Beta(mixup, mixup) (arXiv:1710.09412).

    Flips and rotations are refused; REFUSED_AUGMENTATION_REASON says why.
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
        """Whether clips are varied at all."""
        return bool(
            self.frequency_masks
            or self.time_masks
            or self.gain_db
            or self.shift_frames
            or self.mixup
        )


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """How every network trains, unless its own table says otherwise.

    A network with trained weights trains its head for `epochs` with the base frozen, then
    the base for `fine_tune_epochs` with the head fixed; others train whole for `epochs`.
    Rates that are left out are each network's recommended ones. `schedule`: "cosine" falls
    from the rate to nothing over a phase, after `warmup_epochs` of rising to it; "constant"
    stays. `clip_norm`: the norm that all gradients together are cut to; 0 for no cut.
    `class_weights`: "balanced" counts the clips of rare genres more. `label_smoothing`:
    the share of each label that is spread over all genres. `patience`: epochs without a
    lower validation loss after which a phase ends. `precision`: "mixed" computes in 16 bits
    and keeps the weights in 32; "auto" does so where every GPU has tensor cores for it.
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
