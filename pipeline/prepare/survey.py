"""Survey of audio files for check-data: rejects, duplicates and decoding time."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import queue
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from components.audio.decoding.limits import DecodeLimits
from components.audio.params import AudioParams
from components.common.resources import usable_cores
from components.datasets.track import Reject, Track
from components.spectrogram_gen.rejects import duplicate_rejects

if TYPE_CHECKING:
    from components.audio.decoding.decode import DecodeError
    from components.audio.decoding.decoder import Decoder


TIMED_TRACKS = 8


@dataclasses.dataclass(frozen=True)
class Survey:
    """Result of a survey.

    Attributes:
      rejects: tracks that a run would leave out.
      seconds_per_track: measured on a few tracks, on one core; None without tracks.
    """

    rejects: tuple[Reject, ...]
    seconds_per_track: float | None


def survey_files(
    tracks: Sequence[Track],
    params: AudioParams,
    *,
    full: bool,
    clip_seed: int,
    limits: DecodeLimits | None,
    advance: Callable[[], None],
    workers: int | None = None,
) -> Survey:
    """Check every file, in parallel.

    Args:
      tracks: the tracks.
      params: the audio parameters.
      full: decode every file and look for duplicates. Otherwise only headers are read, which
        finds neither damage inside files nor silence nor duplicates.
      clip_seed: selects the clips that are checked for silence.
      limits: limits of decoding, which then runs in a process beside each thread; None decodes
        in this process.
      advance: called once per track.
      workers: number of threads; None is one per core.
    """
    from components.audio.decoding.isolation import make_decoder
    from components.audio.duplicates import find_duplicates
    from components.datasets.files.fetching import Fetcher, FetchingDecoder
    from components.storage.client import CONNECTIONS

    threads = workers or usable_cores()
    with contextlib.ExitStack() as stack:
        # Each thread takes a decoder for one file, and puts it back.
        decoders: queue.SimpleQueue[Decoder] = queue.SimpleQueue()
        # Objects are fetched whole even for their headers, as an mp3's length needs all of it.
        fetcher = stack.enter_context(Fetcher(tracks, ahead=CONNECTIONS))
        for _ in range(threads):
            decoder = stack.enter_context(make_decoder(limits))
            decoders.put(FetchingDecoder(decoder, fetcher))

        def check(track: Track) -> Reject | str | None:
            """Return a reject, else the audio's fingerprint if the file was decoded, else None."""
            decoder = decoders.get()
            try:
                if full:
                    return _decode_whole(track, params, clip_seed, decoder)
                return _header_reject(track, params, decoder)
            finally:
                decoders.put(decoder)
                advance()

        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            outcomes = list(zip(tracks, pool.map(check, tracks), strict=True))
        decoder = decoders.get()
        duplicates = find_duplicates(
            ((track.track_id, track.uri, end) for track, end in outcomes if isinstance(end, str)),
            decoder,
        )
        rejects = [end for _, end in outcomes if isinstance(end, Reject)]
        rejects += duplicate_rejects(tracks, duplicates)
        bad = {reject.track_id for reject in rejects}
        good = [track for track in tracks if track.track_id not in bad]
        return Survey(tuple(rejects), _time_tracks(good, params, decoder))


def _header_reject(track: Track, params: AudioParams, decoder: Decoder) -> Reject | None:
    """Return the reject that a track's header shows, or None. Decodes only short files."""
    from components.audio.decoding.decode import DecodeError

    try:
        frames, rate_hz = decoder.header(track.uri)
    except DecodeError as error:
        return _reject(track, error)
    # A header may be wrong: decode before rejecting a short file.
    if frames >= params.clip_seconds * rate_hz:
        return None
    outcome = _decode_whole(track, params, 0, decoder)
    return outcome if isinstance(outcome, Reject) else None


def _decode_whole(track: Track, params: AudioParams, seed: int, decoder: Decoder) -> Reject | str:
    """Decode a whole track; return its audio's fingerprint, or its reject."""
    from components.audio.decoding.decode import DecodeError
    from components.spectrogram_gen import extract

    try:
        return extract.read_track(track, params, seed, strict=True, decoder=decoder).fingerprint
    except DecodeError as error:
        return _reject(track, error)


def _reject(track: Track, error: DecodeError) -> Reject:
    return Reject(track.track_id, track.uri, track.genre, error.reason, error.detail)


def _time_tracks(tracks: Sequence[Track], params: AudioParams, decoder: Decoder) -> float | None:
    """Measure the seconds per track of decoding and spectrograms on one core."""
    from components.audio.decoding.decode import DecodeError
    from components.spectrogram_gen import extract

    step = max(1, len(tracks) // TIMED_TRACKS)
    sample = tracks[::step][: TIMED_TRACKS + 1]
    begun = None
    timed = 0
    for track in sample:
        try:
            clips = extract.read_track(track, params, 0, decoder=decoder)
        except DecodeError:
            continue
        extract.make_mels(clips, params)
        if begun is None:  # the first track includes imports and filterbanks
            begun = time.perf_counter()
        else:
            timed += 1
    return (time.perf_counter() - begun) / timed if begun is not None and timed else None
