"""Whether a track would be left out, by its header alone or by decoding it."""

from __future__ import annotations

from components.audio.decoding.decode import DecodeError
from components.audio.decoding.decoder import Decoder
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
    outcome = decode_whole(track, params, 0, decoder)
    return outcome if isinstance(outcome, Reject) else None


def decode_whole(track: Track, params: AudioParams, seed: int, decoder: Decoder) -> Reject | str:
    """The fingerprint of a track's audio, or the reject that decoding all of it gives."""
    try:
        return extract.read_track(track, params, seed, strict=True, decoder=decoder).fingerprint
    except DecodeError as error:
        return _reject(track, error)


def _reject(track: Track, error: DecodeError) -> Reject:
    return Reject(track.track_id, track.uri, track.genre, error.reason, error.detail)
