"""Table of the networks. Light: an architecture's module, and Keras, are imported when built.

To add a network, write its module beside this one, with `build` and `DEFAULTS`, and give it
an entry in NETWORKS.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping

from components.models import published
from components.models.published import (
    CHECKPOINT_DATA,
    CHECKPOINT_INDEX,
    KERAS_SUFFIXES,
    SAFETENSORS_SUFFIX,
    Published,
    checkpoint_files,
)


@dataclasses.dataclass(frozen=True)
class Head:
    """Size of the part of a network that follows its base.

    Attributes:
      features: number of the base's features.
      per_cell: whether there are so many features for each cell of the picture.
      hidden_layers: number of hidden dense layers, if their width is not 0.
      units: their width unless `head_units` sets another; 0 for no hidden layers.
    """

    features: int
    per_cell: bool = False
    hidden_layers: int = 1
    units: int = 0

    def estimated_parameters(self, cells: int, units: int) -> float:
        """Return about how many weights the hidden layers have for a picture of `cells`."""
        features = self.features * (cells if self.per_cell else 1)
        return units * features + (self.hidden_layers - 1) * units**2


@dataclasses.dataclass(frozen=True)
class Architecture:
    """Facts about a network that are needed before it is built.

    The numbers of weights are approximate and for eight genres. They estimate disk space.

    Attributes:
      module: dotted name of the module that builds the network.
      parameters: number of weights that depend neither on the size of the picture nor on the
        width of a head.
      parameters_per_cell: number of weights for each cell of the picture. A cell is a square
        of `min_side_pixels`, or one pixel where that is None.
      min_side_pixels: shortest side of a coloured picture that the network's base can take,
        as it halves the picture several times. None for networks that take the spectrogram
        itself.
      head: the part that follows the network's base. None for networks without a base.
      front_end: the only front end whose spectrograms the network takes; None for any.
      published: starting weights for the base that are downloaded, by name.
      weights_suffixes: ends of the names of other files that the base may start from.
      checkpoint_folders: whether it may start from the folder of a TensorFlow 1 checkpoint too.
      image_size: default side in pixels of the picture of a base with trained weights; 0 keeps the
        spectrogram's own size.
    """

    module: str
    parameters: float
    parameters_per_cell: float = 0.0
    min_side_pixels: int | None = None
    head: Head | None = None
    front_end: str | None = None
    published: Mapping[str, Published] = dataclasses.field(default_factory=dict)
    weights_suffixes: tuple[str, ...] = KERAS_SUFFIXES
    checkpoint_folders: bool = False
    image_size: int = 0

    @property
    def has_base(self) -> bool:
        """Return whether the network has a base, which may start from trained weights."""
        return self.head is not None

    def is_path(self, weights: str) -> bool:
        """Return whether a `weights` setting is a path, and no word."""
        return weights != "none" and weights not in self.published

    def is_folder(self, weights: str) -> bool:
        """Return whether a `weights` setting is the path of a checkpoint's folder."""
        found = self.checkpoint_folders and self.is_path(weights)
        return found and "/" in weights and not weights.endswith(self.weights_suffixes)

    def weights_problem(self, weights: str) -> str:
        """Return what a `weights` setting must be, or "" if it is that; no file is looked at.

        A name without a slash is no folder, so that misspelt words are found.
        """
        if not self.is_path(weights) or self.is_folder(weights):
            return ""
        if weights.endswith(self.weights_suffixes):
            return ""
        words = ", ".join(f'"{word}"' for word in (*self.published, "none"))
        suffixes = ", ".join(self.weights_suffixes)
        folder = (
            ", or of a TensorFlow checkpoint's folder (./NAME for one in the current folder)"
            if self.checkpoint_folders
            else ""
        )
        return f"must be {words}, or the path of a weights file ({suffixes}){folder}"

    def weights_files(self, weights: str) -> list[pathlib.Path]:
        """Return the files that a `weights` setting names by a path; none for a word."""
        if self.is_folder(weights):
            return checkpoint_files(pathlib.Path(weights))
        return [pathlib.Path(weights)] if self.is_path(weights) else []

    def awaits_download(self, weights: str) -> bool:
        """Return whether a `weights` setting names published weights that are not here yet."""
        return weights in self.published and not self.published[weights].is_cached()

    def missing_weights(self, weights: str) -> str:
        """Return what is wrong if a file of a `weights` setting does not exist, otherwise ""."""
        missing = [file for file in self.weights_files(weights) if not file.is_file()]
        if not missing:
            return ""
        if not self.is_folder(weights):
            return "no such file; correct the path"
        if not pathlib.Path(weights).is_dir():
            return "no such folder; correct the path"
        return (
            f"no {missing[0].name} in this folder; a checkpoint's folder has "
            f"{CHECKPOINT_DATA} and {CHECKPOINT_INDEX}"
        )

    def estimated_parameters(self, height: int, width: int, head_units: int | None = None) -> float:
        """Return about how many weights the network has.

        Args:
          height, width: size of the picture in pixels.
          head_units: width of the head's hidden layers; None for the network's own.
        """
        side = self.min_side_pixels or 1
        cells = (height // side) * (width // side)
        found = self.parameters + self.parameters_per_cell * cells
        if self.head is not None:
            units = self.head.units if head_units is None else head_units
            found += self.head.estimated_parameters(cells, units)
        return found


# VGG16's original head is 4,096 wide, for 1,000 classes. At 128 x 87 pixels this would give a head
# for ten genres 34 million weights, and updating these would take most of an epoch on cached
# features (docs/method/networks.md compares widths).
VGG16_HEAD = Head(512, per_cell=True, hidden_layers=2, units=512)

# The pictures that published weights were trained on have this side. With spectrograms of their own
# size, the weights recognise less (docs/method/networks.md, "Pictures for ImageNet's weights").
IMAGENET_SIDE_PIXELS = 224

NETWORKS: dict[str, Architecture] = {
    "ffnn": Architecture("components.models.ffnn", 0.13e6, parameters_per_cell=512),
    "cnn_small": Architecture("components.models.cnn_small", 0.1e6),
    "crnn": Architecture("components.models.crnn", 0.25e6),
    "vgg16": Architecture(
        "components.models.vgg16",
        14.7e6,
        min_side_pixels=32,
        head=VGG16_HEAD,
        published=published.VGG16,
        image_size=IMAGENET_SIDE_PIXELS,
    ),
    "efficientnet_lite0": Architecture(
        "components.models.efficientnet_lite0",
        3.4e6,
        min_side_pixels=32,
        head=Head(1280),
        published=published.EFFICIENTNET_LITE0,
        weights_suffixes=(*KERAS_SUFFIXES, SAFETENSORS_SUFFIX),
        image_size=IMAGENET_SIDE_PIXELS,
    ),
    "resnet34": Architecture(
        "components.models.resnet34",
        21.3e6,
        min_side_pixels=32,
        head=Head(512),
        published=published.RESNET34,
        weights_suffixes=(*KERAS_SUFFIXES, SAFETENSORS_SUFFIX),
        image_size=IMAGENET_SIDE_PIXELS,
    ),
    "resnet50": Architecture(
        "components.models.resnet50",
        23.6e6,
        min_side_pixels=32,
        head=Head(2048),
        published=published.RESNET50,
        image_size=IMAGENET_SIDE_PIXELS,
    ),
    "musicnn": Architecture(
        "components.models.musicnn",
        0.8e6,
        head=Head(200 + 2 * 753),
        front_end="musicnn",
        published=published.MUSICNN,
        checkpoint_folders=True,
    ),
    "musicnn_vgg": Architecture(
        "components.models.musicnn_vgg",
        0.6e6,
        head=Head(256),
        front_end="musicnn",
        published=published.MUSICNN_VGG,
        checkpoint_folders=True,
    ),
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
