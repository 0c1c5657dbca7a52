"""Conversion of one track to labelled clips. No Beam, no TFX."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from components.audio import levels
from components.audio.clips import ClipChoice
from components.audio.decoding.clip_reader import TrackClips
from components.audio.decoding.decoder import Decoder, InProcessDecoder
from components.audio.params import AudioParams
from components.audio.spectrogram import mel
from components.audio.spectrogram.stored import to_stored
from components.datasets.track import Track
from components.examples.writer import Clip


def read_track(
    track: Track,
    params: AudioParams,
    seed: int,
    *,
    strict: bool = False,
    choice: ClipChoice | None = None,
    decoder: Decoder | None = None,
) -> TrackClips:
    """Read a track's clips at the model's rate.

    Args:
      track: the track whose `uri` is read.
      params: the audio parameters.
      seed: the run's clip seed.
      strict: decode the whole file (components.audio.decoding.clip_reader.read_clips).
      choice: which clips; None for those of a training track.
      decoder: decoder to use; None decodes in this process.

    Raises:
      DecodeError: the file cannot be used; has a reject reason.
    """
    decoder = decoder or InProcessDecoder()
    return decoder.read_clips(
        track.uri, params, track_id=track.track_id, seed=seed, strict=strict, choice=choice
    )


@dataclasses.dataclass(frozen=True, eq=False)
class TrackMels:
    """Spectrograms of a track's clips.

    Attributes:
      starts: int64 `[clips]`, first sample of each clip at the model's rate.
      mels: uint16 `[clips, n_mels, frames]`, as stored (components.audio.spectrogram.stored).
      left_out: for every chosen clip why it is left out, "" if it counts (components.audio.levels).
      fingerprint: fingerprint of the audio (components.audio.duplicates).
    """

    starts: npt.NDArray[np.int64]
    mels: npt.NDArray[np.uint16]
    left_out: tuple[str, ...]
    fingerprint: str

    @property
    def indices(self) -> list[int]:
        """Index of each clip among all chosen ones."""
        return [index for index, reason in enumerate(self.left_out) if reason == levels.HEARD]


def make_mels(clips: TrackClips, params: AudioParams) -> TrackMels:
    """Compute the log-mel spectrograms of a track's clips, rounded as they are stored."""
    mels = to_stored(mel.log_mel(clips.waveforms, params))
    return TrackMels(np.array(clips.starts, np.int64), mels, clips.left_out, clips.fingerprint)


def label_clips(track: Track, label: int, made: TrackMels, params: AudioParams) -> list[Clip]:
    """Return a track's clips with their labels and positions, for the examples."""
    return [
        Clip(
            track_id=track.track_id,
            artist_id=track.artist_id or "",
            genre=track.genre,
            label=label,
            clip_index=index,
            clip_start_s=int(start) / params.sample_rate_hz,
            mel_db=made.mels[row],
        )
        for row, (index, start) in enumerate(zip(made.indices, made.starts, strict=True))
    ]
