"""Where in a track its clips lie: a pure function of (seed, track id, clip index)."""

from __future__ import annotations

import hashlib


def clip_starts(
    track_samples: int, clip_samples: int, clips: int, *, track_id: str, seed: int
) -> list[int]:
    """First sample of each clip of a track, the same on every run, runner and retry.

    Args:
      track_samples: length of the track in samples.
      clip_samples: length of a clip in samples.
      clips: how many clips.
      track_id: the track's id.
      seed: the run's clip seed.

    Returns:
      `clips` offsets in `[0, track_samples - clip_samples]`, in clip-index order. They
      may overlap, and in a track of exactly one clip all are 0.

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
        # 64 hash bits onto [0, room): the bias is below room / 2**64.
        fraction = int.from_bytes(hashlib.sha256(key).digest()[:8], "big")
        starts.append(fraction * room >> 64)
    return starts
