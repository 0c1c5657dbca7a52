"""Clips of a track: random ones to train on, or consecutive windows, as prediction cuts them."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import TYPE_CHECKING

from components.audio.params import MAX_EVALUATION_CLIPS, AudioParams

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclasses.dataclass(frozen=True)
class ClipChoice:
    """Choice of a track's clips.

    Attributes:
      clips: number of clips; of windows the largest number.
      windows: take consecutive windows (`window_starts`) instead of random clips (`clip_starts`).
    """

    clips: int
    windows: bool = False

    @classmethod
    def of(cls, params: AudioParams, *, evaluates: bool = False) -> ClipChoice:
        """Return the choice for tracks to train on, or to evaluate on."""
        if not evaluates or params.evaluation_clips is None:
            return cls(params.clips_per_track)
        if params.evaluation_clips == "all":
            return cls(MAX_EVALUATION_CLIPS, windows=True)
        return cls(params.evaluation_clips, windows=True)

    def starts(
        self, track_samples: int, clip_samples: int, *, track_id: str, seed: int
    ) -> list[int]:
        """Return the first sample of each clip of a track.

        Raises:
          ValueError: the track is shorter than one clip.
        """
        if self.windows:
            return window_starts(track_samples, clip_samples, self.clips)
        return clip_starts(track_samples, clip_samples, self.clips, track_id=track_id, seed=seed)

    def allows(self, clips: int) -> bool:
        """Return whether a track can have this number of clips."""
        return 1 <= clips <= self.clips if self.windows else clips == self.clips


def clip_starts(
    track_samples: int, clip_samples: int, clips: int, *, track_id: str, seed: int
) -> list[int]:
    """Return the first sample of each of a track's random clips.

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
    _check_length(track_samples, clip_samples)
    room = track_samples - clip_samples + 1
    starts = []
    for index in range(clips):
        key = f"{seed}\0{track_id}\0{index}".encode()
        # Map 64 hash bits to [0, room); the bias is below room / 2**64.
        fraction = int.from_bytes(hashlib.sha256(key).digest()[:8], "big")
        starts.append(fraction * room >> 64)
    return starts


def window_starts(track_samples: int, clip_samples: int, max_windows: int) -> list[int]:
    """Return the first sample of each window to evaluate, in order of time.

    Args:
      track_samples: length of the track in samples.
      clip_samples: length of a window in samples.
      max_windows: the largest number of windows.

    Returns:
      The offsets of `cut`'s windows. Of more than `max_windows`, those in the middle of
      `max_windows` equal parts of the track.

    Raises:
      ValueError: the track is shorter than one window.
    """
    _check_length(track_samples, clip_samples)
    windows = track_samples // clip_samples
    chosen = min(windows, max_windows)
    return [(2 * index + 1) * windows // (2 * chosen) * clip_samples for index in range(chosen)]


def _check_length(track_samples: int, clip_samples: int) -> None:
    if track_samples < clip_samples:
        raise ValueError(
            f"track of {track_samples} samples is shorter than a clip ({clip_samples})"
        )


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
