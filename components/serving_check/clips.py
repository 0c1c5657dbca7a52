"""Test clips with the trainer's predictions, which a server must reproduce."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.common.escape import printable
from components.examples import parser, reader, schema
from components.predictions.predict import find_split
from components.predictions.table import TEST, probability_columns
from components.serving_check.outcome import CheckFailed

_BATCH = 256
Key = tuple[str, int]


@dataclasses.dataclass(frozen=True, eq=False)
class KnownClips:
    """Clips with their expected probabilities.

    Attributes:
      names: for messages.
      examples: serialized tf.Examples, object `[clips]`.
      expected: probabilities, float32 `[clips, genres]`.
    """

    names: tuple[str, ...]
    examples: npt.NDArray[np.object_]
    expected: npt.NDArray[np.float32]


def read_test_clips(
    table: pd.DataFrame, candidate: str, genres: Sequence[str], examples_uri: str, count: int
) -> KnownClips:
    """Choose and read clips of the test split, always the same ones.

    Args:
      table: the Ensembler's predictions.
      candidate: name of the candidate in the table.
      genres: in label order.
      examples_uri: root of the Examples artifact.
      count: largest number of clips, at least 1.

    Raises:
      CheckFailed: the table has no test rows of the candidate, has other genres, or has rows of
        clips that are not among the examples.
      DataError: the examples cannot be read.
    """
    columns = probability_columns(genres)
    rows = table[(table["model"] == candidate) & (table["split"] == TEST)]
    if rows.empty or not set(columns) <= set(table.columns):
        raise CheckFailed(
            f"the predictions have no test rows of {printable(candidate)} for the genres "
            f"{', '.join(map(printable, genres))}"
        )
    keys = list(zip(rows[schema.TRACK_ID], rows[schema.CLIP_INDEX].astype(int), strict=True))
    chosen = choose(keys, count)
    serialized = _read(examples_uri, set(chosen))
    for key in chosen:
        if key not in serialized:
            raise CheckFailed(f"the examples do not contain {_name(key)}, which was predicted")
    by_key = dict(zip(keys, rows[columns].to_numpy(np.float32), strict=True))
    return KnownClips(
        tuple(map(_name, chosen)),
        np.array([serialized[key] for key in chosen], object),
        np.stack([by_key[key] for key in chosen]),
    )


def choose(keys: Sequence[Key], count: int) -> list[Key]:
    """Choose clips from as many tracks as possible: one of each track in turn.

    The order follows hashes of the names, so that the same data gives the same clips and
    additional data changes few of them.

    Args:
      keys: track id and clip index of each clip.
      count: largest number of clips.
    """
    by_track: dict[str, list[Key]] = {}
    for key in sorted(set(keys), key=_rank):
        by_track.setdefault(key[0], []).append(key)
    turns = [(turn, _rank(of[0]), key) for of in by_track.values() for turn, key in enumerate(of)]
    return [key for _, _, key in sorted(turns)[:count]]


def _rank(key: Key) -> bytes:
    return hashlib.sha256(f"{key[0]}\0{key[1]}".encode()).digest()


def _name(key: Key) -> str:
    return f"clip {key[1]} of test track {printable(key[0])}"


def _read(examples_uri: str, wanted: set[Key]) -> dict[Key, bytes]:
    files = find_split(examples_uri, TEST)
    found: dict[Key, bytes] = {}
    with reader.readable(files):
        for batch in reader.blocks(files).rebatch(_BATCH).prefetch(2):
            parsed = parser.parse_keys(batch)
            tracks = parsed[schema.TRACK_ID].numpy()
            indices = parsed[schema.CLIP_INDEX].numpy()
            for row, (track, index) in enumerate(zip(tracks, indices, strict=True)):
                key = (track.decode("utf-8"), int(index))
                if key in wanted:
                    found[key] = batch[row].numpy()
            if len(found) == len(wanted):
                break
    return found
