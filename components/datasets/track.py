"""Tracks and rejects of a dataset, and hash ranks to order them. No audio is read."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Literal

from components.storage.objects import ObjectState

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True, order=True)
class Track:
    """A track as its dataset's metadata tells it. Immutable, ordered by id.

    `track_id` is unique within the dataset; `uri` is the path or s3:// URI of its audio file;
    `genre` is "" where the metadata has none; `artist_id` is None where unknown;
    `split_hint` is the dataset's own split, where it has one; `state` is that of an object
    as it was listed, None of a local file.
    """

    track_id: str
    uri: str
    genre: str
    artist_id: str | None = None
    split_hint: SplitName | None = None
    state: ObjectState | None = None


@dataclasses.dataclass(frozen=True, order=True)
class Reject:
    """A track that is left out, and why. `reason` is a key of REJECT_REASONS."""

    track_id: str
    uri: str
    genre: str
    reason: str
    detail: str = ""


# The closed list. The text completes "left out because ...".
REJECT_REASONS: dict[str, str] = {
    "missing_file": "its audio file is not there",
    "empty_file": "its audio file has no bytes",
    "unreadable": "its audio file cannot be read",
    "undecodable": "its audio file cannot be decoded",
    "decoder_crashed": "decoding it crashes the decoder",
    "timed_out": "decoding it does not end in time (dataset.decode_timeout_seconds)",
    "too_large": (
        "it is an object of over 1 GiB, or decoding it takes too much memory "
        "(dataset.decode_memory_mib)"
    ),
    "bad_sample_rate": "its header names an impossible sample rate",
    "truncated": "its audio ends before its header says",
    "near_silent": "its clips are silent or nearly so (below -60 dBFS)",
    "duplicate": "its audio is that of another track, which is kept",
    "too_short": "it is shorter than one clip",
    "too_long": "it is longer than an hour",
    "not_finite": "its samples are not finite numbers",
    "no_genre": "the metadata gives it no genre",
    "unknown_genre": "its genre is not in dataset.genres",
    "outside_root": "its path leads outside the data folder",
    "bad_metadata": "its name, its path or its metadata row cannot be used",
    "no_split": "the official split does not place it",
}


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
