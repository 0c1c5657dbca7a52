"""Starting weights of a base, downloaded from a host of published weights or from a file."""

from __future__ import annotations

import contextlib
import pathlib
import re
import socket
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import h5py
import keras
import numpy as np

from components.common.errors import GenreflowError
from components.models import architectures
from components.models import published as published_weights
from components.models.published import File, Published

# Limit of a file's size, and of the size that it claims to unpack to. VGG16 with its original
# head takes 0.55 GB, and with Adam's two moments of each weight 1.7 GB.
MAX_WEIGHTS_BYTES = 2 * 1024**3
DOWNLOAD_TIMEOUT_SECONDS = 30.0

_NOT_LOADED = re.compile(r"A total of (\d+) objects could not be loaded\..*<\w+ name=(\w+)")


class WeightsError(GenreflowError):
    """Error of starting weights that are missing, damaged or of another network."""


def reject_weights(architecture: str, weights: str) -> None:
    """Raise WeightsError unless `weights` is "none"; for networks without published weights."""
    if weights != "none":
        raise WeightsError(
            f"models.{architecture}.weights = {weights!r}: {architecture} has no pre-trained "
            'base; set it to "none"'
        )


def obtain(weights: str, *, architecture: str) -> pathlib.Path:
    """Return the file or the checkpoint's folder of starting weights, after cheap checks.

    Args:
      weights: a path, or the name of published weights, which are downloaded once, into Keras's
        cache.
      architecture: the network's name.

    Raises:
      WeightsError: the download failed, or a file is missing, truncated or too large.
    """
    made = architectures.of_name(architecture)
    if not made.is_path(weights):
        return download(made.published[weights], weights, architecture)
    key = f"models.{architecture}.weights = {weights!r}"
    problem = made.weights_problem(weights) or made.missing_weights(weights)
    if problem:
        raise WeightsError(f"{key}: {problem}")
    if sum(file.stat().st_size for file in made.weights_files(weights)) > MAX_WEIGHTS_BYTES:
        raise WeightsError(f"{key}: larger than {MAX_WEIGHTS_BYTES} bytes")
    path = pathlib.Path(weights)
    if path.is_file():
        _check_unpacked(path, key)
    return path


def load(model: keras.Model, path: pathlib.Path, *, architecture: str) -> None:
    """Load the weights in a file of Keras into `model`.

    Args:
      model: the base's layers as Keras's own application builds them, without its head.
      path: a `.weights.h5` or `.keras` file that Keras 3 wrote, or a published `.h5` file.
      architecture: for messages.

    Raises:
      WeightsError: the file is of another architecture, or holds values that are not finite.
    """
    try:
        # This reads only the weights of a .keras file. Its configuration could name code.
        model.load_weights(path)
    except (ValueError, OSError, KeyError, RuntimeError, zipfile.BadZipFile) as error:
        raise WeightsError(mismatch(path, architecture, _plain(error))) from error
    check_finite(
        path, {weight.path: keras.ops.convert_to_numpy(weight) for weight in model.weights}
    )


def _plain(error: BaseException) -> str:
    """Return Keras's reason, without its objects' representations."""
    missing = _NOT_LOADED.match(str(error))
    if missing:
        count, name = missing.groups()
        return f"{count} of its layers are missing or of another shape, for example {name}"
    return first_line(error)


def mismatch(path: pathlib.Path, architecture: str, why: str) -> str:
    """Return the message for a file that holds another network."""
    words = [f'"{name}"' for name in architectures.of_name(architecture).published]
    return (
        f"{path} does not fit {architecture}: {why}. Its layers must be those of {architecture} "
        f"without its head, in the same order and shapes; set models.{architecture}.weights to "
        f'{", ".join(["another path", *words])} or "none"'
    )


def check_shapes(
    path: pathlib.Path,
    architecture: str,
    held: Mapping[str, Sequence[int]],
    wanted: Mapping[str, Sequence[int]],
    *,
    left_out: re.Pattern[str],
) -> None:
    """Raise WeightsError unless a file's arrays are those of a network.

    Args:
      path: the file, for messages.
      architecture: the network's name.
      held: shapes of the file's arrays, by name.
      wanted: shapes of the network's.
      left_out: matches names of arrays that the network does not use.
    """
    missing = sorted(wanted.keys() - held.keys())
    unknown = sorted(n for n in held.keys() - wanted.keys() if not left_out.fullmatch(n))
    found = [
        f"it {verb} {names[0]}" + (f" and {len(names) - 1} more" if len(names) > 1 else "")
        for verb, names in (("lacks", missing), ("holds", unknown))
        if names
    ]
    if found:
        raise WeightsError(mismatch(path, architecture, " and ".join(found)))
    for name, shape in wanted.items():
        if list(held[name]) != list(shape):
            why = f"{name} has shape {list(held[name])}, not {list(shape)}"
            raise WeightsError(mismatch(path, architecture, why))


def check_finite(path: pathlib.Path, values: Mapping[str, Any]) -> None:
    """Raise WeightsError if an array holds a value that is not finite."""
    for name, array in values.items():
        if not np.isfinite(array).all():
            raise WeightsError(f"{path}: {name} holds values that are not finite; it is damaged")


def download(published: Published, name: str, architecture: str) -> pathlib.Path:
    """Return Keras's cached copy of published weights, downloaded if absent: a file or a folder.

    Args:
      published: the files.
      name: the weights' name in the configuration.
      architecture: for messages.

    Raises:
      WeightsError: a file is not in the cache and cannot be downloaded.
    """
    cache, place = published_weights.keras_cache(), published.place
    folder = place if published.folder else place.parent
    wrong = [file.name for file in published.files if _is_another(folder / file.name, file)]
    try:
        # Keras silently falls back to a folder in /tmp if its own is missing.
        cache.mkdir(parents=True, exist_ok=True)
        with _socket_timeout(DOWNLOAD_TIMEOUT_SECONDS):
            for file in published.files:
                keras.utils.get_file(
                    file.name,
                    file.url,
                    cache_dir=str(cache),
                    cache_subdir=str(folder.relative_to(cache)),
                    file_hash=file.digest or announced_sha256(file.url),
                )
    except Exception as error:  # Keras raises plain Exception for a failed download.
        replaced = f" (the {' and '.join(wrong)} in {folder} was another)" if wrong else ""
        what = "the folder" if published.folder else "the file"
        # Keras begins with the address, which says nothing of the reason.
        reason = first_line(error).rpartition(" -- ")[2]
        raise WeightsError(
            f'models.{architecture}.weights = "{name}": {place} is missing{replaced}, and the '
            f"download failed: {reason}. On a machine with internet, type "
            f"`genreflow download weights {architecture}`, and copy {what} here"
        ) from error
    return place


def _is_another(path: pathlib.Path, file: File) -> bool:
    """Return whether a file in the cache is not the published one."""
    return bool(file.digest) and path.is_file() and not file.is_at(path)


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


def _check_unpacked(path: pathlib.Path, key: str) -> None:
    """Check a file cheaply, before Keras allocates memory for the arrays that it claims."""
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
