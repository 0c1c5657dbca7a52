"""Table of the networks. Light: an architecture's module, and Keras, are imported when built.

To add a network, write its module beside this one, with `build` and `DEFAULTS`, and give it
an entry in NETWORKS.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Architecture:
    """Facts about a network that are needed before it is built.

    The numbers of weights are approximate and for eight genres. They estimate disk space.

    Attributes:
      module: dotted name of the module that builds the network.
      parameters: number of weights that do not depend on the size of the picture.
      parameters_per_cell: number of weights for each cell of the picture. A cell is a square
        of `min_side_pixels`, or one pixel where that is None.
      min_side_pixels: shortest side of a coloured picture that the network's base can take,
        as it halves the picture several times. None for networks without a base, which take
        the spectrogram itself.
    """

    module: str
    parameters: float
    parameters_per_cell: float = 0.0
    min_side_pixels: int | None = None

    @property
    def has_base(self) -> bool:
        """Return whether the network has a base, which may start from trained weights."""
        return self.min_side_pixels is not None

    def estimated_parameters(self, height: int, width: int) -> float:
        """Return about how many weights the network has for a picture of this size in pixels."""
        side = self.min_side_pixels or 1
        return self.parameters + self.parameters_per_cell * (height // side) * (width // side)


NETWORKS: dict[str, Architecture] = {
    "ffnn": Architecture("components.models.ffnn", 0.13e6, parameters_per_cell=512),
    "cnn_small": Architecture("components.models.cnn_small", 0.1e6),
    "crnn": Architecture("components.models.crnn", 0.25e6),
    # 512: the width of the base's features and of the head's layers.
    "vgg16": Architecture(
        "components.models.vgg16",
        14.7e6 + 512 * 512,
        parameters_per_cell=512 * 512,
        min_side_pixels=32,
    ),
    "resnet34": Architecture("components.models.resnet34", 21.3e6, min_side_pixels=32),
    "resnet50": Architecture("components.models.resnet50", 23.6e6, min_side_pixels=32),
}


def of_name(name: str) -> Architecture:
    """Return a network's entry.

    Raises:
      ValueError: there is no such network.
    """
    if name not in NETWORKS:
        raise ValueError(f"unknown network {name!r}; there are: {', '.join(sorted(NETWORKS))}")
    return NETWORKS[name]


def code_of(name: str) -> tuple[str, tuple[str, ...]]:
    """Return the argument with which code_digest counts one network's module and no other's."""
    return __name__, (NETWORKS[name].module,)
