"""Published starting weights: their files, addresses and checksums. Light."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib

# Ends of the names of weights files that Keras reads, and of those that safetensors reads.
KERAS_SUFFIXES = (".weights.h5", ".h5", ".keras")
SAFETENSORS_SUFFIX = ".safetensors"

# Files of a TensorFlow 1 checkpoint whose name is its folder's.
CHECKPOINT_INDEX = ".index"
CHECKPOINT_DATA = ".data-00000-of-00001"


@dataclasses.dataclass(frozen=True)
class File:
    """A published file.

    Attributes:
      name: its name in Keras's cache.
      url: its address.
      digest: the MD5 or SHA-256 by which Keras checks it, or "" if the host announces a SHA-256
        (Hugging Face's X-Linked-Etag).
    """

    name: str
    url: str
    digest: str = ""

    @property
    def algorithm(self) -> str:
        """Name of the digest's algorithm."""
        return "MD5" if len(self.digest) == 32 else "SHA-256"

    def is_at(self, path: pathlib.Path) -> bool:
        """Return whether an existing file has the published digest; False without one."""
        if not self.digest:
            return False
        found = hashlib.new(self.algorithm.replace("-", ""), usedforsecurity=False)
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                found.update(block)
        return found.hexdigest() == self.digest


@dataclasses.dataclass(frozen=True)
class Published:
    """Starting weights that a network's authors or others have published.

    Attributes:
      files: one file, or those of a folder.
      licence: SPDX identifier of the weights' licence.
      trained_on: the data that the weights were trained on, for readers of a model card.
      paper: address of the paper that describes them.
      folder: the folder's path below Keras's cache of models; "" for a single file beside others.
    """

    files: tuple[File, ...]
    licence: str
    trained_on: str
    paper: str
    folder: str = ""

    @property
    def place(self) -> pathlib.Path:
        """The folder of the files, or the only file, in Keras's cache."""
        models = keras_cache() / "models"
        return models / self.folder if self.folder else models / self.files[0].name

    def is_cached(self) -> bool:
        """Return whether all files are in Keras's cache; their content is not looked at."""
        folder = self.place if self.folder else self.place.parent
        return all((folder / file.name).is_file() for file in self.files)


def keras_cache() -> pathlib.Path:
    """Return the folder of Keras's downloads, which need not exist."""
    return pathlib.Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser()


def checkpoint_files(folder: pathlib.Path) -> list[pathlib.Path]:
    """Return the files of a folder that are read as a TensorFlow 1 checkpoint."""
    return [folder / CHECKPOINT_DATA, folder / CHECKPOINT_INDEX]


_IMAGENET = "ImageNet, 1.3 million photographs of 1,000 classes"


def _keras(application: str, name: str, digest: str, licence: str, paper: str) -> Published:
    """Return Keras's weights without a head, with the digest that Keras checks."""
    host = "https://storage.googleapis.com/tensorflow/keras-applications"
    file = File(name, f"{host}/{application}/{name}", digest)
    return Published((file,), licence, _IMAGENET, paper)


def _timm(name: str, paper: str) -> Published:
    """Return one of timm's sets of weights, with the digest that its host announces."""
    url = f"https://huggingface.co/timm/{name}/resolve/main/model.safetensors"
    return Published((File(f"{name}.safetensors", url),), "Apache-2.0", _IMAGENET, paper)


VGG16 = {
    "imagenet": _keras(
        "vgg16",
        "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "6d6bbae143d832006294945121d1f1fc",
        "CC-BY-4.0",
        "https://arxiv.org/abs/1409.1556",
    )
}
RESNET50 = {
    "imagenet": _keras(
        "resnet",
        "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "4d473c1dd8becc155b73f8504c6f6626",
        "MIT",
        "https://arxiv.org/abs/1512.03385",
    )
}
# timm's own training.
RESNET34 = {"imagenet": _timm("resnet34.a1_in1k", "https://arxiv.org/abs/2110.00476")}
# The weights of TensorFlow's authors under timm's names.
EFFICIENTNET_LITE0 = {
    "imagenet": _timm("tf_efficientnet_lite0.in1k", "https://arxiv.org/abs/1905.11946")
}


def _musicnn(name: str, trained_on: str, data: str, index: str) -> Published:
    """Return one of the checkpoints in the musicnn library, at a fixed commit."""
    host = (
        "https://raw.githubusercontent.com/jordipons/musicnn/"
        "516acb2a0ff5ef73f64547898e018e793152c506/musicnn"
    )
    digests = {CHECKPOINT_DATA: data, CHECKPOINT_INDEX: index}
    return Published(
        tuple(File(file, f"{host}/{name}/{file}", digest) for file, digest in digests.items()),
        "ISC",
        trained_on,
        "https://arxiv.org/abs/1909.06654",
        folder=f"musicnn/{name}",
    )


_MSD = "the Million Song Dataset, to predict 50 tags, among them genres"
_MTT = "MagnaTagATune, to predict 50 tags, among them genres"
MUSICNN = {
    "msd": _musicnn(
        "MSD_musicnn",
        _MSD,
        "8579734ee6388f799ed0def4bbd0d1fdcbeaf213ef2a9dc860917bd76a303de6",
        "87f3e0f3550c8d3bafc840374003e5c8af5eeb5ecf6add61af09a7822d3282c8",
    ),
    "mtt": _musicnn(
        "MTT_musicnn",
        _MTT,
        "041f3935e981a65cea739842d30c188d3a7d2adf4410955c8668eb3de4a5acab",
        "da2d7bb670b2b31e9bc441bb1bd75eca31b5b061f963cc1f9630c1aff3238f57",
    ),
}
MUSICNN_VGG = {
    "msd": _musicnn(
        "MSD_vgg",
        _MSD,
        "9683d756b8311146534f333502ebf4a2a78a3e320c54ab0411dff6186d8375fc",
        "50e499238457558bba9f34f8b84d4afb8279afd43520cdf0a4fdf805a49c9ca3",
    ),
    "mtt": _musicnn(
        "MTT_vgg",
        _MTT,
        "458f5c8bcecc086a3bba3dce83809df6da6e0a3560a59ddd84711bf3d5fd8303",
        "4b0d3d2d02bbe0919c063c1fb74bfa9018ac3517e362d681b07444d4207a5f5f",
    ),
}
