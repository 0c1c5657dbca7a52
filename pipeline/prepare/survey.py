"""Survey of audio files for check-data: rejects, duplicates and decoding time."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import dataclasses
import functools
import queue
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from components.audio.clips import ClipChoice
from components.audio.decoding.limits import DecodeLimits
from components.audio.params import AudioParams
from components.common.errors import DatasetError
from components.common.resources import usable_cores
from components.datasets.track import Reject, Track
from components.spectrogram_gen.rejects import duplicate_rejects

if TYPE_CHECKING:
    from components.audio.decoding.decoder import Decoder
    from components.datasets.corpus import Corpus
    from components.datasets.settings import DatasetSettings
    from components.spectrogram_gen.first_usable import Used


TIMED_TRACKS = 8
# Files that are opened to see whether a data set is music at all.
TRIED_FILES = 24


@dataclasses.dataclass(frozen=True)
class Survey:
    """Result of a survey.

    Attributes:
      rejects: tracks, and copies of tracks, that a run would leave out.
      unusable: ids of the tracks of which no file is left.
      seconds_per_track: measured on a few tracks, on one core; None without tracks.
    """

    rejects: tuple[Reject, ...]
    unusable: frozenset[str]
    seconds_per_track: float | None


def survey_files(
    tracks: Sequence[Track],
    params: AudioParams,
    *,
    full: bool,
    clip_seed: int,
    limits: DecodeLimits | None,
    advance: Callable[[], None],
    evaluated: Collection[Track] = (),
    workers: int | None = None,
) -> Survey:
    """Check every file, in parallel.

    Args:
      tracks: the tracks, or some of them.
      params: the audio parameters.
      full: decode every file and look for duplicates. Otherwise only headers are read, which
        finds neither damage inside files nor silence nor duplicates.
      clip_seed: selects the clips that are checked for silence.
      limits: limits of decoding, which then runs in a process beside each thread; None decodes
        in this process.
      advance: called once per track.
      evaluated: those of the tracks that are evaluated on (`audio.evaluation_clips`).
      workers: number of threads; None is one per core.
    """
    from components.audio.decoding.isolation import make_decoder
    from components.audio.duplicates import find_duplicates
    from components.datasets.files.fetching import Fetcher, FetchingDecoder
    from components.spectrogram_gen.first_usable import first_usable
    from components.storage.client import CONNECTIONS

    threads = workers or usable_cores()
    evaluated_ids = {track.track_id for track in evaluated}

    def choice_for(track: Track) -> ClipChoice:
        return ClipChoice.of(params, evaluates=track.track_id in evaluated_ids)

    with contextlib.ExitStack() as stack:
        # Each thread takes a decoder for one file, and puts it back.
        decoders: queue.SimpleQueue[Decoder] = queue.SimpleQueue()
        # Objects are fetched whole even for their headers, as an mp3's length needs all of it.
        fetcher = stack.enter_context(Fetcher(tracks, ahead=CONNECTIONS))
        for _ in range(threads):
            decoder = stack.enter_context(make_decoder(limits))
            decoders.put(FetchingDecoder(decoder, fetcher))

        def check(track: Track) -> tuple[Used[str | None] | None, list[Reject]]:
            """Check a track's files; the result is the audio's fingerprint if it was decoded."""
            decoder = decoders.get()

            def attempt(file: Track) -> str | None:
                if full:
                    return _fingerprint(file, params, clip_seed, choice_for(track), decoder)
                _check_header(file, params, choice_for(track), decoder)
                return None

            try:
                return first_usable(track, attempt)
            finally:
                decoders.put(decoder)
                advance()

        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            outcomes = list(pool.map(check, tracks))
        decoder = decoders.get()
        used = [one for one, _ in outcomes if one]
        duplicates = find_duplicates(
            (
                (one.file.track_id, one.file.uri, one.result)
                for one in used
                if one.result is not None
            ),
            decoder,
        )
        rejects = [
            reject
            for track, (_, left_out) in zip(tracks, outcomes, strict=True)
            if track.track_id not in duplicates
            for reject in left_out
        ]
        rejects += duplicate_rejects(tracks, duplicates)
        good = [one.file for one in used if one.file.track_id not in duplicates]
        unusable = {track.track_id for track in tracks} - {track.track_id for track in good}
        groups: dict[ClipChoice, list[Track]] = collections.defaultdict(list)
        for file in good:
            groups[choice_for(file)].append(file)
        return Survey(tuple(rejects), frozenset(unusable), _time_groups(groups, params, decoder))


def some_of(tracks: Sequence[Track]) -> Sequence[Track]:
    """Return TRIED_FILES tracks, spread over all."""
    return tracks[:: max(1, len(tracks) // TRIED_FILES)][:TRIED_FILES]


def check_some(corpus: Corpus, dataset: DatasetSettings, params: AudioParams) -> None:
    """Look at files until one can be used, so that wrong data end a run before all else.

    Only headers are read. If most tracks may be rejected, some of them prove nothing.

    Args:
      corpus: the tracks.
      dataset: its settings.
      params: the audio parameters.

    Raises:
      DatasetError: none of some tracks can be used.
    """
    from components.audio.decoding.isolation import make_decoder
    from components.datasets.files.fetching import Fetcher, FetchingDecoder
    from components.spectrogram_gen.first_usable import first_usable

    tried = some_of(corpus.tracks)
    if len(tried) < len(corpus.tracks) and dataset.max_reject_fraction > 0.5:
        return
    evaluated = {track.track_id for track in corpus.evaluation_tracks}
    rejects: list[Reject] = []
    with Fetcher(tried, ahead=0) as fetcher, make_decoder(dataset.decode_limits) as decoder:
        fetching = FetchingDecoder(decoder, fetcher)
        for track in tried:
            choice = ClipChoice.of(params, evaluates=track.track_id in evaluated)
            check = functools.partial(_check_header, params=params, choice=choice, decoder=fetching)
            used, left_out = first_usable(track, check)
            if used:
                return
            rejects += left_out
    raise nothing_usable(dataset.data_dir, len(tried), rejects[0])


def nothing_usable(data_dir: str, tried: int, first: Reject) -> DatasetError:
    """Return the error for a data set of which no file that was tried can be used."""
    return DatasetError(
        f"{data_dir}: none of {tried} files that were tried is music that can be used; "
        f"{first.uri}: {first.detail or first.reason}"
    )


def _check_header(track: Track, params: AudioParams, choice: ClipChoice, decoder: Decoder) -> None:
    """Raise DecodeError if a track's header shows that it cannot be used."""
    frames, rate_hz = decoder.header(track.uri)
    # A header may be wrong: decode before rejecting a short file.
    if frames < params.clip_seconds * rate_hz:
        _fingerprint(track, params, 0, choice, decoder)


def _fingerprint(
    track: Track, params: AudioParams, seed: int, choice: ClipChoice, decoder: Decoder
) -> str:
    """Decode a whole track and return its audio's fingerprint.

    Raises:
      DecodeError: the track cannot be used.
    """
    from components.spectrogram_gen import extract

    return extract.read_track(
        track, params, seed, strict=True, choice=choice, decoder=decoder
    ).fingerprint


def _time_groups(
    groups: Mapping[ClipChoice, Sequence[Track]], params: AudioParams, decoder: Decoder
) -> float | None:
    """Return the mean seconds per track over all groups of which some tracks could be timed."""
    timed = [
        (len(tracks), seconds)
        for choice, tracks in groups.items()
        if (seconds := _time_tracks(tracks, params, choice, decoder)) is not None
    ]
    total = sum(count for count, _ in timed)
    return sum(count * seconds for count, seconds in timed) / total if total else None


def _time_tracks(
    tracks: Sequence[Track], params: AudioParams, choice: ClipChoice, decoder: Decoder
) -> float | None:
    """Measure the seconds per track of decoding and spectrograms on one core."""
    from components.audio.decoding.decode import DecodeError
    from components.spectrogram_gen import extract

    step = max(1, len(tracks) // TIMED_TRACKS)
    sample = tracks[::step][: TIMED_TRACKS + 1]
    begun = None
    timed = 0
    for track in sample:
        try:
            clips = extract.read_track(track, params, 0, choice=choice, decoder=decoder)
        except DecodeError:
            continue
        extract.make_mels(clips, params)
        if begun is None:  # the first track includes imports and filterbanks
            begun = time.perf_counter()
        else:
            timed += 1
    return (time.perf_counter() - begun) / timed if begun is not None and timed else None
