"""Whether a track would be left out, by its header alone or by decoding it."""

from __future__ import annotations

from components.audio.decode import DecodeError
from components.audio.decoder import Decoder
from components.audio.params import AudioParams
from components.datasets.track import Reject, Track
from components.spectrogram_gen import extract


def header_reject(track: Track, params: AudioParams, decoder: Decoder) -> Reject | None:
    """The reject that a track's header alone shows, or None. Decodes no audio."""
    try:
        frames, rate_hz = decoder.header(track.uri)
    except DecodeError as error:
        return _reject(track, error)
    # What a short header is worth, decoding tells.
    if frames >= params.clip_seconds * rate_hz:
        return None
    return decode_reject(track, params, 0, decoder)


def decode_reject(track: Track, params: AudioParams, seed: int, decoder: Decoder) -> Reject | None:
    """The reject that decoding the whole track gives, or None."""
    try:
        extract.read_track(track, params, seed, strict=True, decoder=decoder)
    except DecodeError as error:
        return _reject(track, error)
    return None


def _reject(track: Track, error: DecodeError) -> Reject:
    return Reject(track.track_id, track.uri, track.genre, error.reason, error.detail)
