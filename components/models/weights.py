"""Starting weights of a base: downloaded from Keras's host, or from a file."""

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

# Neither a file nor what it claims to unpack to may be larger. VGG16 with its
# original head is 0.55 GB; with Adam's two moments for each weight 1.7 GB.
MAX_WEIGHTS_BYTES = 2 * 1024**3
KERAS_SUFFIXES = (".weights.h5", ".h5", ".keras")
DOWNLOAD_TIMEOUT_SECONDS = 30.0

_NOT_LOADED = re.compile(r"A total of (\d+) objects could not be loaded\..*<\w+ name=(\w+)")


class WeightsError(GenreflowError):
    """Starting weights cannot be had or do not fit. The text says what to do."""


@dataclasses.dataclass(frozen=True)
class Pretrained:
    """A published weights file. `digest` is the MD5 that Keras checks it with; "" where the
    host names the SHA-256 of what it sends (Hugging Face's X-Linked-Etag)."""

    file_name: str
    url: str
    digest: str = ""


def reject_weights(architecture: str, weights: str) -> None:
    """For networks that nobody pre-trained: anything but "none" is a WeightsError."""
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
    """The file of starting weights, whole as far as cheap checks tell.

    Args:
      weights: "imagenet" (downloads `pretrained` once, into Keras's cache) or a path.
      pretrained: what "imagenet" means.
      architecture: for messages.
      suffixes: how the name of a file may end.

    Raises:
      WeightsError: no network, no such file, a file that is cut short or too large.
    """
    path = download(pretrained, architecture) if weights == "imagenet" else pathlib.Path(weights)
    _check(path, architecture, suffixes)
    return path


def load(model: keras.Model, path: pathlib.Path, *, architecture: str) -> None:
    """Fills `model` in place from a file of Keras.

    Args:
      model: the base's layers as Keras's own application builds them, without its head.
      path: a `.weights.h5` or `.keras` file that Keras 3 wrote, or a published `.h5` one.
      architecture: for messages.

    Raises:
      WeightsError: the file is of another architecture.
    """
    try:
        # Of a .keras file this reads the weights alone: its configuration could name code.
        model.load_weights(path)
    except (ValueError, OSError, KeyError, RuntimeError, zipfile.BadZipFile) as error:
        raise WeightsError(misfit(path, architecture, _plain(error))) from error


def _plain(error: BaseException) -> str:
    """Keras's reason, without its objects' representations."""
    missing = _NOT_LOADED.match(str(error))
    if missing:
        count, name = missing.groups()
        return f"{count} of its layers are not in the file as they have to be, {name} for one"
    return first_line(error)


def misfit(path: pathlib.Path, architecture: str, why: str) -> str:
    """What is said of a file that holds another network."""
    return (
        f"{path} does not fit {architecture}: {why}. Its layers must be those of {architecture} "
        f"without its head, in the same order and shapes; set models.{architecture}.weights to "
        'another file, to "imagenet" or to "none"'
    )


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
                    file_hash=pretrained.digest or announced_sha256(pretrained.url),
                )
            )
    except Exception as error:  # Keras raises plain Exception for a failed download.
        host = urllib.parse.urlsplit(pretrained.url).netloc
        known = f" (its MD5 is {pretrained.digest})" if pretrained.digest else ""
        raise WeightsError(
            f'models.{architecture}.weights = "imagenet" needs {pretrained.file_name} from '
            f"{host}, and that failed: {first_line(error)}. Fetch {pretrained.url} where there "
            f"is a network{known} and put it into {cache}/models/{pretrained.file_name}, or set "
            f'models.{architecture}.weights to its path, or to "none" to start from scratch'
        ) from error


def announced_sha256(url: str) -> str:
    """The SHA-256 that a host announces for a file, asked for without fetching it.

    Raises:
      OSError: no answer, or none with a digest.
    """
    opener = urllib.request.build_opener(_NoRedirect)
    request = urllib.request.Request(url, method="HEAD")
    with opener.open(request, timeout=DOWNLOAD_TIMEOUT_SECONDS) as answer:
        digest = str(answer.headers.get("X-Linked-Etag", "")).strip('"')
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise OSError(f"{url}: the host announced no SHA-256 for the file")
    return digest


class _NoRedirect(urllib.request.HTTPErrorProcessor):
    """Hands a redirection back as it is: the digest stands in its own headers."""

    def http_response(self, request: Any, response: Any) -> Any:
        if 300 <= response.status < 400:
            return response
        return super().http_response(request, response)

    https_response = http_response


def _check(path: pathlib.Path, architecture: str, suffixes: Sequence[str]) -> None:
    """Cheap checks before Keras allocates anything for what the file claims to hold."""
    key = f"models.{architecture}.weights = {str(path)!r}"
    if not path.name.endswith(tuple(suffixes)):
        raise WeightsError(
            f'{key} is neither "imagenet" nor "none" nor a file ending in {", ".join(suffixes)}'
        )
    if not path.is_file():
        raise WeightsError(f"{key}: there is no such file")
    if path.stat().st_size > MAX_WEIGHTS_BYTES:
        raise WeightsError(f"{key}: the file is larger than {MAX_WEIGHTS_BYTES} bytes")
    try:
        claimed = _unpacked_bytes(path)
    except (OSError, KeyError, RuntimeError, ValueError, zipfile.BadZipFile) as error:
        raise WeightsError(
            f"{key}: not a whole weights file ({first_line(error)}); was it cut short? Fetch or "
            "save it again"
        ) from error
    if claimed > MAX_WEIGHTS_BYTES:
        raise WeightsError(f"{key}: it unpacks to more than {MAX_WEIGHTS_BYTES} bytes")


def _unpacked_bytes(path: pathlib.Path) -> int:
    """What the arrays of an HDF5 file, or the members of a .keras archive, add up to."""
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
