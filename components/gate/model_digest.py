"""When two SavedModels are the same: the digest that the export wrote into their card."""

from __future__ import annotations

import json
import os

import tensorflow as tf

from components.common.errors import DataError

CARD = os.path.join("assets", "model_card.json")


def read_model_digest(directory: str) -> str:
    """The `model_digest` of an exported model: same network, same weights, same digest.

    Files cannot be compared instead: TensorFlow numbers its names on within a process,
    so two exports of the same weights are not the same bytes.

    Raises:
      DataError: the folder is not a model that Genreflow exported.
    """
    path = os.path.join(directory, CARD)
    try:
        with tf.io.gfile.GFile(path) as file:
            digest = json.load(file)["model_digest"]
    except (tf.errors.OpError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: no digest of an exported model in it") from error
    return str(digest)
