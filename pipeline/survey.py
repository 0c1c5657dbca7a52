"""check-data: what a run would read, before it runs."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import queue
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from components.audio.limits import DecodeLimits
from components.audio.params import AudioParams
from components.cores import usable_cores
from components.datasets.track import Reject, Track
from components.models.registry import NETWORKS
from components.models.settings import ModelSettings
from components.spectrogram_gen.rejects import duplicate_rejects

if TYPE_CHECKING:
    from components.audio.decoder import Decoder

# Serialized tf.Example of one clip beside its spectrogram: ids, label, framing.
EXAMPLE_OVERHEAD_BYTES = 256

# Weights of networks whose number does not depend on the picture, for eight genres.
PARAMETERS = {"cnn_small": 0.1e6, "crnn": 0.25e6, "resnet34": 21.3e6, "resnet50": 23.6e6}
OTHER_PARAMETERS = 25e6
VGG16_CONVOLUTIONS = 14.7e6
VGG16_HEAD_UNITS = 512  # as components.models.vgg16 has it, which needs Keras
WEIGHT_BYTES = 4
# The graphs of a SavedModel's signatures, its card and curves beside the weights.
GRAPH_BYTES = 3e6
# How many more copies of the candidate a run keeps: the Ensembler's, the pushed one and its
# archive.
CANDIDATE_COPIES = 3
# The state of a training: weights, Adam's two moments, the best weights; and the state of the
# epoch before stays until the new one is whole.
STATE_COPIES = 8
BASE_BYTES = 50e6

TIMED_TRACKS = 8


@dataclasses.dataclass(frozen=True)
class Survey:
    """Files looked at: `rejects` would be left out; the rest would be read."""

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
    """Opens every file, in parallel.

    Args:
      tracks: the tracks.
      params: the audio parameters.
      clip_seed: decides which clips are listened to for silence.
      limits: of decoding a file, in a process beside each thread; None is this process.
      full: decode every file, and compare what may be the same audio; else only headers
        are read, which finds no damage further in and no duplicates.
      advance: called once a track.
      workers: threads; None is one a core.
    """
    from components.audio.duplicates import find_duplicates
    from components.audio.isolation import make_decoder
    from components.spectrogram_gen import header
    from components.spectrogram_gen.fetching import Fetcher, FetchingDecoder
    from components.storage.client import CONNECTIONS

    threads = workers or usable_cores()
    with contextlib.ExitStack() as stack:
        # Each thread takes one for as long as it looks.
        decoders: queue.SimpleQueue[Decoder] = queue.SimpleQueue()
        # An object is fetched whole even for its header: an mp3's length needs all of it.
        fetcher = stack.enter_context(Fetcher(tracks, ahead=CONNECTIONS))
        for _ in range(threads):
            decoder = stack.enter_context(make_decoder(limits))
            decoders.put(FetchingDecoder(decoder, fetcher))

        def look(track: Track) -> Reject | str | None:
            """A reject; else, where all is decoded, the audio's fingerprint."""
            decoder = decoders.get()
            try:
                if full:
                    return header.decode_whole(track, params, clip_seed, decoder)
                return header.header_reject(track, params, decoder)
            finally:
                decoders.put(decoder)
                advance()

        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            outcomes = list(zip(tracks, pool.map(look, tracks), strict=True))
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


def _time_tracks(tracks: Sequence[Track], params: AudioParams, decoder: Decoder) -> float | None:
    """Measured seconds a track of decoding and spectrograms on one core; None without tracks."""
    from components.audio.decode import DecodeError
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
        if begun is None:  # the first pays for imports and filterbanks
            begun = time.perf_counter()
        else:
            timed += 1
    return (time.perf_counter() - begun) / timed if begun is not None and timed else None


def examples_bytes(tracks: int, params: AudioParams) -> int:
    """Size on disk of the examples of so many tracks."""
    return tracks * params.clips_per_track * (params.mel_bytes + EXAMPLE_OVERHEAD_BYTES)


def run_bytes(tracks: int, params: AudioParams, models: dict[str, ModelSettings]) -> int:
    """About what a first run puts on the disk, so that it can stop before it begins."""
    weights = [
        WEIGHT_BYTES * parameters(name, settings, params) for name, settings in models.items()
    ]
    # Bases are kept twice: in the model, and as weights that another one may start from.
    sizes = [
        GRAPH_BYTES + size * (2 if NETWORKS[name].smallest_side_pixels else 1)
        for name, size in zip(models, weights, strict=True)
    ]
    # The mean of the networks holds the weights of all, and may be the candidate.
    average = GRAPH_BYTES * len(sizes) + sum(weights) if len(sizes) > 1 else 0.0
    largest = max([*sizes, average])
    # Checkpoints are gone before the candidate is copied.
    kept = (
        sum(sizes)
        + average
        + max(CANDIDATE_COPIES * largest, STATE_COPIES * max(weights, default=0))
    )
    # Twice: as examples, and in the clip store.
    return int(BASE_BYTES + 2 * examples_bytes(tracks, params) + kept)


def parameters(name: str, settings: ModelSettings, params: AudioParams) -> float:
    """About how many weights a network has."""
    if name == "ffnn":
        return 512 * params.n_mels * params.frames + 0.13e6
    if name == "vgg16":
        side = settings.image_size
        height, width = (side, side) if side else (params.n_mels, params.frames)
        features = (height // 32) * (width // 32) * 512
        return VGG16_CONVOLUTIONS + VGG16_HEAD_UNITS * (features + VGG16_HEAD_UNITS)
    return PARAMETERS.get(name, OTHER_PARAMETERS)
