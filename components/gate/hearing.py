"""Reading of the test tracks' audio for the serving model, with several decoders at once."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import dataclasses
import os
import pathlib
import queue
from collections.abc import Iterator, Mapping, Sequence

from components.artifacts.code_digest import code_digest
from components.artifacts.names import STORE_SCRATCH
from components.audio.decoding import decode_tasks
from components.audio.decoding.clip_reader import WindowShape
from components.audio.decoding.decode import DecodeError
from components.audio.decoding.decoder import Decoder
from components.audio.decoding.isolation import make_decoder
from components.audio.decoding.limits import DecodeLimits
from components.audio.stretches import Stretch, merged
from components.common.errors import DataError
from components.common.escape import printable
from components.common.resources import usable_cores
from components.datasets.files.fetching import fetching
from components.datasets.track import Track
from components.examples.sources import Source, Sources, find_now
from components.gate.window_store import Windows, WindowStore
from components.storage.client import CONNECTIONS

# A song that a model cannot answer for. Any other failure is not the model's.
UNHEARD = ("too_short", "near_silent", "channels_cancel")
# Each holds a track's windows in memory.
MAX_DECODERS = 8


@dataclasses.dataclass(frozen=True)
class Listening:
    """Settings of reading audio.

    Attributes:
      store: folder of the examples' cache, where windows are kept; "" for none.
      limits: limits of decoding; None decodes in this process.
    """

    store: str
    limits: DecodeLimits | None

    @property
    def scratch(self) -> str | None:
        """The local folder for downloads; None is the system's temporary folder."""
        return os.path.join(self.store, STORE_SCRATCH) if self.store else None


def hear(
    stretches: Mapping[str, Sequence[Stretch]],
    sources: Sources,
    shape: WindowShape,
    listening: Listening,
) -> Iterator[tuple[str, Windows]]:
    """Yield the windows of each track, read from its file or from the store.

    Args:
      stretches: by track, what to hear of it.
      sources: the tracks' files.
      shape: rate and length of the windows.
      listening: how to read.

    Raises:
      DataError: a file is missing or has changed since the examples were made, or cannot be
        decoded. The first two are found of all tracks before any is decoded.
      StorageError: an object store cannot be read.
      DecoderUnavailableError: the decoding process cannot be started.
    """
    found = _find_all(stretches, sources)
    store = WindowStore(
        listening.store, shape, strict=sources.strict, code=code_digest(decode_tasks.__name__)
    )
    jobs = []
    for track_id, (source, track) in found.items():
        wanted = merged(stretches[track_id])
        jobs.append(_Job(track, wanted, store.path(source, wanted)))
    count = max(1, min(len(jobs), usable_cores(), MAX_DECODERS))
    with contextlib.ExitStack() as stack:
        free: queue.SimpleQueue[Decoder] = queue.SimpleQueue()
        for _ in range(count):  # a process of each starts with its first track
            free.put(stack.enter_context(make_decoder(listening.limits)))
        pool = concurrent.futures.ThreadPoolExecutor(count)
        stack.callback(pool.shutdown, wait=True, cancel_futures=True)
        waiting: collections.deque[tuple[str, concurrent.futures.Future[Windows]]]
        waiting = collections.deque()
        for job in jobs:
            future = pool.submit(_read, job, shape, store, listening.scratch, free)
            waiting.append((job.track.track_id, future))
            if len(waiting) > count:  # no more tracks in memory than that
                track_id, future = waiting.popleft()
                yield track_id, future.result()
        for track_id, future in waiting:
            yield track_id, future.result()


@dataclasses.dataclass(frozen=True)
class _Job:
    """A track to read: what to hear of it, and where its windows are kept."""

    track: Track
    stretches: Sequence[Stretch]
    path: pathlib.Path | None


def _read(
    job: _Job,
    shape: WindowShape,
    store: WindowStore,
    scratch: str | None,
    free: queue.SimpleQueue[Decoder],
) -> Windows:
    kept = store.get(job.path)
    if kept is not None:
        return kept
    decoder = free.get()
    try:
        with fetching(decoder, [job.track], ahead=0, scratch=scratch) as reader:
            waveforms = reader.read_windows(
                job.track.uri,
                job.stretches,
                rate_hz=shape.sample_rate_hz,
                window_samples=shape.clip_samples,
            )
        windows = Windows.of(waveforms)
    except DecodeError as error:
        if error.reason not in UNHEARD:
            raise DataError(
                f"{printable(job.track.uri)} cannot be decoded again "
                f"({printable(f'{error.reason}: {error.detail}')})"
            ) from error
        windows = Windows.none(error.reason)
    finally:
        free.put(decoder)
    store.put(job.path, windows)
    return windows


def _find_all(
    stretches: Mapping[str, Sequence[Stretch]], sources: Sources
) -> dict[str, tuple[Source, Track]]:
    """Return each track's file, if it is what it was when the examples were made."""
    known = {source.track_id: source for source in sources.sources}
    lost = [track_id for track_id in stretches if track_id not in known]
    if lost:
        raise DataError(
            f"the examples do not say where {len(lost)} of {len(stretches)} test tracks are, "
            f"such as {printable(lost[0])}; rerun the pipeline"
        )
    with concurrent.futures.ThreadPoolExecutor(CONNECTIONS) as pool:
        now = pool.map(lambda one: find_now(known[one], strict=sources.strict), stretches)
        states = dict(zip(stretches, now, strict=True))
    problems = {one: state for one, state in states.items() if isinstance(state, str)}
    if problems:
        counts = collections.Counter(problems.values())
        counted = " and ".join(f"{number} {kind}" for kind, number in sorted(counts.items()))
        first = known[next(iter(problems))].uri
        raise DataError(
            f"of the files of {len(stretches)} test tracks {counted} since the examples were "
            f"made, such as {printable(first)}; rerun the pipeline"
        )
    return {one: (known[one], state) for one, state in states.items() if not isinstance(state, str)}
