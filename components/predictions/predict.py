"""A SavedModel's predictions for examples on disk, through its exported signature.

What is measured is what would be served: the exported graph, not the Keras model.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd
import tensorflow as tf

from components.examples import schema

BATCH = 64


def predict_split(
    saved_model: str, examples_uri: str, split: str, advance: Callable[[int], None]
) -> tuple[pd.DataFrame, npt.NDArray[np.float32]]:
    """Predicts every clip of a split.

    Args:
      saved_model: folder of a SavedModel with the `serving_examples` signature.
      examples_uri: root of an Examples artifact.
      split: the split's name.
      advance: called with the number of clips done since the last call.

    Returns:
      (`clips` with track_id, artist_id, clip_index, label; float32 `[clips, genres]`).
    """
    signature = tf.saved_model.load(saved_model).signatures["serving_examples"]
    files = sorted(tf.io.gfile.glob(os.path.join(glob.escape(examples_uri), f"Split-{split}", "*")))
    keys: list[pd.DataFrame] = []
    probabilities: list[npt.NDArray[np.float32]] = []
    for batch in tf.data.TFRecordDataset(files).batch(BATCH):
        outputs = signature(examples=batch)
        probabilities.append(outputs["probabilities"].numpy())
        keys.append(_keys(batch))
        advance(len(keys[-1]))
    return pd.concat(keys, ignore_index=True), np.concatenate(probabilities)


def _keys(batch: tf.Tensor) -> pd.DataFrame:
    parsed = tf.io.parse_example(
        batch,
        {
            schema.TRACK_ID: tf.io.FixedLenFeature([], tf.string),
            schema.ARTIST_ID: tf.io.FixedLenFeature([], tf.string),
            schema.CLIP_INDEX: tf.io.FixedLenFeature([], tf.int64),
            schema.LABEL: tf.io.FixedLenFeature([], tf.int64),
        },
    )
    frame = pd.DataFrame({name: tensor.numpy() for name, tensor in parsed.items()})
    for name in (schema.TRACK_ID, schema.ARTIST_ID):
        frame[name] = frame[name].str.decode("utf-8")
    return frame
