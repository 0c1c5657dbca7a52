"""Whether a track would be left out, by its header alone or by decoding it."""

from __future__ import annotations

import soundfile

from components.audio.decode import MAX_SECONDS, DecodeError
from components.audio.params import AudioParams
from components.datasets.track import Reject, Track
from components.spectrogram_gen import extract


def header_reject(track: Track, params: AudioParams) -> Reject | None:
    """The reject that a track's header alone shows, or None. Reads no audio."""
    try:
        info = soundfile.info(track.uri)
    except (soundfile.LibsndfileError, RuntimeError, OSError, TypeError):
        return decode_reject(track, params)
    seconds = info.frames / info.samplerate if info.samplerate > 0 else 0.0
    if params.clip_seconds <= seconds <= MAX_SECONDS:
        return None
    return decode_reject(track, params)  # the words of the run itself


def decode_reject(track: Track, params: AudioParams) -> Reject | None:
    """The reject that decoding the whole track gives, or None."""
    try:
        extract.read_samples(track, params)
    except DecodeError as error:
        return Reject(track.track_id, track.uri, track.genre, error.reason, error.detail)
    return None
