"""Which tracks are the same audio: same bytes, or different bytes that decode alike.

Such tracks would carry the test split into the training split. A fingerprint, taken while
a track's clips are read anyway, names the few that can be the same; these alone are then
compared whole.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable

from components.audio.decoding.decode import DecodeError
from components.audio.decoding.decoder import Decoder, InProcessDecoder


def find_duplicates(
    tracks: Iterable[tuple[str, str, str]], decoder: Decoder | None = None
) -> dict[str, str]:
    """The tracks that repeat another one's audio.

    Args:
      tracks: (track id, path, fingerprint) of each; an empty fingerprint is compared
        with all other empty ones.
      decoder: what decodes them; None is this process.

    Returns:
      For each repeating track's id that of the track that is kept: the smallest id of
      those with the same audio. The order of `tracks` changes nothing.
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
    """Digest of a file's whole audio; None if it does not decode (any more)."""
    try:
        return decoder.digest(path)
    except DecodeError:
        return None
