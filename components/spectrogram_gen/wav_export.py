"""Optional export of clips or tracks as WAV, to listen to them."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import soundfile

from components.artifacts import files
from components.audio.decoding.decoder import Decoder
from components.audio.params import AudioParams
from components.datasets.track import Track


def safe_name(text: str) -> str:
    """Return a file name for any text: the text if harmless, else cleaned and with a digest."""
    clean = re.sub(r"[^A-Za-z0-9._-]+", "_", text).strip("._")[:80]
    if clean == text:
        return clean
    return f"{clean}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def export_clips(
    directory: str,
    track: Track,
    waveforms: npt.NDArray[np.float32],
    indices: Sequence[int],
    params: AudioParams,
) -> None:
    """Write `<genre>/<track>-<clip>.wav`, 32-bit float, which decodes to the same samples."""
    for index, waveform in zip(indices, waveforms, strict=True):
        name = f"{safe_name(track.track_id)}-{index:02d}.wav"
        path = os.path.join(directory, safe_name(track.genre), name)
        with files.written_file(path) as temporary:
            soundfile.write(
                temporary, waveform, params.sample_rate_hz, subtype="FLOAT", format="WAV"
            )


def export_track(directory: str, track: Track, decoder: Decoder) -> None:
    """Write a track as `<genre>/<track>.wav`, 32-bit float, with its own rate and channels.

    Raises:
      DecodeError: the track cannot be decoded; no file is left.
    """
    path = os.path.join(directory, safe_name(track.genre), f"{safe_name(track.track_id)}.wav")
    with files.written_file(path) as temporary:
        decoder.write_wav(track.uri, temporary)


def remove(directory: str, track: Track, kind: str) -> None:
    """Remove the exported "clips" or "tracks" of a track that turned out to be a duplicate."""
    folder, name = os.path.join(directory, safe_name(track.genre)), safe_name(track.track_id)
    # A track may have the name of another one's clip, so only names of this kind match.
    clip = re.compile(re.escape(name) + (r"-[0-9]{2,}" if kind == "clips" else "") + r"\.wav")
    for path in files.matching(folder, "*.wav"):
        if clip.fullmatch(os.path.basename(path)):
            files.remove(path)
