"""Estimate of the number of clips of a run, before anything is decoded."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from components.audio.clips import ClipChoice
from components.audio.params import AudioParams
from components.datasets.track import Track
from components.storage.uri import is_remote

if TYPE_CHECKING:
    from components.audio.decoding.limits import DecodeLimits
    from components.datasets.corpus import Corpus

# The length of songs of which no header is read.
SONG_SECONDS = 240.0
# Reading a header takes milliseconds; songs of a data set are of similar length.
HEADERS = 20


def expected_clips(
    train_tracks: int, evaluation_tracks: int, params: AudioParams, song_seconds: float
) -> int:
    """Return the number of clips of some tracks to train on and to evaluate on.

    Args:
      song_seconds: mean length of the tracks to evaluate on.
    """
    evaluated = ClipChoice.of(params, evaluates=True)
    each = evaluated.clips
    if evaluated.windows:
        each = max(1, min(each, int(song_seconds / params.clip_seconds)))
    return train_tracks * ClipChoice.of(params).clips + evaluation_tracks * each


def corpus_clips(
    corpus: Corpus,
    params: AudioParams,
    limits: DecodeLimits | None,
    left_out: Collection[str] = (),
) -> int:
    """Return the expected number of clips of a corpus.

    Some headers are read if the lengths of its songs matter.

    Args:
      corpus: the corpus.
      params: the audio parameters.
      limits: limits of decoding; None decodes in this process.
      left_out: ids of tracks that are not used.
    """
    used = sum(track.track_id not in left_out for track in corpus.tracks)
    evaluated = [one for one in corpus.evaluation_tracks if one.track_id not in left_out]
    windows = ClipChoice.of(params, evaluates=True).windows
    seconds = mean_seconds(evaluated, limits) if windows else SONG_SECONDS
    return expected_clips(used - len(evaluated), len(evaluated), params, seconds)


def mean_seconds(tracks: Sequence[Track], limits: DecodeLimits | None) -> float:
    """Return the mean length of some local tracks by their headers; SONG_SECONDS without any."""
    from components.audio.decoding.decode import DecodeError
    from components.audio.decoding.isolation import make_decoder

    local = [track for track in tracks if not is_remote(track.uri)]
    found = []
    with make_decoder(limits) as decoder:
        for track in local[:: max(1, len(local) // HEADERS)][:HEADERS]:
            try:
                samples, rate_hz = decoder.header(track.uri)
            except DecodeError:
                continue
            found.append(samples / rate_hz)
    return sum(found) / len(found) if found else SONG_SECONDS
