"""HTTP responses with the audio of an object store, whole or the range that a player asks for."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Final

from fastapi import Response
from fastapi.responses import StreamingResponse
from starlette.types import Send

from genreflow.exploring.audio_objects import AudioError, AudioObject, AudioObjects

# Read from the store by one request, and held in memory for each listener.
BLOCK_BYTES: Final = 1 << 20
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


class NoSuchRangeError(Exception):
    """Error for a range that begins after the end."""


def byte_range(header: str, size_bytes: int) -> tuple[int, int] | None:
    """Return the first byte of a range, and the byte after its last one.

    Args:
      header: the Range header; "" for none.
      size_bytes: size of the whole.

    Returns:
      The range; None for the whole. That is allowed as an answer to any header, and is the answer
      to several ranges, which no player asks for.

    Raises:
      NoSuchRangeError: it begins after the end.
    """
    found = _RANGE.fullmatch(header.strip())
    if found is None or found[0] == "bytes=-":
        return None
    first, last = found.groups()
    if not first:  # the last bytes
        start, stop = max(0, size_bytes - int(last)), size_bytes
    else:
        start, stop = int(first), min(int(last) + 1, size_bytes) if last else size_bytes
        if last and int(last) < start:
            return None
    if start >= size_bytes:
        raise NoSuchRangeError
    return start, stop


def respond(objects: AudioObjects, audio: AudioObject, headers: Mapping[str, str]) -> Response:
    """Return the response to a request for an object.

    Its beginning is read before the response starts, so that an error has its own response.

    Args:
      objects: reads the object.
      audio: the object.
      headers: of the request, by names in lower case.

    Raises:
      AudioError: the object cannot be read.
    """
    wanted = headers.get("range", "")
    anew = not wanted or wanted.startswith("bytes=0-")
    state = objects.state(audio, anew=anew)
    size = state.size_bytes
    etag = f'"{hashlib.sha256(state.etag.encode()).hexdigest()[:32]}"'
    try:
        part = byte_range(wanted, size) if headers.get("if-range", etag) == etag else None
    except NoSuchRangeError:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{size}"})
    start, stop = part or (0, size)
    first = objects.read(audio, state, start, min(start + BLOCK_BYTES, stop))

    def blocks() -> Iterator[bytes]:
        yield first
        for at in range(start + BLOCK_BYTES, stop, BLOCK_BYTES):
            yield objects.read(audio, state, at, min(at + BLOCK_BYTES, stop))

    told = {"Accept-Ranges": "bytes", "ETag": etag, "Content-Length": str(stop - start)}
    if part:
        told["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    return _CutResponse(blocks(), 206 if part else 200, headers=told, media_type=audio.media_type)


class _CutResponse(StreamingResponse):
    """Response that is cut off where its content fails: the player asks again, and is told."""

    async def stream_response(self, send: Send) -> None:
        with contextlib.suppress(AudioError):
            await super().stream_response(send)
