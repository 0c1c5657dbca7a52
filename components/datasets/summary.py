"""What a dataset holds, counted: for the check before a run, and for its report."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence

from components.datasets.split.splits import SplitResult
from components.datasets.text import artist_key
from components.datasets.track import REJECT_REASONS, SPLITS, Reject, SplitName, Track

EXAMPLES_PER_REASON = 3


@dataclasses.dataclass(frozen=True)
class Summary:
    """Counts of tracks. Dictionaries are complete: what is not there is 0.

    `genres`: in label order. `tracks_of`: genre -> usable tracks. `split_tracks`: genre
    -> split -> tracks; None where tracks are not split (not yet, or by_clip).
    `artists`: how many are known. `rejects_of`: reason -> tracks, in the order of
    REJECT_REASONS. `reject_examples`: reason -> its first few rejects by id.
    """

    genres: tuple[str, ...]
    tracks_of: dict[str, int]
    split_tracks: dict[str, dict[SplitName, int]] | None
    artists: int
    rejects_of: dict[str, int]
    reject_examples: dict[str, tuple[Reject, ...]]

    @property
    def tracks(self) -> int:
        """All usable tracks."""
        return sum(self.tracks_of.values())

    @property
    def rejects(self) -> int:
        """All tracks left out."""
        return sum(self.rejects_of.values())

    @property
    def listed(self) -> int:
        """All tracks that the metadata lists."""
        return self.tracks + self.rejects

    def tracks_in(self, split: SplitName) -> int:
        """Tracks of all genres in a split; 0 where tracks are not split."""
        return sum(counts[split] for counts in (self.split_tracks or {}).values())


def summarize(
    tracks: Iterable[Track],
    rejects: Iterable[Reject],
    genres: Sequence[str],
    splits: SplitResult | None = None,
) -> Summary:
    """Counts a dataset. Tracks that the official split does not place count as rejects.

    Args:
      tracks: the usable tracks, those without an official split included or not.
      rejects: all others; `splits.rejects` included or not.
      genres: the genres in label order.
      splits: None where the tracks could not be split, or are not yet.
    """
    unplaced = splits.rejects if splits else ()
    unplaced_ids = {reject.track_id for reject in unplaced}
    used = [track for track in tracks if track.track_id not in unplaced_ids]
    given = list(rejects)
    counted = set(given)
    left_out = sorted([*given, *(reject for reject in unplaced if reject not in counted)])
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
            reason: tuple(r for r in left_out if r.reason == reason)[:EXAMPLES_PER_REASON]
            for reason in REJECT_REASONS
            if reasons[reason]
        },
    )
