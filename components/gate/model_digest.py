"""When two SavedModels are the same: a digest over their files."""

from __future__ import annotations

import hashlib
import os

import tensorflow as tf


def model_digest(directory: str) -> str:
    """16 hex digits over names and bytes of all files below a SavedModel's folder.

    Raises:
      FileNotFoundError: the folder holds no saved_model.pb.
    """
    if not tf.io.gfile.exists(os.path.join(directory, "saved_model.pb")):
        raise FileNotFoundError(f"{directory}: no saved_model.pb")
    digest = hashlib.sha256()
    for folder, _, files in sorted(tf.io.gfile.walk(directory)):
        for name in sorted(files):
            path = os.path.join(folder, name)
            digest.update(f"{os.path.relpath(path, directory)}\0".encode())
            content = hashlib.sha256()
            with tf.io.gfile.GFile(path, "rb") as file:
                while block := file.read(1 << 20):
                    content.update(block)
            digest.update(content.digest())
    return digest.hexdigest()[:16]
