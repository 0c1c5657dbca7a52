"""Inputs of ServingCheck made by hand: a candidate, its test clips and its predictions."""

from __future__ import annotations

import pathlib
import shutil

import numpy as np
import pandas as pd
import tensorflow as tf

from components.audio.spectrogram.stored import to_stored
from components.examples.writer import Clip, serialize
from components.predictions import table
from components.predictions.selection import Selection, write_selection
from tests.support.serving_toys import GENRES, PARAMS, write_toy_model

TRACKS, CLIPS = 6, 2
NAME = "cnn_small"


def serialized_clips(seed: int = 5) -> dict[tuple[str, int], bytes]:
    """Return tf.Examples with random spectrograms, by track and clip."""
    rng = np.random.default_rng(seed)
    made = {}
    for track in range(TRACKS):
        for index in range(CLIPS):
            mel_db = rng.uniform(-80, 0, (PARAMS.n_mels, PARAMS.frames)).astype(np.float32)
            label = track % len(GENRES)
            clip = Clip(f"t{track}", "", GENRES[label], label, index, 0.0, to_stored(mel_db))
            made[clip.track_id, index] = serialize(clip, PARAMS)
    return made


def write_inputs(folder: pathlib.Path) -> None:
    """Write the folders `model`, `examples` and `predictions`, which belong together."""
    saved_model = folder / "model" / "Format-Serving"
    write_toy_model(saved_model)
    clips = serialized_clips()
    split = folder / "examples" / "Split-test"
    split.mkdir(parents=True)
    with tf.io.TFRecordWriter(str(split / "part-00000-of-00001")) as writer:
        for raw in clips.values():
            writer.write(raw)
    signature = tf.saved_model.load(str(saved_model)).signatures["serving_examples"]
    answer = signature(examples=tf.constant(list(clips.values())))["probabilities"].numpy()
    keys = pd.DataFrame(list(clips), columns=["track_id", "clip_index"])
    keys = keys.assign(artist_id="", label=keys["track_id"].str[1:].astype(int) % len(GENRES))
    rows = table.make_table(NAME, "test", keys, answer, GENRES)
    other = table.make_table("svm", "test", keys, np.roll(answer, 1, axis=1), GENRES)
    validation = table.make_table(NAME, "validation", keys, np.roll(answer, 1, axis=1), GENRES)
    write_predictions(folder, pd.concat([other, validation, rows], ignore_index=True))


def write_predictions(folder: pathlib.Path, rows: pd.DataFrame) -> None:
    """Write the Ensembler's table and selection."""
    directory = folder / "predictions"
    table.write_table(rows, str(directory))
    selection = Selection(
        candidate=NAME,
        candidate_digest="",
        best_baseline="svm",
        kinds={NAME: "network", "svm": "baseline"},
        validation_track_accuracy={NAME: 0.5, "svm": 0.4},
        parameters={NAME: 12, "svm": None},
        train_seconds={NAME: 1.0, "svm": 0.5},
        members={},
        weights={},
        genres=GENRES,
        audio_hash=PARAMS.digest(),
        pretrained={},
    )
    write_selection(selection, str(directory))


def copy_inputs(source: pathlib.Path, target: pathlib.Path) -> pathlib.Path:
    """Return a copy that a test may change."""
    for name in ("model", "examples", "predictions"):
        shutil.copytree(source / name, target / name)
    return target
