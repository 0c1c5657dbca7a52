"""Detection of tracks with the same audio: the same bytes, or bytes that decode alike.

Duplicates would leak the test split into the training split. A fingerprint, taken while a
track's clips are read, finds the few candidates; only these are decoded as a whole and
compared.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable

from components.audio.decoding.decode import DecodeError
from components.audio.decoding.decoder import Decoder, InProcessDecoder


def find_duplicates(
    tracks: Iterable[tuple[str, str, str]], decoder: Decoder | None = None
) -> dict[str, str]:
    """Find the tracks that repeat another one's audio.

    Args:
      tracks: (track id, path, fingerprint) of each track, in any order. Tracks with an empty
        fingerprint are compared with each other.
      decoder: decoder to use; None decodes in this process.

    Returns:
      A map from the id of each duplicate to the id of the track that is kept, the smallest
      one with the same audio.
    """
    suspects: dict[str, list[tuple[str, str]]] = collections.defaultdict(list)
    for track_id, path, fingerprint in tracks:
        suspects[fingerprint].append((track_id, path))
    duplicates: dict[str, str] = {}
    decoder = decoder or InProcessDecoder()
    for group in suspects.values():
        if len(group) < 2:
            continue
        kept: dict[str, str] = {}
        for track_id, path in sorted(group):
            digest = _whole_digest(decoder, path)
            if digest is None:
                continue
            first = kept.setdefault(digest, track_id)
            if first != track_id:
                duplicates[track_id] = first
    return duplicates


def _whole_digest(decoder: Decoder, path: str) -> str | None:
    """Return a digest of a file's whole audio, or None if it cannot be decoded."""
    try:
        return decoder.digest(path)
    except DecodeError:
        return None
