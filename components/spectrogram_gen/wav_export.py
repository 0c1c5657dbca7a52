"""Optional WAV copies of what was read, so that people can listen to it."""

from __future__ import annotations

import hashlib
import os
import re

import numpy as np
import numpy.typing as npt
import soundfile

from components.artifacts import files as artifact_files
from components.audio.decoding.decoder import Decoder
from components.audio.params import AudioParams
from components.datasets.track import Track


def safe_name(text: str) -> str:
    """A file name for any text: itself where harmless, else cleaned and with a digest."""
    clean = re.sub(r"[^A-Za-z0-9._-]+", "_", text).strip("._")[:80]
    if clean == text:
        return clean
    return f"{clean}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def export_clips(
    directory: str,
    track: Track,
    waveforms: npt.NDArray[np.float32],
    params: AudioParams,
) -> None:
    """Writes `<genre>/<track>-<clip>.wav`, 32-bit float: it decodes to the same samples."""
    for index, waveform in enumerate(waveforms):
        name = f"{safe_name(track.track_id)}-{index:02d}.wav"
        path = os.path.join(directory, safe_name(track.genre), name)
        with artifact_files.written_file(path) as temporary:
            soundfile.write(
                temporary, waveform, params.sample_rate_hz, subtype="FLOAT", format="WAV"
            )


def export_track(directory: str, track: Track, decoder: Decoder) -> None:
    """Writes the whole track as `<genre>/<track>.wav`: its own rate and channels, 32-bit float.

    Raises:
      DecodeError: it cannot be decoded; nothing is left of it.
    """
    path = os.path.join(directory, safe_name(track.genre), f"{safe_name(track.track_id)}.wav")
    with artifact_files.written_file(path) as temporary:
        decoder.write_wav(track.uri, temporary)


def remove(directory: str, track: Track, kind: str) -> None:
    """Removes what was exported, as "clips" or "tracks", of a track that is not used after all."""
    folder, name = os.path.join(directory, safe_name(track.genre)), safe_name(track.track_id)
    # A track may be named as another one's clips are: only the run's own kind is meant.
    clip = re.compile(re.escape(name) + (r"-[0-9]{2,}" if kind == "clips" else "") + r"\.wav")
    for path in artifact_files.matching(folder, "*.wav"):
        if clip.fullmatch(os.path.basename(path)):
            artifact_files.remove(path)
