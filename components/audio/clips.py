"""Clips of a track: random ones to train on, or the whole recording as consecutive clips."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt


def clip_starts(
    track_samples: int, clip_samples: int, clips: int, *, track_id: str, seed: int
) -> list[int]:
    """Return the first sample of each clip of a track.

    A pure function of (seed, track id, clip index): the same on every run, runner and retry.

    Args:
      track_samples: length of the track in samples.
      clip_samples: length of a clip in samples.
      clips: number of clips.
      track_id: the track's id.
      seed: the run's clip seed.

    Returns:
      `clips` offsets in `[0, track_samples - clip_samples]`, in the order of clip indices.
      Clips may overlap; in a track of exactly one clip all offsets are 0.

    Raises:
      ValueError: the track is shorter than one clip.
    """
    if track_samples < clip_samples:
        raise ValueError(
            f"track of {track_samples} samples is shorter than a clip ({clip_samples})"
        )
    room = track_samples - clip_samples + 1
    starts = []
    for index in range(clips):
        key = f"{seed}\0{track_id}\0{index}".encode()
        # Map 64 hash bits to [0, room); the bias is below room / 2**64.
        fraction = int.from_bytes(hashlib.sha256(key).digest()[:8], "big")
        starts.append(fraction * room >> 64)
    return starts


def cut(samples: npt.NDArray[np.float32], clip_samples: int) -> npt.NDArray[np.float32]:
    """Cut `[samples]` into consecutive clips, as the exported model does; drop a shorter tail.

    Returns:
      `[clips, clip_samples]`, a view; `[0, clip_samples]` if shorter than a clip.
    """
    clips = len(samples) // clip_samples
    return samples[: clips * clip_samples].reshape(clips, clip_samples)


def too_short(samples: int, clip_samples: int, rate_hz: int) -> str:
    """Return the message for a recording that is shorter than one clip."""
    return (
        f"{samples / rate_hz:.2f} s of audio: the model needs at least "
        f"{clip_samples / rate_hz:g} s ({clip_samples} samples at {rate_hz} Hz)"
    )
