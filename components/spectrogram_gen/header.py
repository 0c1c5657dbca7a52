"""Whether a track would be left out, by its header alone or by decoding it."""

from __future__ import annotations

from components.audio.decode import DecodeError, opened
from components.audio.params import AudioParams
from components.datasets.track import Reject, Track
from components.spectrogram_gen import extract


def header_reject(track: Track, params: AudioParams) -> Reject | None:
    """The reject that a track's header alone shows, or None. Decodes no audio."""
    try:
        with opened(track.uri) as audio:
            long_enough = audio.frames >= params.clip_seconds * audio.samplerate
    except DecodeError as error:
        return _reject(track, error)
    # What a short header is worth, decoding tells.
    return None if long_enough else decode_reject(track, params, 0)


def decode_reject(track: Track, params: AudioParams, seed: int) -> Reject | None:
    """The reject that decoding the whole track gives, or None."""
    try:
        extract.read_track(track, params, seed, strict=True)
    except DecodeError as error:
        return _reject(track, error)
    return None


def _reject(track: Track, error: DecodeError) -> Reject:
    return Reject(track.track_id, track.uri, track.genre, error.reason, error.detail)
