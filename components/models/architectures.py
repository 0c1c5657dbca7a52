"""The table of architectures."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


@dataclasses.dataclass(frozen=True)
class Architecture:
    """Where a network is built, and what must be known of it before anything heavy is
    imported. `smallest_side_pixels`: of the coloured picture that a base sees, so often
    does it halve it; None for networks without a base, which see the spectrogram itself."""

    module: str
    smallest_side_pixels: int | None = None


NETWORKS: dict[str, Architecture] = {
    "ffnn": Architecture("components.models.ffnn"),
    "cnn_small": Architecture("components.models.cnn_small"),
    "crnn": Architecture("components.models.crnn"),
    "vgg16": Architecture("components.models.vgg16", smallest_side_pixels=32),
    "resnet34": Architecture("components.models.resnet34", smallest_side_pixels=32),
    "resnet50": Architecture("components.models.resnet50", smallest_side_pixels=32),
}
