"""Uploads: how many, how large, how slow; each in a private file that is deleted in any case.

A request's body is the file itself, and a header its name. So a body goes to the disk as it comes,
and memory does not grow with its size.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import os
import pathlib
import tempfile
import urllib.parse
from collections.abc import Iterator

from fastapi import Request

from components.audio.decoding.formats import extension_of, find_format
from genreflow.web.errors import WebError

NAME_HEADER = "genreflow-file-name"
_MAX_NAME = 255
# When a place may be free again; browsers retry after it.
_RETRY_S = 2


@dataclasses.dataclass(frozen=True)
class Limits:
    """Limits of the songs that a page takes.

    Attributes:
      upload_bytes: size of one file.
      upload_seconds: time for one file to arrive.
      song_seconds: length of one song.
      songs: songs that are received, waiting or analysed at once.
      songs_each: of these, songs of one address.
      analyses: songs that are analysed at once; each has a decoding process.
      analysis_seconds: time for one song.
    """

    upload_bytes: int = 256 << 20
    upload_seconds: float = 300.0
    song_seconds: float = 1800.0
    songs: int = 12
    songs_each: int = 6
    analyses: int = 2
    analysis_seconds: float = 300.0


class Places:
    """Places for songs, of which each address may take a part. For one event loop."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._taken: collections.Counter[str] = collections.Counter()

    @contextlib.contextmanager
    def take(self, client: str) -> Iterator[None]:
        """Hold a place inside the context.

        Raises:
          WebError: 429 if the client has too many, 503 if all are taken.
        """
        if self._taken[client] >= self._limits.songs_each:
            raise WebError(
                429,
                f"you have {self._limits.songs_each} songs in progress already; wait until one is "
                "done",
                retry_after_s=_RETRY_S,
            )
        if self._taken.total() >= self._limits.songs:
            raise WebError(
                503,
                f"{self._limits.songs} songs are in progress already; retry in some seconds",
                retry_after_s=_RETRY_S,
            )
        self._taken[client] += 1
        try:
            yield
        finally:
            self._taken[client] -= 1
            if not self._taken[client]:
                del self._taken[client]


def file_name(request: Request) -> str:
    """Return the song's name from its header, percent-encoded UTF-8; it may hold anything.

    Raises:
      WebError: 400 if there is none.
    """
    text = urllib.parse.unquote(request.headers.get(NAME_HEADER, ""), errors="replace")
    if not text:
        raise WebError(
            400, f"no name: send the file's name, percent-encoded, in the header {NAME_HEADER}"
        )
    return text[:_MAX_NAME]


@contextlib.contextmanager
def private_file(folder: pathlib.Path, name: str) -> Iterator[tuple[int, pathlib.Path]]:
    """Make an empty file for a song, and delete it at the end.

    Args:
      folder: of this process alone.
      name: the song's; only an extension that names an audio format is taken from it.

    Yields:
      The open file's descriptor, and its path.
    """
    extension = extension_of(name)
    suffix = extension if find_format(extension) or find_format("x" + extension) else ""
    descriptor, path = tempfile.mkstemp(suffix, "song-", folder)
    try:
        yield descriptor, pathlib.Path(path)
    finally:
        with contextlib.suppress(OSError):
            os.close(descriptor)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


async def receive(request: Request, descriptor: int, limits: Limits) -> int:
    """Write the request's body into a file, and return its size.

    Raises:
      WebError: it is empty (400), too large (413) or too slow (408), or the disk is full (507).
      starlette.requests.ClientDisconnect: the client went away.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > limits.upload_bytes:
        raise _too_large(limits)
    if "content-encoding" in request.headers:
        raise WebError(415, "send the file as it is, without Content-Encoding")

    async def copy() -> int:
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > limits.upload_bytes:
                raise _too_large(limits)
            write_all(descriptor, chunk)
        return size

    try:
        size = await asyncio.wait_for(copy(), limits.upload_seconds)
    except (asyncio.TimeoutError, TimeoutError) as error:
        raise WebError(
            408, f"the file did not arrive within {limits.upload_seconds:g} seconds; retry"
        ) from error
    except OSError as error:
        raise WebError(507, f"the file cannot be stored for a moment: {error.strerror}") from error
    if not size:
        raise WebError(400, "the file is empty; choose another")
    return size


def write_all(descriptor: int, content: bytes) -> None:
    """Write everything; one call of the system may write less."""
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def _too_large(limits: Limits) -> WebError:
    return WebError(
        413,
        f"the file is larger than {limits.upload_bytes >> 20} MiB, the largest that this page "
        "takes; choose a shorter song or a compressed format (mp3, Ogg, FLAC), or restart the page "
        "with --max-upload-mb",
    )
