"""The train and the validation split of a training, opened and checked before it starts."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from components.audio.params import AudioParams
from components.common import resources
from components.common.errors import DataError
from components.trainer import data
from components.trainer.batches import Clips

Split = Clips | data.Stream


@contextlib.contextmanager
def opened(
    train_files: Sequence[str],
    validation_files: Sequence[str],
    audio: AudioParams,
    genres: Sequence[str],
    *,
    limit: int,
    seed: int,
) -> Iterator[tuple[Split, Split]]:
    """Open both splits, in memory if they fit there together, otherwise as streams.

    Args:
      train_files, validation_files: file patterns, e.g. `.../Split-train/*`.
      audio: the parameters that the examples were made with.
      genres: in label order.
      limit: number of clips of the train split at most, balanced by genre; 0 for all.
      seed: seed of that choice.

    Raises:
      DataError: a split is empty, a genre has no training clips, a label fits no genre, or
        the examples cannot be read, now or while the block runs.
    """
    train, validation = _open(train_files, validation_files, audio, limit, seed)
    _check("train", train.labels, genres)
    _check_genres(train.labels, genres, limit)
    _check("validation", validation.labels, genres)
    with contextlib.ExitStack() as stack:
        for split in (train, validation):
            if isinstance(split, data.Stream):
                stack.enter_context(split.readable())
        yield train, validation


def digest(split: Split) -> str:
    """Return a digest of a split.

    It covers all clips in memory, but only the labels and the files' names and sizes of a stream.
    """
    found = hashlib.sha256(np.ascontiguousarray(split.labels).data)
    if isinstance(split, Clips):
        found.update(np.ascontiguousarray(split.inputs).data)
    else:
        names = [os.path.basename(path) for path in split.files.paths]
        found.update(json.dumps([names, split.files.bytes]).encode())
    return found.hexdigest()


def _open(
    train_files: Sequence[str],
    validation_files: Sequence[str],
    audio: AudioParams,
    limit: int,
    seed: int,
) -> tuple[Split, Split]:
    bytes_held = data.held_bytes(train_files, audio, limit=limit)
    bytes_held += data.held_bytes(validation_files, audio)
    if bytes_held <= resources.cache_bytes():
        return (
            data.load(train_files, audio, limit=limit, seed=seed),
            data.load(validation_files, audio),
        )
    return (
        data.stream(train_files, audio, limit=limit, seed=seed),
        data.stream(validation_files, audio),
    )


def _check_genres(labels: npt.NDArray[np.int64], genres: Sequence[str], limit: int) -> None:
    absent = [name for label, name in enumerate(genres) if label not in labels]
    if absent:
        why = f" (max_train_clips = {limit})" if limit else ""
        raise DataError(
            f"the train split has no clip of {', '.join(map(repr, absent))}{why}: a network "
            "cannot learn a genre without examples; add tracks, or remove the genre from "
            "dataset.genres"
        )


def _check(split: str, labels: npt.NDArray[np.int64], genres: Sequence[str]) -> None:
    if not len(labels):
        raise DataError(
            f"the {split} split has no clips: add tracks, or change the [split] table so that "
            "each split gets some"
        )
    wrong = labels[(labels < 0) | (labels >= len(genres))]
    if len(wrong):
        raise DataError(
            f"the {split} split holds label {wrong[0]}, but there are {len(genres)} genres: the "
            "examples were written with another list of genres"
        )
