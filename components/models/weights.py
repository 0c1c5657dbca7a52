"""Starting weights of a base: downloaded from Keras's host, or from a file."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import socket
import urllib.parse
import zipfile
from collections.abc import Iterator
from typing import Any

import h5py
import keras

from components.errors import GenreflowError

# Neither a file nor what it claims to unpack to may be larger. VGG16 with its
# original head is 0.55 GB; with Adam's two moments for each weight 1.7 GB.
MAX_WEIGHTS_BYTES = 2 * 1024**3
SUFFIXES = (".weights.h5", ".h5", ".keras")
DOWNLOAD_TIMEOUT_SECONDS = 30.0


class WeightsError(GenreflowError):
    """Starting weights cannot be had or do not fit. The text says what to do."""


@dataclasses.dataclass(frozen=True)
class Pretrained:
    """A published weights file, and the MD5 that Keras checks it with."""

    file_name: str
    url: str
    md5: str


def reject_weights(architecture: str, weights: str) -> None:
    """For networks that nobody pre-trained: anything but "none" is a WeightsError."""
    if weights != "none":
        raise WeightsError(
            f"models.{architecture}.weights = {weights!r}: {architecture} has no pre-trained "
            'base; set it to "none"'
        )


def load(model: keras.Model, weights: str, pretrained: Pretrained, *, architecture: str) -> None:
    """Fills `model` in place.

    Args:
      model: the base's layers as Keras's own application builds them, without its head.
      weights: "imagenet" (downloads `pretrained` once, into Keras's cache) or a path: a
        `.weights.h5` or `.keras` file that Keras 3 wrote, or a published `.h5` one.
      architecture: for messages.

    Raises:
      WeightsError: no network, no such file, a file that is cut short, of another
        architecture, or too large.
    """
    path = download(pretrained, architecture) if weights == "imagenet" else pathlib.Path(weights)
    _check(path, architecture)
    try:
        # Of a .keras file this reads the weights alone: its configuration could name code.
        model.load_weights(path)
    except (ValueError, OSError, KeyError, RuntimeError, zipfile.BadZipFile) as error:
        raise WeightsError(
            f"{path} does not fit {architecture}: {_first_line(error)}. Its layers must be "
            f"those of {architecture} without its head, in the same order and shapes; set "
            f'models.{architecture}.weights to another file, to "imagenet" or to "none"'
        ) from error


def download(pretrained: Pretrained, architecture: str) -> pathlib.Path:
    """Keras's cached copy of a published file, fetched and checked by its MD5 if absent.

    Raises:
      WeightsError: it is not there and cannot be fetched.
    """
    cache = pathlib.Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser()
    try:
        # Keras quietly falls back to a folder in /tmp where its own is missing.
        cache.mkdir(parents=True, exist_ok=True)
        with _socket_timeout(DOWNLOAD_TIMEOUT_SECONDS):
            return pathlib.Path(
                keras.utils.get_file(
                    pretrained.file_name,
                    pretrained.url,
                    cache_dir=str(cache),
                    cache_subdir="models",
                    file_hash=pretrained.md5,
                )
            )
    except Exception as error:  # Keras raises plain Exception for a failed download.
        host = urllib.parse.urlsplit(pretrained.url).netloc
        raise WeightsError(
            f'models.{architecture}.weights = "imagenet" needs {pretrained.file_name} from '
            f"{host}, and that failed: {_first_line(error)}. Fetch {pretrained.url} where there "
            f"is a network (its MD5 is {pretrained.md5}) and put it into {cache}/models/, or set "
            f'models.{architecture}.weights to its path, or to "none" to start from scratch'
        ) from error


def _check(path: pathlib.Path, architecture: str) -> None:
    """Cheap checks before Keras allocates anything for what the file claims to hold."""
    key = f"models.{architecture}.weights = {str(path)!r}"
    if not path.name.endswith(SUFFIXES):
        raise WeightsError(
            f'{key} is neither "imagenet" nor "none" nor a file ending in {", ".join(SUFFIXES)}'
        )
    if not path.is_file():
        raise WeightsError(f"{key}: there is no such file")
    if path.stat().st_size > MAX_WEIGHTS_BYTES:
        raise WeightsError(f"{key}: the file is larger than {MAX_WEIGHTS_BYTES} bytes")
    try:
        claimed = _unpacked_bytes(path)
    except (OSError, KeyError, RuntimeError, ValueError, zipfile.BadZipFile) as error:
        raise WeightsError(
            f"{key}: not a whole weights file ({_first_line(error)}); was it cut short? Fetch or "
            "save it again"
        ) from error
    if claimed > MAX_WEIGHTS_BYTES:
        raise WeightsError(f"{key}: it unpacks to more than {MAX_WEIGHTS_BYTES} bytes")


def _unpacked_bytes(path: pathlib.Path) -> int:
    """What the arrays of an HDF5 file, or the members of a .keras archive, add up to."""
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            return sum(member.file_size for member in archive.infolist())
    total = 0

    def add(_name: str, item: Any) -> None:
        nonlocal total
        if isinstance(item, h5py.Dataset):
            total += item.size * item.dtype.itemsize

    with h5py.File(path, "r") as file:
        file.visititems(add)
    return total


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300].rstrip(".") if lines else type(error).__name__


@contextlib.contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    """For a downloader that sets none: an unanswered connection fails, never hangs."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
