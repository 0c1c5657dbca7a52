"""One track to its labelled clips: read, log-mel. No Beam, no TFX."""

from __future__ import annotations

from components.audio import mel
from components.audio.clip_reader import TrackClips, read_clips
from components.audio.clips import clip_starts
from components.audio.params import AudioParams
from components.datasets.track import Track
from components.examples.writer import Clip


def read_track(track: Track, params: AudioParams, seed: int, *, strict: bool = False) -> TrackClips:
    """A track's clips at the model's rate.

    Args:
      track: its `uri` is read.
      params: the audio parameters.
      seed: the run's clip seed.
      strict: decode the whole file (components.audio.clip_reader.read_clips).

    Raises:
      DecodeError: with a reject reason.
    """
    return read_clips(
        track.uri,
        params,
        lambda samples: clip_starts(
            samples,
            params.clip_samples,
            params.clips_per_track,
            track_id=track.track_id,
            seed=seed,
        ),
        strict=strict,
    )


def label_clips(
    track: Track,
    label: int,
    clips: TrackClips,
    params: AudioParams,
) -> list[Clip]:
    """Log-mel spectrograms of a track's clips, in one batch, with what examples need."""
    mels = mel.to_stored(mel.log_mel(clips.waveforms, params))
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
        for index, start in enumerate(clips.starts)
    ]
