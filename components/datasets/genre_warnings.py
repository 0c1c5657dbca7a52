"""Warnings about a dataset's genres: missing ones, and names that may mean the same."""

from __future__ import annotations

import collections
from collections.abc import Collection, Iterator, Sequence

from components.datasets.text import letters
from components.datasets.track import REJECT_REASONS, Reject

# Excluded by the user's own list of genres.
_ON_PURPOSE = "unknown_genre"
_MAX_DETAILS = 3


def genre_warnings(genres: Collection[str], rejects: Sequence[Reject]) -> Iterator[str]:
    """Yield a sentence for each genre without a usable track, and for genres of similar names.

    Args:
      genres: the genres that have usable tracks.
      rejects: the tracks that are left out.
    """
    lost: dict[str, list[Reject]] = collections.defaultdict(list)
    for reject in rejects:
        if reject.genre and reject.genre not in genres and reject.reason != _ON_PURPOSE:
            lost[reject.genre].append(reject)
    for genre, found in sorted(lost.items()):
        files = f"{len(found)} file{'s' if len(found) > 1 else ''}"
        yield f"genre {genre!r} is missing: {files}, none can be used: {_reasons(found)}"
    alike: dict[str, list[str]] = collections.defaultdict(list)
    for genre in sorted(genres):
        alike[letters(genre)].append(genre)
    for names in alike.values():
        if len(names) > 1:
            yield (
                f"genres {' and '.join(map(repr, names))} differ only in case, spaces or "
                "punctuation; if they are one genre, give it one name"
            )


def _reasons(rejects: Sequence[Reject]) -> str:
    """Return what is wrong with the rejects, the most frequent first."""
    counts = collections.Counter(one.detail or REJECT_REASONS[one.reason] for one in rejects)
    shown = counts.most_common(_MAX_DETAILS)
    rest = len(rejects) - sum(number for _, number in shown)
    texts = [f"{number} times {detail}" if number > 1 else detail for detail, number in shown]
    return "; ".join([*texts, f"and {rest} others"] if rest else texts)
