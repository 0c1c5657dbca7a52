"""Predictions of a SavedModel for examples on disk.

The exported signature is evaluated, not the Keras model, so the metrics are those of the graph
that is deployed.
"""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import tensorflow as tf

from components.common import model_contract as contract
from components.common.errors import DataError
from components.examples import parser, reader, schema
from components.predictions.table import CLIP_KEYS

BATCH = 64


def find_split(examples_uri: str, split: str) -> reader.Files:
    """Return the files of a split of an Examples artifact, sorted."""
    return reader.find([os.path.join(glob.escape(examples_uri), f"Split-{split}", "*")])


def read_clips(examples_uri: str, split: str, columns: Sequence[str] = CLIP_KEYS) -> pd.DataFrame:
    """Return the clips of a split.

    Args:
      examples_uri: root of an Examples artifact.
      split: the split's name.
      columns: the columns to return, features of components.examples.schema; by default
        `track_id`, `artist_id`, `clip_index`, `label`.

    Returns:
      One row per clip.

    Raises:
      DataError: there are no clips, or a file cannot be read.
    """
    files = find_split(examples_uri, split)
    with reader.readable(files):
        frames = [
            _keys(batch, columns) for batch in reader.blocks(files).rebatch(BATCH).prefetch(2)
        ]
    if not frames:
        raise DataError(f"the {split} split has no clips: {files}")
    return pd.concat(frames, ignore_index=True)


def predict_split(
    saved_model: str, examples_uri: str, split: str, advance: Callable[[int], None]
) -> tuple[pd.DataFrame, npt.NDArray[np.float32]]:
    """Predict every clip of a split.

    Args:
      saved_model: folder of a SavedModel with the `serving_examples` signature.
      examples_uri: root of an Examples artifact.
      split: the split's name.
      advance: called with the number of clips predicted since the last call.

    Returns:
      The clips as read_clips returns them, and their probabilities, float32
      `[clips, genres]`.

    Raises:
      DataError: there are no clips, or the model or a file cannot be read.
    """
    signature = load(saved_model).signatures[contract.SERVING_EXAMPLES]
    files = find_split(examples_uri, split)
    keys: list[pd.DataFrame] = []
    probabilities: list[npt.NDArray[np.float32]] = []
    with reader.readable(files), whole_float32():
        for batch in reader.blocks(files).rebatch(BATCH).prefetch(2):
            outputs = signature(**{contract.EXAMPLES: batch})
            probabilities.append(outputs[contract.PROBABILITIES].numpy())
            keys.append(_keys(batch))
            advance(len(keys[-1]))
    if not keys:
        raise DataError(f"the {split} split has no clips: {files}")
    return pd.concat(keys, ignore_index=True), np.concatenate(probabilities)


@contextlib.contextmanager
def whole_float32() -> Iterator[None]:
    """Disable TensorFloat-32 within the block.

    With it, GPUs multiply with 10 bits of each number, and the predictions would differ from
    those of a server on a CPU (ServingCheck compares them).
    """
    experimental = tf.config.experimental
    before = experimental.tensor_float_32_execution_enabled()
    experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        experimental.enable_tensor_float_32_execution(before)


def load(saved_model: str) -> Any:
    """Load a SavedModel.

    Raises:
      DataError: it is missing, damaged, or of another version of TensorFlow.
    """
    # The exception depends on where in the file the damage is.
    damage = (OSError, LookupError, ValueError, TypeError, AttributeError, RuntimeError)
    try:
        return tf.saved_model.load(saved_model)
    except (tf.errors.OpError, AssertionError, *damage) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{saved_model}: cannot be loaded ({reason})") from error


def _keys(batch: tf.Tensor, columns: Sequence[str] = CLIP_KEYS) -> pd.DataFrame:
    parsed = parser.parse_keys(batch)
    frame = pd.DataFrame({name: parsed[name].numpy() for name in columns})
    for name in {schema.TRACK_ID, schema.ARTIST_ID} & set(columns):
        frame[name] = frame[name].str.decode("utf-8")
    return frame
