"""Decoding what lies in an object store: each object is fetched whole, decoded, and deleted.

Decoders read local files. Fetching is mostly waiting, so the next few objects are fetched by
threads while one is decoded; what they may take on the disk is bounded.
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

from components.audio.decoding.decode import EXTENSIONS, DecodeError
from components.audio.decoding.decode_tasks import Answer
from components.audio.decoding.decoder import Decoder
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

# An hour of stereo at 44.1 kHz, 24 bits, has 0.95 GB.
MAX_OBJECT_BYTES = 1 << 30
# Of what was fetched and waits; one object is always fetched, whatever its size.
AHEAD_BYTES = 256 << 20


class Fetcher:
    """Local copies of objects, the next ones fetched ahead. Several threads may share it."""

    def __init__(self, tracks: Iterable[Track], *, ahead: int, scratch: str | None = None) -> None:
        """Begins to fetch.

        Args:
          tracks: those that will be asked for, about in this order; local ones are passed
            over.
          ahead: how many are fetched before they are asked for; 0 for none.
          scratch: folder for the copies; None is where temporary files go.
        """
        self._remote = [track for track in tracks if is_remote(track.uri)]
        self._states = {track.uri: track.state for track in self._remote}
        self._coming = iter(self._remote if ahead else ())
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
        """A path at which what lies at `uri` can be read, until the context ends.

        Raises:
          DecodeError: missing_file, unreadable or too_large.
          DataError: the object is not the one that was listed.
          StorageError: the store cannot be asked.
        """
        if not is_remote(uri):
            yield uri
            return
        with self._lock:
            future = self._waiting.pop(uri, None)
        try:
            path = future.result() if future else self._fetch(uri, self._states.get(uri))
        except ObjectMissing as error:
            raise DecodeError("missing_file", "there is no such object") from error
        except ObjectForbidden as error:
            raise DecodeError("unreadable", "access denied") from error
        except ObjectTooLarge as error:
            raise DecodeError(
                "too_large", f"objects of at most {MAX_OBJECT_BYTES >> 20} MiB are read"
            ) from error
        except ObjectChanged as error:
            raise DataError(
                f"{uri}: it changed while the run was going; start again once the data is at rest"
            ) from error
        except OSError as error:
            raise GenreflowError(
                f"{error.filename or self._folder}: {error.strerror}: no room for what is fetched"
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
        """Sets more threads to work, as far as the bounds allow."""
        with self._lock:
            while len(self._waiting) < self._ahead:
                track = self._next or next(self._coming, None)
                self._next = track
                if track is None:
                    return
                size = self._size(track.uri)
                if self._waiting and self._held_bytes + size > AHEAD_BYTES:
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
    """Answers for objects as another decoder does for files. Closing it closes neither."""

    def __init__(self, inner: Decoder, fetcher: Fetcher) -> None:
        self._inner, self._fetcher = inner, fetcher

    def stream(self, path: str | pathlib.Path, rate_hz: int, part_samples: int) -> Iterator[Part]:
        """As Decoder.stream; the object is fetched once."""
        with self._fetcher.local(os.fspath(path)) as local:
            yield from self._inner.stream(local, rate_hz, part_samples)

    def _ask(
        self,
        task: str,
        path: str | pathlib.Path,
        arguments: dict[str, Any],
        most_samples: int,
        parse: Callable[[Answer], T],
    ) -> T:
        with self._fetcher.local(os.fspath(path)) as local:
            return self._inner._ask(task, local, arguments, most_samples, parse)

    def _answer(
        self,
        task: str,
        arguments: dict[str, Any],
        most_samples: int,
        parse: Callable[[Answer], T],
    ) -> T:
        return self._inner._answer(task, arguments, most_samples, parse)


@contextlib.contextmanager
def fetching(
    decoder: Decoder,
    tracks: Iterable[Track],
    *,
    ahead: int = CONNECTIONS,
    scratch: str | None = None,
) -> Iterator[Decoder]:
    """A decoder that reads these tracks wherever they lie; `decoder` itself for local ones."""
    tracks = list(tracks)
    if not any(is_remote(track.uri) for track in tracks):
        yield decoder
        return
    with Fetcher(tracks, ahead=ahead, scratch=scratch) as fetcher:
        yield FetchingDecoder(decoder, fetcher)


def _extension(uri: str) -> str:
    """That of the object where it is one that is read; libsndfile looks at some."""
    extension = os.path.splitext(uri)[1].lower()
    return extension if extension in EXTENSIONS else ""
