"""Inputs of the gate made by hand: examples, predictions and exported models."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import soundfile
import tensorflow as tf

from components.audio.params import AudioParams
from components.datasets.track import Track as DataTrack
from components.examples.sources import source_of, write_sources
from components.examples.writer import Clip, serialize
from components.export.assets import track_digest
from components.predictions import table

PARAMS = AudioParams(
    sample_rate_hz=8000, fft_samples=256, hop_samples=128, n_mels=4, clip_seconds=0.1
)
AUDIO = PARAMS.digest()
GENRES = ("Folk", "Pop", "Rock")
CLIPS = 2
# Songs: each track has its own loudness, by which SoundOracle knows it.
SONG_RATE_HZ, SONG_SECONDS = 16000, 2.0
CLIP_STARTS_S = (0.5, 1.2)
OTHER_AUDIO = "0123456789abcdef"


@dataclasses.dataclass(frozen=True)
class Track:
    """A test track."""

    track_id: str
    artist_id: str
    label: int


def tracks(count: int, *, artist_size: int = 0) -> list[Track]:
    """Return tracks of all genres in turn, by artists of `artist_size` tracks (0: unknown)."""
    return [
        Track(f"t{i:03d}", f"a{i // artist_size}" if artist_size else "", i % len(GENRES))
        for i in range(count)
    ]


def clips_of(some: Sequence[Track]) -> pd.DataFrame:
    """Return the clips of some tracks, one row per clip, as the examples have them."""
    rows = [{**dataclasses.asdict(t), "clip_index": i} for t in some for i in range(CLIPS)]
    return pd.DataFrame(rows)


def predictions_of(
    model: str, some: Sequence[Track], wrong: Sequence[str] = (), split: str = "test"
) -> pd.DataFrame:
    """Return rows of a model that is wrong on the named tracks only, by one genre."""
    clips = clips_of(some)
    predicted = (clips["label"] + clips["track_id"].isin(list(wrong))) % len(GENRES)
    probabilities = np.full((len(clips), len(GENRES)), 0.1, np.float32)
    probabilities[np.arange(len(clips)), predicted] = 0.8
    return table.make_table(model, split, clips, probabilities, GENRES)


def write_examples(folder: pathlib.Path, some: Sequence[Track]) -> pathlib.Path:
    """Write an Examples artifact that has only a test split; return its folder."""
    split = folder / "Split-test"
    split.mkdir(parents=True)
    with tf.io.TFRecordWriter(str(split / "part-00000-of-00001")) as writer:
        for row in clips_of(some).itertuples():
            clip = Clip(
                track_id=str(row.track_id),
                artist_id=str(row.artist_id),
                genre=GENRES[int(row.label)],
                label=int(row.label),
                clip_index=int(row.clip_index),
                clip_start_s=CLIP_STARTS_S[int(row.clip_index)],
                mel_db=np.zeros((PARAMS.n_mels, PARAMS.frames), np.uint16),
            )
            writer.write(serialize(clip, PARAMS))
    return folder


def _amplitude(index: int) -> float:
    return 0.05 + 0.03 * index


def write_songs(
    examples: pathlib.Path,
    some: Sequence[Track],
    *,
    seconds: Mapping[str, float] | None = None,
    elsewhere: float | None = None,
    too_loud: Sequence[str] = (),
) -> dict[str, pathlib.Path]:
    """Write the tracks' songs beside the examples, and where they are; return the files.

    Args:
      examples: the Examples artifact.
      some: the tracks.
      seconds: lengths of songs that are not SONG_SECONDS long, by track.
      too_loud: tracks that SoundOracle does not know.
      elsewhere: amplitude outside of the examples' clips; None for the song's own.
    """
    folder = examples.parent / "songs"
    folder.mkdir(exist_ok=True)
    found, sources = {}, []
    for number, track in enumerate(some):
        index = len(some) + 1 if track.track_id in too_loud else number
        length_s = (seconds or {}).get(track.track_id, SONG_SECONDS)
        times = np.arange(round(length_s * SONG_RATE_HZ)) / SONG_RATE_HZ
        loud = np.full(len(times), _amplitude(index) if elsewhere is None else elsewhere)
        for start in CLIP_STARTS_S:
            loud[(times >= start) & (times < start + PARAMS.clip_seconds)] = _amplitude(index)
        path = folder / f"{track.track_id}.wav"
        soundfile.write(path, loud * np.sin(2 * np.pi * 440 * times), SONG_RATE_HZ)
        found[track.track_id] = path
        source = source_of(DataTrack(track.track_id, str(path), ""), strict=False)
        assert source is not None
        sources.append(source)
    write_sources(str(examples), sources, strict=False)
    return found


def seen(train: Sequence[str], validation: Sequence[str]) -> dict[str, list[str]]:
    """Return the content of a model's seen_tracks.json."""
    return {
        split: sorted(map(track_digest, ids))
        for split, ids in (("train", train), ("validation", validation))
    }


def write_assets(folder: pathlib.Path, digest: str = "candidate-digest", **changes: Any) -> None:
    """Write the assets of an exported model; a change to None leaves a file out."""
    assets: dict[str, Any] = {
        "genres.json": list(GENRES),
        "audio_params.json": {"digest": AUDIO, "params": PARAMS.to_json()},
        "model_card.json": {"model_digest": digest},
        "seen_tracks.json": seen(["other"], []),
    }
    assets.update({f"{name}.json": content for name, content in changes.items()})
    (folder / "assets").mkdir(parents=True, exist_ok=True)
    for name, content in assets.items():
        if content is not None:
            (folder / "assets" / name).write_text(json.dumps(content))


class Oracle(tf.Module):  # type: ignore[misc]
    """Model that predicts a given genre for each track; `fill` is added to every probability."""

    def __init__(self, predicted: Mapping[str, int], genres: int, fill: float) -> None:
        super().__init__()
        self.ids, self.predicted = (
            tf.constant(list(predicted)),
            tf.constant(list(predicted.values())),
        )
        self.genres, self.fill = genres, fill

    def examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        parsed = tf.io.parse_example(examples, {"track_id": tf.io.FixedLenFeature([], tf.string)})
        place = tf.argmax(parsed["track_id"][:, tf.newaxis] == self.ids[tf.newaxis], axis=1)
        answer = tf.one_hot(tf.gather(self.predicted, place), self.genres) + self.fill
        return {"probabilities": answer}


def write_oracle(
    folder: pathlib.Path,
    some: Sequence[Track],
    wrong: Sequence[str] = (),
    *,
    signature: str = "serving_examples",
    outputs: int = len(GENRES),
    fill: float = 0.0,
    **assets: Any,
) -> pathlib.Path:
    """Write a serving model that is wrong on the named tracks only; return its folder."""
    predicted = {t.track_id: (t.label + (t.track_id in wrong)) % len(GENRES) for t in some}
    module = Oracle(predicted, outputs, fill)
    spec = tf.TensorSpec([None], tf.string, name="examples")
    function = tf.function(module.examples, input_signature=[spec])
    tf.saved_model.save(module, str(folder), signatures={signature: function})
    write_assets(folder, **{"digest": "serving-digest", **assets})
    return folder


class SoundOracle(tf.Module):  # type: ignore[misc]
    """Model that predicts a given genre for each song, which it knows by its loudness.

    It hears clips of 0.05 s at 4 kHz. A window that is louder than all songs gets only zeros, as
    the graph's silent windows do.
    """

    def __init__(
        self, predicted: Sequence[int], rate_hz: int, clip_samples: int, digest: str
    ) -> None:
        super().__init__()
        self.predicted = tf.constant(list(predicted) + [-1] * 8)
        self.rate_hz, self.clip_samples, self.digest = rate_hz, clip_samples, digest

    def waveform(self, waveform: tf.Tensor) -> dict[str, tf.Tensor]:
        tf.debugging.assert_equal(tf.shape(waveform)[1], self.clip_samples)
        peak = tf.sqrt(2 * tf.reduce_mean(tf.square(waveform), axis=1))
        index = tf.cast(tf.round((peak - 0.05) / 0.03), tf.int32)
        return {"probabilities": tf.one_hot(tf.gather(self.predicted, index), len(GENRES))}

    def describe(self, query: tf.Tensor) -> dict[str, tf.Tensor]:
        rows = tf.shape(query)
        return {
            "sample_rate_hz": tf.fill(rows, tf.constant(self.rate_hz, tf.int64)),
            "clip_samples": tf.fill(rows, tf.constant(self.clip_samples, tf.int64)),
            "audio_params": tf.fill(rows, self.digest),
        }


def write_sound_oracle(
    folder: pathlib.Path,
    some: Sequence[Track],
    wrong: Sequence[str] = (),
    *,
    rate_hz: int = 4000,
    clip_samples: int = 200,
    describes: bool = True,
    digest: str = OTHER_AUDIO,
    **assets: Any,
) -> pathlib.Path:
    """Write a serving model with other audio parameters; it is wrong on the named tracks only.

    Of its audio parameters nothing is recorded but their hash, as an older version might.
    """
    predicted = [(t.label + (t.track_id in wrong)) % len(GENRES) for t in some]
    module = SoundOracle(predicted, rate_hz, clip_samples, digest)
    sound = tf.TensorSpec([None, None], tf.float32, name="waveform")
    signatures = {"serving_default": tf.function(module.waveform, input_signature=[sound])}
    if describes:
        query = tf.TensorSpec([None], tf.string, name="query")
        signatures["describe"] = tf.function(module.describe, input_signature=[query])
    tf.saved_model.save(module, str(folder), signatures=signatures)
    audio = {"audio_params": {"digest": OTHER_AUDIO}}
    write_assets(folder, **{"digest": "serving-digest", **audio, **assets})
    return folder


def selection(**changes: Any) -> dict[str, Any]:
    """Return selection.json of a candidate, a baseline, and the average of both."""
    return {
        "candidate": "cnn_small",
        "candidate_digest": "candidate-digest",
        "best_baseline": "svm",
        "kinds": {"cnn_small": "network", "svm": "baseline", "ensemble_all": "ensemble"},
        "validation_track_accuracy": {"cnn_small": 0.9, "svm": 0.5, "ensemble_all": 0.9},
        "parameters": {"cnn_small": 12, "svm": None, "ensemble_all": None},
        "train_seconds": {"cnn_small": 1.0, "svm": 0.5, "ensemble_all": None},
        "members": {"ensemble_all": ["cnn_small", "svm"]},
        "weights": {},
        "genres": list(GENRES),
        "audio_hash": AUDIO,
        "pretrained": {},
        **changes,
    }
