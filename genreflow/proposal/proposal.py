"""Proposal of a configuration for a data folder: what it holds, and what to do with it."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence
from typing import Any

from components.audio.params import AudioParams
from components.common.errors import DatasetError, SplitError
from components.datasets.corpus import Corpus, Listing, split_listing
from components.datasets.detection import Detected
from components.datasets.registry import READERS
from components.datasets.settings import DatasetSettings, SplitSettings
from components.datasets.track import SPLITS
from genreflow.proposal.artists import MIN_SHARE, Artists
from genreflow.proposal.file_text import Key, Tables
from genreflow.proposal.networks import Choice, batch_size, floor

# A genre needs a track for each split.
MIN_TRACKS = len(SPLITS)
# More genres are not listed in the file, and are rather artists or albums.
MAX_LISTED_GENRES = 100
MANY_GENRES = 200
# With fewer tracks, tenths are few for a test.
_SMALL = 1000


@dataclasses.dataclass(frozen=True)
class Proposal:
    """Proposed data, split, networks and rules.

    Attributes:
      detected: the folder's kind.
      dataset: settings of the dataset, with the genres that can be used.
      split: settings of the split.
      corpus: the tracks as split.
      choice: the networks.
      counts: number of tracks by genre, all genres included.
      unused: genres with too few tracks.
      notes: sentences about what was found, and what could not be known.
    """

    detected: Detected
    dataset: DatasetSettings
    split: SplitSettings
    corpus: Corpus
    choice: Choice
    counts: dict[str, int]
    unused: tuple[str, ...]
    notes: tuple[str, ...]

    def tables(self) -> tuple[Tables, dict[str, str]]:
        """Return the chosen values, and a sentence for some tables."""
        dataset = self.dataset
        names = dataset.genres or self.corpus.genres
        keys: dict[str, Key] = {
            "kind": Key(dataset.kind, [f"Chosen as {self.detected.why}."]),
            "data_dir": Key(dataset.data_dir),
        }
        if dataset.kind == "manifest":
            keys["manifest"] = Key(dataset.manifest)
        if dataset.kind == "fma":
            keys["fma_subset"] = Key(dataset.fma_subset)
        if dataset.genres or len(names) <= MAX_LISTED_GENRES:
            about = [
                "In the order of the model's outputs. A listed genre without songs is an error."
            ]
            if self.unused:
                few = ", ".join(f"{name} ({self.counts[name]})" for name in self.unused[:20])
                more = f" and {len(self.unused) - 20} more" if len(self.unused) > 20 else ""
                about.append(f"Left out, as a genre needs {MIN_TRACKS} songs: {few}{more}.")
            notes = [f"{self.counts[name]} songs" for name in names]
            keys["genres"] = Key(list(names), about, notes)
        split = {"policy": Key(self.split.policy, self.notes)}
        if self.split.policy != "official":
            split["validation_fraction"] = Key(self.split.validation_fraction)
            split["test_fraction"] = Key(self.split.test_fraction)
        tables: dict[str, dict[str, Key]] = {"dataset": keys, "split": split}
        if self.choice.audio:
            tables["audio"] = {name: Key(value) for name, value in self.choice.audio.items()}
        tables["training"] = {
            "batch_size": Key(
                batch_size(self.train_clips), [f"For {self.train_clips} training clips."]
            )
        }
        for name, values in self.choice.models.items():
            tables[f"models.{name}"] = {key: Key(value) for key, value in values.items()}
        test = sum(self._split_of(track.track_id) == "test" for track in self.corpus.tracks)
        tables["gate"] = {
            "floor": Key(
                floor(len(names)),
                [f"Guessing among {len(names)} genres is right in {1 / len(names):.0%} of songs."],
            )
        }
        first = next(iter(self.choice.models))
        comments = {
            f"models.{first}": f"Networks for this machine: {self.choice.why}.",
            "gate": f"Rules that a candidate must pass to be pushed, on {test} test songs. With "
            "fewer than some 200 it is hard to show that a network beats the classical models "
            "(docs/method/gate.md); beats_baseline = false does not ask for that.",
        }
        return tables, comments

    @property
    def train_clips(self) -> int:
        """The number of clips to train on."""
        clips: int = self.choice.audio.get("clips_per_track", AudioParams.clips_per_track)
        train = sum(self._split_of(track.track_id) == "train" for track in self.corpus.tracks)
        return clips * train

    def _split_of(self, track_id: str) -> str:
        return self.corpus.split_of_clip(track_id, 0)


def propose(
    detected: Detected, listing: Listing, artists: Artists | None, choice: Choice, *, tags: bool
) -> Proposal:
    """Return a proposal for a dataset.

    Args:
      detected: its kind.
      listing: its tracks; with artists, as read from the manifest that names them.
      artists: where its artists were found, if they were looked for and found.
      choice: the networks.
      tags: whether tags could be read.

    Raises:
      DatasetError: fewer than two genres have enough tracks.
      SplitError: the tracks cannot be split.
    """
    counts = dict(sorted(collections.Counter(one.genre for one in listing.tracks).items()))
    used = tuple(name for name in listing.genres if counts.get(name, 0) >= MIN_TRACKS)
    unused = tuple(name for name in counts if name not in used)
    if len(used) < 2:
        found = ", ".join(f"{name}: {number}" for name, number in list(counts.items())[:10])
        raise DatasetError(
            f"{detected.settings.data_dir}: a model needs two genres of at least {MIN_TRACKS} "
            f"songs each, and {len(used) or 'none'} of its genres has so many (songs by genre: "
            f"{found or 'none'}); add songs, or name another folder"
        )
    dataset = detected.settings
    if unused:
        dataset = dataclasses.replace(dataset, genres=used)
        tracks = tuple(one for one in listing.tracks if one.genre in used)
        listing = dataclasses.replace(listing, tracks=tracks, genres=used)
    notes = []
    if len(used) > MANY_GENRES:
        notes.append(
            f"There are {len(used)} genres. If they are artists or albums, name a folder whose "
            "sub-folders are genres, or list the songs with their genres in a CSV (kind = "
            '"manifest").'
        )
    split, corpus, why = _split(dataset, listing, artists, tags=tags)
    return Proposal(
        detected, dataset, split, corpus, choice, counts, unused, (*notes, *why, *corpus.warnings)
    )


def _split(
    dataset: DatasetSettings, listing: Listing, artists: Artists | None, *, tags: bool
) -> tuple[SplitSettings, Corpus, list[str]]:
    """Return the split: the dataset's own, else by artist, else by track; and why."""
    tracks = listing.tracks
    known = sum(one.artist_id is not None for one in tracks)
    hinted = sum(one.split_hint is not None for one in tracks)
    part = 0.15 if len(tracks) < _SMALL else 0.1
    tried: list[str] = []
    for policy, fits, why in (
        (
            "official",
            READERS[dataset.kind].official_split and hinted >= MIN_SHARE * len(tracks),
            "The data set's own split.",
        ),
        (
            "by_artist",
            known >= MIN_SHARE * len(tracks),
            f"No artist is in two splits. The artists of {known} of {len(tracks)} songs are "
            f"known from {artists.source if artists else 'the data set'}.",
        ),
        ("by_track", True, _by_track(dataset, known, len(tracks), tags=tags)),
    ):
        if not fits:
            continue
        split = SplitSettings(policy=policy, validation_fraction=part, test_fraction=part)  # type: ignore[arg-type]
        try:
            corpus = split_listing(listing, dataset, split)
        except SplitError as error:
            if policy == "by_track":
                raise
            tried.append(f'policy = "{policy}" is impossible: {str(error).splitlines()[0]}')
            continue
        return split, corpus, [*tried, why]
    raise AssertionError("by_track fits always")


def _by_track(dataset: DatasetSettings, known: int, tracks: int, *, tags: bool) -> str:
    """Return why tracks are split one by one, what that means, and what would change it.

    Args:
      dataset: the settings of the dataset.
      known: number of tracks whose artist is known.
      tracks: number of all tracks.
      tags: whether tags could be read.
    """
    reason, remedy = "", ""
    if known < MIN_SHARE * tracks:
        of, remedy = "The data set", 'A CSV of tracks with artist_id (kind = "manifest") allows'
        if dataset.kind == "manifest":
            of, remedy = dataset.manifest, f"Artists in {dataset.manifest}, column artist_id, allow"
        remedy += ' "by_artist".'
        if known:
            reason = f"The artists of only {known} of {tracks} songs are known. "
        elif dataset.kind != "folder":
            reason = f"{of} names no artists. "
        elif tags:
            reason = "Tags, file names and folders name too few artists. "
        else:
            reason = (
                "File names and folders name too few artists, and tags cannot be read without "
                "mutagen (pip install genreflow[tags]). "
            )
    means = (
        "Songs of one artist may be in several splits, and the numbers are then better than for "
        "new artists."
    )
    return f"{reason}{means} {remedy}".rstrip()


def manifest_rows(listing: Listing, artists: Artists, relative: Any) -> list[Sequence[str]]:
    """Return the rows of a manifest with the artists, its header first.

    Args:
      listing: the tracks.
      artists: their artists.
      relative: returns the path of a uri relative to the data folder.
    """
    rows: list[Sequence[str]] = [("uri", "genre", "artist_id")]
    for track in listing.tracks:
        for file in track.files:
            artist = artists.by_track.get(track.track_id, "")
            rows.append((relative(file.uri), track.genre, artist))
    return rows
