"""Who trains, who validates, who tests: decided from metadata, before any clip is cut.

Everything is a pure function of the tracks as a set: their order changes nothing.
"""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from components.common.errors import SplitError
from components.datasets.settings import SplitSettings
from components.datasets.split.grouping import Group, deal_groups, split_targets
from components.datasets.text import artist_key
from components.datasets.track import SPLITS, Reject, SplitName, Track, rank, unit_fraction

# A genre's share of a split may be this many times more or less than asked for before a
# warning says so: large artists cannot be cut.
TOLERATED_FACTOR = 2

LEAKY_WARNING = (
    'split.policy = "by_clip" puts clips of one track on both sides of a split: the model is '
    "tested on songs it has heard, so its results are too good. It exists to reproduce the "
    "reference study; for results that hold for new songs, use by_artist or by_track."
)


@dataclasses.dataclass(frozen=True)
class SplitResult:
    """Which split each track, or each clip, is in.

    `split_of`: track id -> split for every track that has one; empty under by_clip.
    `rejects`: the tracks that the official split does not place (reason no_split).
    `leaky`: whether clips of one track may lie in different splits.
    `warnings`: sentences for the user, in a fixed order.
    """

    settings: SplitSettings
    split_of: dict[str, SplitName]
    rejects: tuple[Reject, ...] = ()
    leaky: bool = False
    warnings: tuple[str, ...] = ()

    def split_of_clip(self, track_id: str, clip_index: int) -> SplitName:
        """The split of one clip of a track: under all policies but by_clip, its track's.

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

    def label_of(self, track_id: str) -> str:
        """What decides the splits of a track's clips, as text for a digest.

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
    tracks: Sequence[Track], settings: SplitSettings, genres: Sequence[str]
) -> SplitResult:
    """Splits tracks by the policy of `settings`.

    - official: as `split_hint` says; tracks without one are rejects (no_split).
    - by_track: each genre's tracks in the fractions asked for, rounded, at least one in
      each split. Adding k tracks to a genre moves at most 2k of those it had.
    - by_artist: the same with all tracks of an artist on one side (a track of unknown
      artist stands alone; spellings are told apart by `text.artist_key`). Where artists
      keep to one genre: a split holds more of a genre than asked for only if no artist of
      it is small enough, and then it holds the smallest; it falls short by less than the
      smallest artist left in train, unless only as many artists are left as the other
      splits need; and adding k tracks to a genre moves at most 8 (k + m) of those it had,
      m the tracks of its largest artist.
      Artists of several genres may cost fractions, but no genre its place in a split that
      some deal would give it.
    - by_clip: by a hash of each clip. Leaks, and says so; see `split_of_clip`.

    Adding tracks of one genre moves none of another, unless artists share them.

    Args:
      tracks: unique ids, each genre one of `genres`.
      settings: policy, fractions and seed.
      genres: the genres in label order.

    Raises:
      SplitError: a genre or a split cannot be filled; the message says what to do.
      ValueError: the caller's fault: an id twice, or a genre not in `genres`.
    """
    _check_arguments(tracks, genres)
    ordered = sorted(tracks)
    _check_counts(ordered, settings, genres)
    if settings.policy == "official":
        return _official(ordered, settings, genres)
    if settings.policy == "by_clip":
        return SplitResult(settings, {}, leaky=True, warnings=(LEAKY_WARNING,))
    return _grouped(ordered, settings, genres)


def _check_arguments(tracks: Sequence[Track], genres: Sequence[str]) -> None:
    twice = [track_id for track_id, n in Counter(t.track_id for t in tracks).items() if n > 1]
    if twice:
        raise ValueError(f"track ids must be unique; twice: {sorted(twice)[:5]}")
    unknown = {track.genre for track in tracks} - set(genres)
    if unknown:
        raise ValueError(f"tracks of genres that are not listed: {sorted(unknown)[:5]}")


def _check_counts(tracks: Sequence[Track], settings: SplitSettings, genres: Sequence[str]) -> None:
    if not tracks:
        raise SplitError("no usable track is left to split; the rejects say why")
    if len(genres) < 2:
        raise SplitError(
            f"only one genre, {genres[0]!r}, has usable tracks; telling genres apart takes two"
        )
    count = Counter(track.genre for track in tracks)
    least = 3 if settings.policy in ("by_track", "by_artist") else 1
    problems = [
        f"genre {genre!r} has {_count(count[genre], 'usable track')} and needs at least "
        + (f"{least} to be in {_listed(SPLITS)}" if least > 1 else "1")
        for genre in genres
        if count[genre] < least
    ]
    if problems:
        raise SplitError(
            _lines(problems)
            + "\nadd tracks, or leave the genre out by listing the others in dataset.genres"
        )


def _official(
    tracks: Sequence[Track], settings: SplitSettings, genres: Sequence[str]
) -> SplitResult:
    instead = 'set split.policy to "by_artist" or "by_track"'
    split_of = {t.track_id: t.split_hint for t in tracks if t.split_hint is not None}
    if not split_of:
        raise SplitError(f"the dataset has no official split: {instead}")
    sizes = Counter(split_of.values())
    empty = [split for split in SPLITS if not sizes[split]]
    if empty:
        found = ", ".join(f"{split} {sizes[split]}" for split in SPLITS)
        raise SplitError(
            f"the official split leaves no track in {_listed(empty)} (tracks: {found}): "
            f"{instead}, or add the missing files"
        )
    table = _table(tracks, split_of)
    untaught = [genre for genre in genres if not table[genre]["train"]]
    if untaught:
        raise SplitError(
            f"the official split has no track to train on for {_quoted(untaught)}: {instead}, "
            "or leave the genre out by listing the others in dataset.genres"
        )
    warnings = [
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


def _grouped(
    tracks: Sequence[Track], settings: SplitSettings, genres: Sequence[str]
) -> SplitResult:
    by_artist = settings.policy == "by_artist"
    free = _groups(tracks, by_artist, settings.seed)
    groups_of = Counter(genre for group in free for genre in group.tracks_of)
    count = Counter(track.genre for track in tracks)
    if by_artist:
        _check_artists(count, groups_of, genres)
    split_of: dict[str, SplitName] = {}
    dealt = deal_groups(
        free,
        split_targets(count, settings.test_fraction),
        split_targets(count, settings.validation_fraction),
    )
    for group, split in zip(free, dealt, strict=True):
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
            + "\nits artists also make other genres, and no way was found to spread them so that "
            'every split has all genres: add artists, set split.policy to "by_track", or leave '
            "the genre out by listing the others in dataset.genres"
        )
    if not by_artist:
        return SplitResult(settings, split_of, warnings=_shared_artists(tracks, split_of))
    return SplitResult(settings, split_of, warnings=_artist_warnings(tracks, table, settings))


def _groups(tracks: Sequence[Track], by_artist: bool, seed: int) -> list[Group]:
    """The tracks that must stay together, by hash rank of (seed, what they share)."""
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
            + '\nadd artists, set split.policy to "by_track", or leave the genre out by listing '
            "the others in dataset.genres"
        )


def _artist_warnings(
    tracks: Sequence[Track], table: Mapping[str, Counter[str]], settings: SplitSettings
) -> tuple[str, ...]:
    if all(track.artist_id is None for track in tracks):
        return (
            "no artist is known, so by_artist splits as by_track does: "
            "songs of one artist may lie on both sides",
        )
    warnings = []
    fractions = (("validation", settings.validation_fraction), ("test", settings.test_fraction))
    for genre, counts in sorted(table.items()):
        total = sum(counts.values())
        for split, fraction in fractions:
            wanted = split_targets({genre: total}, fraction)[genre]
            if not wanted / TOLERATED_FACTOR <= counts[split] <= wanted * TOLERATED_FACTOR:
                warnings.append(
                    f"genre {genre!r}: {counts[split]} of {total} tracks are in {split}, where "
                    f"{wanted} were asked for: its artists are few or large"
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
        "a model may know them by their sound (by_artist keeps artists apart)",
    )


def _table(
    tracks: Iterable[Track], split_of: Mapping[str, SplitName]
) -> defaultdict[str, Counter[str]]:
    """Tracks by genre and split."""
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


def _lines(problems: Sequence[str], at_most: int = 10) -> str:
    shown = list(problems[:at_most])
    if len(problems) > at_most:
        shown.append(f"... and {len(problems) - at_most} more")
    return "\n".join(shown)
