"""Decoding of objects in an object store: each one is downloaded, decoded and deleted.

Decoders read local files. Downloading is mostly waiting, so threads download the next few
objects while one is decoded. The disk space for them is bounded.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import pathlib
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from components.audio.decoding.decode import DecodeError
from components.audio.decoding.decode_tasks import DecodeResult
from components.audio.decoding.decoder import Decoder
from components.audio.decoding.formats import extension_of, is_readable
from components.audio.decoding.streaming import Part
from components.common.errors import DataError, GenreflowError
from components.datasets.track import Track
from components.storage import objects
from components.storage.client import CONNECTIONS
from components.storage.errors import (
    ObjectChanged,
    ObjectForbidden,
    ObjectMissing,
    ObjectTooLarge,
)
from components.storage.objects import ObjectState
from components.storage.uri import is_remote

T = TypeVar("T")

# An hour of stereo at 44.1 kHz and 24 bits has 0.95 GB.
MAX_OBJECT_BYTES = 1 << 30
# Size of the objects downloaded ahead. One object is always allowed, whatever its size.
MAX_AHEAD_BYTES = 256 << 20


class Fetcher:
    """Downloader of objects that keeps the next ones ready. Threads may share it."""

    def __init__(
        self,
        tracks: Iterable[Track],
        *,
        ahead: int,
        coming: Iterable[Track] | None = None,
        scratch: str | None = None,
    ) -> None:
        """Initialize the downloader; downloads start on entering its context.

        Args:
          tracks: the tracks that may be requested. Local ones are skipped.
          ahead: number of objects to download before they are requested; 0 for none.
          coming: those of the tracks that will be requested, about in this order; None for all.
          scratch: folder for the copies; None is the system's temporary folder.
        """
        self._remote = [track for track in tracks if is_remote(track.uri)]
        self._states = {track.uri: track.state for track in self._remote}
        expected = self._remote if coming is None else coming
        self._coming = iter([track for track in expected if is_remote(track.uri)] if ahead else ())
        self._ahead, self._scratch = ahead, scratch
        self._lock = threading.Lock()
        self._waiting: dict[str, concurrent.futures.Future[pathlib.Path]] = {}
        self._held_bytes = 0
        self._next: Track | None = None
        self._count = 0
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Fetcher:
        if self._remote:
            if self._scratch:
                os.makedirs(self._scratch, exist_ok=True)
            self._folder = self._stack.enter_context(
                tempfile.TemporaryDirectory(prefix="genreflow-fetch-", dir=self._scratch)
            )
            self._pool = concurrent.futures.ThreadPoolExecutor(max(1, self._ahead))
            self._stack.callback(self._pool.shutdown, wait=True, cancel_futures=True)
            self._fill()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    @contextlib.contextmanager
    def local(self, uri: str) -> Iterator[str]:
        """Yield a local path with the content of `uri`, valid until the context ends.

        Raises:
          DecodeError: missing_file, unreadable or too_large.
          DataError: the object has changed since it was listed.
          GenreflowError: the copy cannot be written.
          StorageError: the store cannot be reached.
        """
        if not is_remote(uri):
            yield uri
            return
        with self._lock:
            future = self._waiting.pop(uri, None)
        try:
            path = future.result() if future else self._fetch(uri, self._states.get(uri))
        except ObjectMissing as error:
            raise DecodeError("missing_file", "no such object") from error
        except ObjectForbidden as error:
            raise DecodeError("unreadable", "access denied") from error
        except ObjectTooLarge as error:
            raise DecodeError(
                "too_large", f"the object is larger than {MAX_OBJECT_BYTES >> 20} MiB"
            ) from error
        except ObjectChanged as error:
            raise DataError(
                f"{uri}: the object changed during the run; run again when the data is stable"
            ) from error
        except OSError as error:
            raise GenreflowError(
                f"{error.filename or self._folder}: {error.strerror}; a downloaded object "
                "cannot be stored there"
            ) from error
        finally:
            if future:
                with self._lock:
                    self._held_bytes -= self._size(uri)
                self._fill()
        try:
            yield str(path)
        finally:
            path.unlink(missing_ok=True)

    def _fill(self) -> None:
        """Start further downloads within the limits."""
        with self._lock:
            while len(self._waiting) < self._ahead:
                track = self._next or next(self._coming, None)
                self._next = track
                if track is None:
                    return
                size = self._size(track.uri)
                if self._waiting and self._held_bytes + size > MAX_AHEAD_BYTES:
                    return
                self._next = None
                self._held_bytes += size
                self._waiting[track.uri] = self._pool.submit(self._fetch, track.uri, track.state)

    def _fetch(self, uri: str, state: ObjectState | None) -> pathlib.Path:
        state = state or objects.find(uri)
        if state is None:
            raise ObjectMissing(uri)
        with self._lock:
            self._count += 1
            name = f"{self._count}{_extension(uri)}"
        path = pathlib.Path(self._folder, name)
        try:
            objects.download(uri, path, state, MAX_OBJECT_BYTES)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return path

    def _size(self, uri: str) -> int:
        state = self._states.get(uri)
        return state.size_bytes if state else 0


class FetchingDecoder(Decoder):
    """Decoder of objects: downloads each one for another decoder. Closing it closes neither."""

    def __init__(self, inner: Decoder, fetcher: Fetcher) -> None:
        self._inner, self._fetcher = inner, fetcher

    def stream(
        self, path: str | pathlib.Path, rate_hz: int, window_samples: int, windows: int = 1
    ) -> Iterator[Part]:
        """Decode part by part, as Decoder.stream; the object is downloaded once."""
        with self._fetcher.local(os.fspath(path)) as local:
            yield from self._inner.stream(local, rate_hz, window_samples, windows)

    def _run(
        self,
        task: str,
        path: str | pathlib.Path,
        arguments: dict[str, Any],
        max_samples: int,
        parse: Callable[[DecodeResult], T],
    ) -> T:
        with self._fetcher.local(os.fspath(path)) as local:
            return self._inner._run(task, local, arguments, max_samples, parse)

    def _execute(
        self,
        task: str,
        arguments: dict[str, Any],
        max_samples: int,
        parse: Callable[[DecodeResult], T],
    ) -> T:
        return self._inner._execute(task, arguments, max_samples, parse)


@contextlib.contextmanager
def fetching(
    decoder: Decoder,
    tracks: Iterable[Track],
    *,
    ahead: int = CONNECTIONS,
    coming: Iterable[Track] | None = None,
    scratch: str | None = None,
) -> Iterator[Decoder]:
    """Yield a decoder that reads local files and objects; `decoder` itself if all are local.

    Args:
      decoder: decoder of local files.
      tracks: the tracks that may be decoded.
      ahead: number of objects to download ahead.
      coming: those of the tracks that will be decoded, about in this order; None for all.
      scratch: folder for the copies; None is the system's temporary folder.
    """
    tracks = list(tracks)
    if not any(is_remote(track.uri) for track in tracks):
        yield decoder
        return
    with Fetcher(tracks, ahead=ahead, coming=coming, scratch=scratch) as fetcher:
        yield FetchingDecoder(decoder, fetcher)


def _extension(uri: str) -> str:
    """Return the object's extension if supported, else "". libsndfile uses some as hints."""
    return extension_of(uri) if is_readable(uri) else ""
