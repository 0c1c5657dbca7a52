"""Tracks and rejects of a dataset, and hash ranks to order them. No audio is read."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from typing import Literal

from components.storage.objects import ObjectState

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")
# What people call them, in lower case.
SPLIT_SPELLINGS: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "development": "validation",
    "test": "test",
    "testing": "test",
}


@dataclasses.dataclass(frozen=True, order=True)
class Track:
    """Track of a dataset, from its metadata. Ordered by id.

    Attributes:
      track_id: unique within the dataset.
      uri: path or s3:// URI of the audio file.
      genre: "" if the metadata has none.
      artist_id: None if unknown.
      split_hint: the dataset's own split, if it has one.
      state: state of an object when it was listed; None for a local file.
      copies: the same song in other formats, to be read if this file cannot be used.
    """

    track_id: str
    uri: str
    genre: str
    artist_id: str | None = None
    split_hint: SplitName | None = None
    state: ObjectState | None = None
    copies: tuple[Track, ...] = ()

    @property
    def files(self) -> tuple[Track, ...]:
        """The track once for each of its files, in the order in which they are tried."""
        return dataclasses.replace(self, copies=()), *self.copies


@dataclasses.dataclass(frozen=True, order=True)
class Reject:
    """Track that is left out.

    Attributes:
      track_id: its id, as a track's; "" if unknown.
      uri: its path or URI; "" if unknown.
      genre: its genre; "" if unknown.
      reason: key of REJECT_REASONS.
      detail: what was found, and what to do.
      split_hint: the dataset's own split, if it has one.
    """

    track_id: str
    uri: str
    genre: str
    reason: str
    detail: str = ""
    split_hint: SplitName | None = dataclasses.field(default=None, compare=False)


@dataclasses.dataclass(frozen=True)
class Note:
    """Sentence about a dataset as a whole that its user should know, shown as a warning."""

    text: str


# The closed list of reasons. A text completes the sentence "left out because ...".
REJECT_REASONS: dict[str, str] = {
    "missing_file": "its audio file does not exist",
    "empty_file": "its audio file is empty",
    "unreadable": "its audio file cannot be read",
    "undecodable": "its audio file cannot be decoded",
    "decoder_crashed": "the decoder crashes on it",
    "timed_out": "decoding it times out (dataset.decode_timeout_seconds)",
    "too_large": (
        "it is an object of over 1 GiB, or decoding it needs too much memory "
        "(dataset.decode_memory_mib)"
    ),
    "bad_sample_rate": "its header names an impossible sample rate",
    "truncated": "it is shorter than its header says, or its end is missing",
    "unread_audio": "it holds more audio than can be read, such as a second song or another rate",
    "near_silent": "its clips are silent or nearly so (each below -60 dBFS)",
    "channels_cancel": "its channels cancel each other in the mono mix (one may be inverted)",
    "duplicate": "it has the same audio as another track, which is kept",
    "other_format": "the same song is read from a file of another format",
    "too_short": "it is shorter than one clip",
    "too_long": "it is longer than an hour",
    "not_finite": "its samples are not finite numbers",
    "no_genre": "it has no genre in the metadata",
    "unknown_genre": "its genre is not in dataset.genres",
    "outside_root": "its path leads outside the data folder",
    "bad_metadata": "its name, its path or its metadata row cannot be used",
    "no_split": "the official split does not include it",
}


def file_id(track: Track | Reject) -> str:
    """Return the id under which a file is listed if another file of its song has the id."""
    return track.track_id + os.path.splitext(track.uri)[1]


def rank(*key: object) -> bytes:
    """Return the hash rank of a key.

    Sorting by rank gives an order that looks random, is the same on every machine, and does
    not depend on the order of the input.

    Args:
      *key: what is ranked; only the parts' text counts.

    Returns:
      32 bytes to compare.
    """
    parts = [str(part) for part in key]
    # Lengths first, so that ("a", "bc") and ("ab", "c") differ whatever the parts hold.
    text = ",".join(str(len(part)) for part in parts) + ":" + "".join(parts)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def unit_fraction(*key: object) -> float:
    """Return the rank of a key as a number in [0, 1)."""
    return (int.from_bytes(rank(*key)[:8], "big") >> 11) / (1 << 53)
