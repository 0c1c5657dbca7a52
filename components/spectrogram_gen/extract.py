"""One track to its clips: decode, resample, cut, log-mel. No Beam, no TFX."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from components.audio import decode as audio_decode
from components.audio import mel
from components.audio.clips import clip_starts
from components.audio.params import AudioParams
from components.datasets.track import Track
from components.examples.writer import Clip


def read_samples(track: Track, params: AudioParams) -> npt.NDArray[np.float32]:
    """A track's mono samples at the model's rate, float32 `[samples]`.

    Raises:
      DecodeError: with a reject reason, `too_short` for less than one clip.
    """
    samples, rate_hz = audio_decode.decode(track.uri)
    samples = audio_decode.resample(samples, rate_hz, params.sample_rate_hz)
    if len(samples) < params.clip_samples:
        seconds = len(samples) / params.sample_rate_hz
        raise audio_decode.DecodeError(
            "too_short", f"{seconds:.2f} s; one clip is {params.clip_seconds:g} s"
        )
    return samples


def cut_clips(
    samples: npt.NDArray[np.float32], track_id: str, params: AudioParams, seed: int
) -> tuple[list[int], npt.NDArray[np.float32]]:
    """The clips' first samples, and the clips as float32 `[clips_per_track, clip_samples]`."""
    starts = clip_starts(
        len(samples), params.clip_samples, params.clips_per_track, track_id=track_id, seed=seed
    )
    return starts, np.stack([samples[start : start + params.clip_samples] for start in starts])


def label_clips(
    track: Track,
    label: int,
    starts: list[int],
    waveforms: npt.NDArray[np.float32],
    params: AudioParams,
) -> list[Clip]:
    """Log-mel spectrograms of a track's clips, in one batch, with what examples need."""
    mels = mel.to_stored(mel.log_mel(waveforms, params))
    return [
        Clip(
            track_id=track.track_id,
            artist_id=track.artist_id or "",
            genre=track.genre,
            label=label,
            clip_index=index,
            clip_start_s=start / params.sample_rate_hz,
            mel_db=mels[index],
        )
        for index, start in enumerate(starts)
    ]
