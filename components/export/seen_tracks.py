"""Which tracks a model learned from or was chosen on: what it must not be compared on later.

An exported model holds `assets/seen_tracks.json`: `{"train": [...], "validation": [...]}`,
sorted digests of track ids. Ids themselves stay out: a model travels further than its data.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping

from components.artifacts import files as artifact_files
from components.common.errors import DataError
from components.storage.errors import ObjectMissing

SEEN_ASSET = "seen_tracks.json"
SPLITS = ("train", "validation")
_DIGEST_DIGITS = 16


def track_digest(track_id: str) -> str:
    """16 hex digits of a track's id."""
    return hashlib.sha256(track_id.encode()).hexdigest()[:_DIGEST_DIGITS]


def seen_json(track_ids: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """What the asset holds, from the track ids of both splits."""
    return {split: sorted(set(map(track_digest, track_ids[split]))) for split in SPLITS}


def merged(several: Iterable[Mapping[str, Iterable[str]]]) -> dict[str, list[str]]:
    """What a model made of several has seen, from the content of their assets."""
    every = list(several)
    return {split: sorted({d for one in every for d in one[split]}) for split in SPLITS}


def read_seen_splits(saved_model: str) -> dict[str, list[str]]:
    """The asset of an exported model, by split.

    Args:
      saved_model: folder of the SavedModel; a path or a URI.

    Raises:
      DataError: there is none (a model of an older version), or it is damaged.
    """
    path = os.path.join(saved_model, "assets", SEEN_ASSET)
    try:
        found = json.loads(artifact_files.read_text(path))
        if all(isinstance(digest, str) for split in SPLITS for digest in found[split]):
            return {split: list(found[split]) for split in SPLITS}
    except (FileNotFoundError, ObjectMissing) as error:
        raise DataError(f"{path}: not there: nobody knows which tracks the model saw") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not a list of tracks that a model saw") from error
    raise DataError(f"{path}: not a list of tracks that a model saw")


def read_seen(saved_model: str) -> frozenset[str]:
    """Digests of all tracks that a model was trained or chosen on; see read_seen_splits."""
    found = read_seen_splits(saved_model)
    return frozenset(digest for split in SPLITS for digest in found[split])
