"""Starting weights of a base, downloaded from a host of published weights or from a file."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import re
import socket
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any

import h5py
import keras

from components.common.errors import GenreflowError

# Limit of a file's size, and of the size that it claims to unpack to. VGG16 with its original
# head takes 0.55 GB, and with Adam's two moments of each weight 1.7 GB.
MAX_WEIGHTS_BYTES = 2 * 1024**3
KERAS_SUFFIXES = (".weights.h5", ".h5", ".keras")
DOWNLOAD_TIMEOUT_SECONDS = 30.0

_NOT_LOADED = re.compile(r"A total of (\d+) objects could not be loaded\..*<\w+ name=(\w+)")


class WeightsError(GenreflowError):
    """Error of starting weights that are missing, damaged or of another network."""


@dataclasses.dataclass(frozen=True)
class Pretrained:
    """A published weights file.

    Attributes:
      file_name: its name in Keras's cache.
      url: its address.
      digest: the MD5 by which Keras checks it, or "" if the host announces a SHA-256 (Hugging
        Face's X-Linked-Etag).
    """

    file_name: str
    url: str
    digest: str = ""


def reject_weights(architecture: str, weights: str) -> None:
    """Raise WeightsError unless `weights` is "none"; for networks without published weights."""
    if weights != "none":
        raise WeightsError(
            f"models.{architecture}.weights = {weights!r}: {architecture} has no pre-trained "
            'base; set it to "none"'
        )


def obtain(
    weights: str,
    pretrained: Pretrained,
    *,
    architecture: str,
    suffixes: Sequence[str] = KERAS_SUFFIXES,
) -> pathlib.Path:
    """Return the file of starting weights, after cheap checks that it is complete.

    Args:
      weights: a path, or "imagenet", which downloads `pretrained` once, into Keras's cache.
      pretrained: the file that "imagenet" means.
      architecture: for messages.
      suffixes: allowed ends of a file's name.

    Raises:
      WeightsError: the download failed, or the file is missing, truncated or too large.
    """
    path = download(pretrained, architecture) if weights == "imagenet" else pathlib.Path(weights)
    _check(path, architecture, suffixes)
    return path


def load(model: keras.Model, path: pathlib.Path, *, architecture: str) -> None:
    """Load the weights in a file of Keras into `model`.

    Args:
      model: the base's layers as Keras's own application builds them, without its head.
      path: a `.weights.h5` or `.keras` file that Keras 3 wrote, or a published `.h5` file.
      architecture: for messages.

    Raises:
      WeightsError: the file is of another architecture.
    """
    try:
        # This reads only the weights of a .keras file. Its configuration could name code.
        model.load_weights(path)
    except (ValueError, OSError, KeyError, RuntimeError, zipfile.BadZipFile) as error:
        raise WeightsError(mismatch(path, architecture, _plain(error))) from error


def _plain(error: BaseException) -> str:
    """Return Keras's reason, without its objects' representations."""
    missing = _NOT_LOADED.match(str(error))
    if missing:
        count, name = missing.groups()
        return f"{count} of its layers are missing or of another shape, for example {name}"
    return first_line(error)


def mismatch(path: pathlib.Path, architecture: str, why: str) -> str:
    """Return the message for a file that holds another network."""
    return (
        f"{path} does not fit {architecture}: {why}. Its layers must be those of {architecture} "
        f"without its head, in the same order and shapes; set models.{architecture}.weights to "
        'another file, to "imagenet" or to "none"'
    )


def download(pretrained: Pretrained, architecture: str) -> pathlib.Path:
    """Return Keras's cached copy of a published file, downloaded if absent.

    Raises:
      WeightsError: the file is not in the cache and cannot be downloaded.
    """
    cache = pathlib.Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser()
    try:
        # Keras silently falls back to a folder in /tmp if its own is missing.
        cache.mkdir(parents=True, exist_ok=True)
        with _socket_timeout(DOWNLOAD_TIMEOUT_SECONDS):
            return pathlib.Path(
                keras.utils.get_file(
                    pretrained.file_name,
                    pretrained.url,
                    cache_dir=str(cache),
                    cache_subdir="models",
                    file_hash=pretrained.digest or announced_sha256(pretrained.url),
                )
            )
    except Exception as error:  # Keras raises plain Exception for a failed download.
        host = urllib.parse.urlsplit(pretrained.url).netloc
        known = f" (its MD5 is {pretrained.digest})" if pretrained.digest else ""
        raise WeightsError(
            f'models.{architecture}.weights = "imagenet" needs {pretrained.file_name} from '
            f"{host}, and the download failed: {first_line(error)}. Download {pretrained.url} on a "
            f"connected machine{known}, copy it to {cache}/models/{pretrained.file_name}, or set "
            f'models.{architecture}.weights to its path, or to "none" to start from scratch'
        ) from error


def announced_sha256(url: str) -> str:
    """Return the SHA-256 that a host announces for a file, without downloading the file.

    Raises:
      OSError: the host does not respond, or announces no digest.
    """
    opener = urllib.request.build_opener(_NoRedirect)
    request = urllib.request.Request(url, method="HEAD")
    with opener.open(request, timeout=DOWNLOAD_TIMEOUT_SECONDS) as response:
        digest = str(response.headers.get("X-Linked-Etag", "")).strip('"')
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise OSError(f"{url}: the host announced no SHA-256 for the file")
    return digest


class _NoRedirect(urllib.request.HTTPErrorProcessor):
    """Processor that returns a redirection as it is, for the digest in its headers."""

    def http_response(self, request: Any, response: Any) -> Any:
        if 300 <= response.status < 400:
            return response
        return super().http_response(request, response)

    https_response = http_response


def _check(path: pathlib.Path, architecture: str, suffixes: Sequence[str]) -> None:
    """Check a file cheaply, before Keras allocates memory for the arrays that it claims."""
    key = f"models.{architecture}.weights = {str(path)!r}"
    if not path.name.endswith(tuple(suffixes)):
        raise WeightsError(
            f'{key} is neither "imagenet" nor "none" nor a file ending in {", ".join(suffixes)}'
        )
    if not path.is_file():
        raise WeightsError(f"{key}: there is no such file; correct the path")
    if path.stat().st_size > MAX_WEIGHTS_BYTES:
        raise WeightsError(f"{key}: the file is larger than {MAX_WEIGHTS_BYTES} bytes")
    try:
        claimed = _unpacked_bytes(path)
    except (OSError, KeyError, RuntimeError, ValueError, zipfile.BadZipFile) as error:
        raise WeightsError(
            f"{key}: not a complete weights file ({first_line(error)}); it may be truncated. "
            "Download or save it again"
        ) from error
    if claimed > MAX_WEIGHTS_BYTES:
        raise WeightsError(f"{key}: it unpacks to more than {MAX_WEIGHTS_BYTES} bytes")


def _unpacked_bytes(path: pathlib.Path) -> int:
    """Return the size of all arrays of an HDF5 file, or of all members of a .keras archive."""
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            return sum(member.file_size for member in archive.infolist())
    if path.suffix == ".safetensors":
        return path.stat().st_size  # not compressed
    total = 0

    def add(_name: str, item: Any) -> None:
        nonlocal total
        if isinstance(item, h5py.Dataset):
            total += item.size * item.dtype.itemsize

    with h5py.File(path, "r") as file:
        file.visititems(add)
    return total


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, at most 300 characters, or its class."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300].rstrip(".") if lines else type(error).__name__


@contextlib.contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    """Set the default timeout, for a downloader that sets none and would otherwise hang."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
