"""Checks of the examples before anything trains on them. No TFX, no Beam."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from components.audio.params import AudioParams
from components.datasets.text import artist_key
from components.examples import schema

MAX_FINDINGS = 20


@dataclasses.dataclass
class ExampleFindings:
    """Result of a scan of all examples.

    Attributes:
      clips: number of clips by split.
      tracks: number of tracks by split.
      problems: sentences; empty if the examples are valid.
    """

    clips: dict[str, int]
    tracks: dict[str, int]
    problems: list[str]


def scan_examples(
    splits: Mapping[str, Iterable[bytes]],
    genres: Sequence[str],
    params: AudioParams,
    *,
    leaky: bool,
    artists_apart: bool,
    on_training_clip: Callable[[str, str, bytes], None] | None = None,
) -> ExampleFindings:
    """Check each example, and that no track or artist is in two splits.

    Args:
      splits: serialized tf.Examples by split.
      genres: the genres in label order.
      params: the audio parameters.
      leaky: whether clips of a track may be in several splits (by_clip).
      artists_apart: whether no artist may be in two splits (by_artist). Examples without an
        artist are exempt.
      on_training_clip: called with the track's id, the genre and the stored spectrogram of each
        valid training clip.

    Returns:
      Counts and at most MAX_FINDINGS problems: a missing feature, a genre that is not in
      `genres` or does not match its label, a spectrogram of the wrong size, a duplicate
      clip, a track or an artist in two splits, a genre without a training clip.
    """
    import tensorflow as tf

    findings = ExampleFindings({}, {}, [])
    split_of_track: dict[str, str] = {}
    split_of_artist: dict[str, str] = {}
    reported: set[tuple[str, str]] = set()
    seen: set[tuple[str, int]] = set()
    train_genres: set[str] = set()

    def problem(text: str) -> None:
        if len(findings.problems) < MAX_FINDINGS:
            findings.problems.append(text)

    for split, records in splits.items():
        findings.clips[split] = 0
        tracks: set[str] = set()
        for record in records:
            example = tf.train.Example.FromString(record)
            values = _values(example)
            missing = [name for name in _FEATURES if name not in values]
            if missing:
                problem(f"{split}: an example lacks {', '.join(missing)}")
                continue
            findings.clips[split] += 1
            track, genre = values[schema.TRACK_ID].decode(), values[schema.GENRE].decode()
            label, index = values[schema.LABEL], values[schema.CLIP_INDEX]
            where = f"{split}: track {track!r} clip {index}"
            if genre not in genres:
                problem(f"{where}: unknown genre {genre!r}; known are {', '.join(genres)}")
            elif not 0 <= label < len(genres) or genres[label] != genre:
                problem(f"{where}: label {label} is not that of {genre!r}")
            mel = values[schema.MEL_DB]
            if len(mel) == params.mel_bytes and split == "train" and on_training_clip:
                on_training_clip(track, genre, mel)
            if len(mel) != params.mel_bytes:
                problem(f"{where}: spectrogram of {len(mel)} bytes, not {params.mel_bytes}")
            if (track, index) in seen:
                problem(f"{where}: occurs twice")
            seen.add((track, index))
            tracks.add(track)
            other = split_of_track.setdefault(track, split)
            if other != split and not leaky:
                problem(f"track {track!r} is in {other} and in {split}")
            artist = values[schema.ARTIST_ID].decode()
            if artist and artists_apart:
                other = split_of_artist.setdefault(artist_key(artist), split)
                if other != split and (artist, split) not in reported:
                    reported.add((artist, split))
                    problem(f"artist {artist!r} is in {other} and in {split}: track {track!r}")
            if split == "train":
                train_genres.add(genre)
        findings.tracks[split] = len(tracks)
    for genre in genres:
        if genre not in train_genres:
            problem(f"genre {genre!r} has no training clip")
    return findings


_FEATURES = (
    schema.TRACK_ID,
    schema.ARTIST_ID,
    schema.GENRE,
    schema.LABEL,
    schema.CLIP_INDEX,
    schema.CLIP_START_S,
    schema.MEL_DB,
)


def _values(example: Any) -> dict[str, Any]:
    """Return each feature's single value; features with another count are left out."""
    values = {}
    for name, feature in example.features.feature.items():
        kind = feature.WhichOneof("kind")
        content = getattr(feature, kind).value if kind else ()
        single = list(content)
        if len(single) == 1:
            values[name] = single[0]
    return values


def anomaly_lines(anomalies: Mapping[str, Any]) -> list[str]:
    """Return TFDV's anomalies as lines of text.

    Args:
      anomalies: tensorflow_metadata's Anomalies message by split.
    """
    lines = []
    for split, message in anomalies.items():
        if message.HasField("dataset_anomaly_info"):
            lines.append(f"{split}: {message.dataset_anomaly_info.description}")
        for name, info in sorted(message.anomaly_info.items()):
            reasons = "; ".join(r.description for r in info.reason) or info.description
            lines.append(f"{split}: feature {name}: {reasons}")
    return lines
