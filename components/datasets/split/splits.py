"""The split into train, validation and test, from metadata, before any clip is cut.

Everything is a pure function of the set of tracks; their order does not matter.
"""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from components.common.errors import SplitError
from components.datasets.settings import SplitSettings
from components.datasets.split.grouping import (
    Group,
    assign_groups,
    split_targets,
    take_groups,
)
from components.datasets.text import artist_key
from components.datasets.track import SPLITS, Reject, SplitName, Track, rank, unit_fraction

# A warning is given if a genre's share of a split is off by more than this factor, because
# artists cannot be divided.
MAX_UNWARNED_FACTOR = 2

LEAKY_WARNING = (
    'split.policy = "by_clip" puts clips of one track into different splits. The model is tested '
    "on songs that it was trained on, so its results are too good. Use it only to reproduce the "
    "reference study; for results that hold for new songs, use by_artist or by_track."
)


@dataclasses.dataclass(frozen=True)
class SplitResult:
    """Split of a dataset's tracks or clips.

    Attributes:
      settings: the settings of the split.
      split_of: split of each track by its id; empty under by_clip.
      rejects: the tracks that the official split does not include (reason no_split).
      leaky: whether clips of one track may be in different splits.
      warnings: sentences for the user, in a fixed order.
    """

    settings: SplitSettings
    split_of: dict[str, SplitName]
    rejects: tuple[Reject, ...] = ()
    leaky: bool = False
    warnings: tuple[str, ...] = ()

    def split_of_clip(self, track_id: str, clip_index: int) -> SplitName:
        """Return the split of a clip: except under by_clip, the split of its track.

        Raises:
          KeyError: the track is in no split.
        """
        if not self.leaky:
            return self.split_of[track_id]
        place = unit_fraction(self.settings.seed, "clip", track_id, clip_index)
        if place < self.settings.test_fraction:
            return "test"
        if place >= 1 - self.settings.validation_fraction:
            return "validation"
        return "train"

    def digest_text(self, track_id: str) -> str:
        """Return text that identifies the splits of a track's clips, for a digest.

        Raises:
          KeyError: the track is in no split.
        """
        if not self.leaky:
            return self.split_of[track_id]
        settings = self.settings
        return (
            f"by_clip {settings.seed} {settings.validation_fraction!r} {settings.test_fraction!r}"
        )


def assign_splits(
    tracks: Sequence[Track],
    settings: SplitSettings,
    genres: Sequence[str],
    *,
    listed_splits: Collection[SplitName] = SPLITS,
) -> SplitResult:
    """Split tracks by the policy of `settings`.

    - official: by `split_hint`; tracks without one become rejects (no_split). If the dataset
      lists no validation, training tracks are used for it, as by_artist chooses them.
    - by_track: each genre is split in the configured fractions, rounded, with at least one
      track in each split. Adding k tracks to a genre moves at most 2k of its other tracks.
    - by_artist: as by_track, with all tracks of an artist in one split. Spellings of an artist
      are matched by `text.artist_key`; a track of unknown artist is a group by itself. If
      each artist has a single genre:
        - a split exceeds a genre's target only if every artist is larger than the target,
          and then it gets the smallest artist;
        - a split misses its target by less than the smallest artist left in train, unless
          only as many artists are left as the other splits need;
        - adding k tracks to a genre moves at most 8 (k + m) of its other tracks, where m is
          the size of its largest artist.
      Artists of several genres may distort the fractions, but every split gets every genre if
      the search finds such an assignment.
    - by_clip: by a hash of each clip. It leaks, and the result has a warning.

    Adding tracks of one genre moves no track of another, unless the genres share artists.

    Args:
      tracks: the tracks, with unique ids and genres that are in `genres`.
      settings: policy, fractions and seed.
      genres: the genres in label order.
      listed_splits: the official splits that the metadata has, if only of unusable tracks.

    Raises:
      SplitError: a genre or a split cannot be filled.
      ValueError: an id occurs twice, or a genre is not in `genres`.
    """
    _check_arguments(tracks, genres)
    ordered = sorted(tracks)
    _check_counts(ordered, settings, genres)
    if settings.policy == "official":
        return _official(ordered, settings, genres, listed_splits)
    if settings.policy == "by_clip":
        return SplitResult(settings, {}, leaky=True, warnings=(LEAKY_WARNING,))
    return _grouped(ordered, settings, genres)


def _check_arguments(tracks: Sequence[Track], genres: Sequence[str]) -> None:
    twice = [track_id for track_id, n in Counter(t.track_id for t in tracks).items() if n > 1]
    if twice:
        raise ValueError(f"track ids occur twice: {sorted(twice)[:5]}")
    unknown = {track.genre for track in tracks} - set(genres)
    if unknown:
        raise ValueError(f"genres of tracks are not in `genres`: {sorted(unknown)[:5]}")


def _check_counts(tracks: Sequence[Track], settings: SplitSettings, genres: Sequence[str]) -> None:
    if not tracks:
        raise SplitError("no usable track to split; the rejects say why")
    if len(genres) < 2:
        raise SplitError(
            f"only one genre, {genres[0]!r}, has usable tracks; a classifier needs at least two"
        )
    count = Counter(track.genre for track in tracks)
    minimum = 3 if settings.policy in ("by_track", "by_artist") else 1
    problems = [
        f"genre {genre!r} has {_count(count[genre], 'usable track')} and needs at least "
        + (f"{minimum} to be in {_listed(SPLITS)}" if minimum > 1 else "1")
        for genre in genres
        if count[genre] < minimum
    ]
    if problems:
        raise SplitError(
            _lines(problems)
            + "\nadd tracks, or exclude the genre by listing the others in dataset.genres"
        )


def _official(
    tracks: Sequence[Track],
    settings: SplitSettings,
    genres: Sequence[str],
    listed_splits: Collection[SplitName],
) -> SplitResult:
    remedy = 'set split.policy to "by_artist" or "by_track"'
    split_of = {t.track_id: t.split_hint for t in tracks if t.split_hint is not None}
    if not split_of:
        raise SplitError(f"the dataset has no official split; {remedy}")
    sizes = Counter(split_of.values())
    empty = [split for split in SPLITS if not sizes[split]]
    taken = []
    if empty == ["validation"] and "validation" not in listed_splits:
        taken = _validation(tracks, split_of, settings)
        split_of.update(dict.fromkeys(taken, "validation"))
    elif empty:
        found = ", ".join(f"{split} {sizes[split]}" for split in SPLITS)
        raise SplitError(
            f"the official split has no usable track in {_listed(empty)} (tracks: {found}); "
            f"{remedy}, or add the missing files"
        )
    table = _table(tracks, split_of)
    untrained = [genre for genre in genres if not table[genre]["train"]]
    if untrained:
        raise SplitError(
            f"the official split has no training track of {_quoted(untrained)}; {remedy}, "
            "or exclude the genre by listing the others in dataset.genres"
        )
    warnings = []
    if taken:
        warnings.append(
            f"the official split has no validation, so {len(taken)} of its "
            f"{sizes['train']} training tracks are used for it (split.validation_fraction)"
        )
    warnings += [
        f"the official split has no {split} track of {_quoted(missing)}"
        for split in ("validation", "test")
        if (missing := [genre for genre in genres if not table[genre][split]])
    ]
    rejects = tuple(
        Reject(t.track_id, t.uri, t.genre, "no_split") for t in tracks if t.split_hint is None
    )
    return SplitResult(
        settings,
        split_of,
        rejects=rejects,
        warnings=(*warnings, *_shared_artists(tracks, split_of)),
    )


def _validation(
    tracks: Sequence[Track], split_of: Mapping[str, SplitName], settings: SplitSettings
) -> list[str]:
    """Return the ids of the training tracks, of whole artists, to use for validation."""
    train = [track for track in tracks if split_of.get(track.track_id) == "train"]
    groups = _groups(train, by_artist=True, seed=settings.seed)
    targets = split_targets(Counter(t.genre for t in train), settings.validation_fraction)
    return [track_id for group in take_groups(groups, targets) for track_id in group.track_ids]


def _grouped(
    tracks: Sequence[Track], settings: SplitSettings, genres: Sequence[str]
) -> SplitResult:
    by_artist = settings.policy == "by_artist"
    groups = _groups(tracks, by_artist, settings.seed)
    groups_of = Counter(genre for group in groups for genre in group.tracks_of)
    count = Counter(track.genre for track in tracks)
    if by_artist:
        _check_artists(count, groups_of, genres)
    split_of: dict[str, SplitName] = {}
    assigned = assign_groups(
        groups,
        split_targets(count, settings.test_fraction),
        split_targets(count, settings.validation_fraction),
    )
    for group, split in zip(groups, assigned, strict=True):
        split_of.update(dict.fromkeys(group.track_ids, split))
    table = _table(tracks, split_of)
    problems = [
        f"genre {genre!r} gets no track in {_listed(empty)}"
        for genre in genres
        if (empty := [split for split in SPLITS if not table[genre][split]])
    ]
    if problems:
        raise SplitError(
            _lines(problems)
            + "\nits artists have tracks of other genres too, and no assignment of artists was "
            'found that gives every split all genres; add artists, set split.policy to "by_track", '
            "or exclude the genre by listing the others in dataset.genres"
        )
    if not by_artist:
        return SplitResult(settings, split_of, warnings=_shared_artists(tracks, split_of))
    return SplitResult(settings, split_of, warnings=_artist_warnings(tracks, table, settings))


def _groups(tracks: Sequence[Track], by_artist: bool, seed: int) -> list[Group]:
    """Return the groups of tracks that must stay together, ordered by hash rank."""
    members: dict[tuple[str, str], list[Track]] = defaultdict(list)
    for track in tracks:
        if by_artist and track.artist_id is not None:
            members["artist", artist_key(track.artist_id)].append(track)
        else:
            members["track", track.track_id].append(track)
    return [
        Group(tuple(t.track_id for t in members[key]), Counter(t.genre for t in members[key]))
        for key in sorted(members, key=lambda key: rank(seed, *key))
    ]


def _check_artists(
    count: Mapping[str, int], groups_of: Mapping[str, int], genres: Sequence[str]
) -> None:
    problems = [
        f"genre {genre!r} ({_count(count[genre], 'track')}) is by "
        f"{_count(groups_of[genre], 'artist')} and needs at least 3 to be in {_listed(SPLITS)}"
        for genre in genres
        if groups_of[genre] < 3
    ]
    if problems:
        raise SplitError(
            _lines(problems)
            + '\nadd artists, set split.policy to "by_track", or exclude the genre by listing '
            "the others in dataset.genres"
        )


def _artist_warnings(
    tracks: Sequence[Track], table: Mapping[str, Counter[str]], settings: SplitSettings
) -> tuple[str, ...]:
    if all(track.artist_id is None for track in tracks):
        return (
            "no artist is known, so by_artist splits as by_track does: "
            "songs of one artist may be in different splits",
        )
    warnings = []
    fractions = (("validation", settings.validation_fraction), ("test", settings.test_fraction))
    for genre, counts in sorted(table.items()):
        total = sum(counts.values())
        for split, fraction in fractions:
            wanted = split_targets({genre: total}, fraction)[genre]
            if not wanted / MAX_UNWARNED_FACTOR <= counts[split] <= wanted * MAX_UNWARNED_FACTOR:
                warnings.append(
                    f"genre {genre!r}: {counts[split]} of {total} tracks are in {split} instead of "
                    f"{wanted}, because its artists are few or large"
                )
    return tuple(warnings)


def _shared_artists(tracks: Sequence[Track], split_of: Mapping[str, SplitName]) -> tuple[str, ...]:
    sides: dict[str, set[str]] = defaultdict(set)
    for track in tracks:
        if track.artist_id is not None and track.track_id in split_of:
            sides[artist_key(track.artist_id)].add(split_of[track.track_id])
    shared = sum(len(found) > 1 for found in sides.values())
    if not shared:
        return ()
    return (
        f"{shared} of {_count(len(sides), 'artist')} have tracks in more than one split: "
        "a model may recognise them by their sound (by_artist keeps artists apart)",
    )


def _table(
    tracks: Iterable[Track], split_of: Mapping[str, SplitName]
) -> defaultdict[str, Counter[str]]:
    """Count the tracks by genre and split."""
    table: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for track in tracks:
        if track.track_id in split_of:
            table[track.genre][split_of[track.track_id]] += 1
    return table


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _quoted(names: Sequence[str]) -> str:
    return _listed([repr(name) for name in names])


def _lines(problems: Sequence[str], max_lines: int = 10) -> str:
    shown = list(problems[:max_lines])
    if len(problems) > max_lines:
        shown.append(f"... and {len(problems) - max_lines} more")
    return "\n".join(shown)
