"""Counts of a dataset's tracks, for the check before a run and for the report."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence

from components.datasets.split.splits import SplitResult
from components.datasets.text import artist_key
from components.datasets.track import REJECT_REASONS, SPLITS, Reject, SplitName, Track

MAX_EXAMPLES_PER_REASON = 3


@dataclasses.dataclass(frozen=True)
class Summary:
    """Counts of a dataset's tracks. Dictionaries have all keys, also those with 0 tracks.

    Attributes:
      genres: the genres in label order.
      tracks_of: number of usable tracks by genre.
      split_tracks: number of tracks by genre and split; None if tracks are not split (not
        yet, or by_clip).
      artists: number of known artists.
      rejects_of: number of rejects by reason, in the order of REJECT_REASONS.
      reject_examples: the first few rejects by reason, sorted by id.
    """

    genres: tuple[str, ...]
    tracks_of: dict[str, int]
    split_tracks: dict[str, dict[SplitName, int]] | None
    artists: int
    rejects_of: dict[str, int]
    reject_examples: dict[str, tuple[Reject, ...]]

    @property
    def tracks(self) -> int:
        """The number of usable tracks."""
        return sum(self.tracks_of.values())

    @property
    def rejects(self) -> int:
        """The number of rejects."""
        return sum(self.rejects_of.values())

    @property
    def listed(self) -> int:
        """The number of tracks that the metadata lists."""
        return self.tracks + self.rejects

    def tracks_in(self, split: SplitName) -> int:
        """Return the number of tracks in a split; 0 if tracks are not split."""
        return sum(counts[split] for counts in (self.split_tracks or {}).values())


def summarize(
    tracks: Iterable[Track],
    rejects: Iterable[Reject],
    genres: Sequence[str],
    splits: SplitResult | None = None,
) -> Summary:
    """Count the tracks of a dataset.

    Tracks that the official split does not assign (`splits.rejects`) count as rejects, whether
    or not `tracks` or `rejects` include them.

    Args:
      tracks: the usable tracks.
      rejects: the other tracks.
      genres: the genres in label order.
      splits: the split; None if the tracks are not split.
    """
    unassigned = splits.rejects if splits else ()
    unassigned_ids = {reject.track_id for reject in unassigned}
    used = [track for track in tracks if track.track_id not in unassigned_ids]
    given = list(rejects)
    counted = set(given)
    left_out = sorted([*given, *(reject for reject in unassigned if reject not in counted)])
    count = Counter(track.genre for track in used)
    split_tracks = None
    if splits is not None and not splits.leaky:
        by_split = Counter((track.genre, splits.split_of[track.track_id]) for track in used)
        split_tracks = {genre: {s: by_split[genre, s] for s in SPLITS} for genre in genres}
    reasons = Counter(reject.reason for reject in left_out)
    return Summary(
        genres=tuple(genres),
        tracks_of={genre: count[genre] for genre in genres},
        split_tracks=split_tracks,
        artists=len({artist_key(t.artist_id) for t in used if t.artist_id is not None}),
        rejects_of={reason: reasons[reason] for reason in REJECT_REASONS},
        reject_examples={
            reason: tuple(r for r in left_out if r.reason == reason)[:MAX_EXAMPLES_PER_REASON]
            for reason in REJECT_REASONS
            if reasons[reason]
        },
    )
