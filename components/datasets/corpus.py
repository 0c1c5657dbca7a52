"""A whole dataset as the pipeline uses it: tracks, genres, splits, rejects and digest."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Iterator

from components.common.errors import DatasetError, SplitError
from components.datasets.admission import admit
from components.datasets.digest import manifest_digest
from components.datasets.files.base import DataFiles
from components.datasets.files.open import open_files
from components.datasets.genre_warnings import genre_warnings
from components.datasets.registry import READERS
from components.datasets.selection import limit_tracks, resolve_genres
from components.datasets.settings import DatasetSettings, SplitSettings
from components.datasets.split import splits
from components.datasets.track import Note, Reject, SplitName, Track


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Dataset that has been read and split.

    Attributes:
      tracks: the usable tracks in the order of their ids.
      genres: the genres in label order.
      splits: the split of each track, or of each clip.
      rejects: the tracks left out before decoding, sorted.
      digest: identifies the files, their labels and their splits.
      warnings: sentences for the user.
    """

    tracks: tuple[Track, ...]
    genres: tuple[str, ...]
    splits: splits.SplitResult
    rejects: tuple[Reject, ...]
    digest: str
    warnings: tuple[str, ...] = ()

    @property
    def tracks_listed(self) -> int:
        """The number of tracks that the metadata lists, with rejects and copies of a song."""
        return sum(len(track.files) for track in self.tracks) + len(self.rejects)

    @property
    def uris(self) -> Iterator[str]:
        """The paths and URIs of all audio files."""
        for track in self.tracks:
            yield track.uri
            yield from (copy.uri for copy in track.copies)

    @property
    def leaky(self) -> bool:
        """True if clips of one track may be in different splits."""
        return self.splits.leaky

    @property
    def evaluation_tracks(self) -> tuple[Track, ...]:
        """The tracks that lie in validation or test as a whole; none under by_clip."""
        if self.leaky:
            return ()
        return tuple(one for one in self.tracks if self.split_of_clip(one.track_id, 0) != "train")

    def split_of_clip(self, track_id: str, clip_index: int) -> SplitName:
        """Return the split of a clip: except under by_clip, the split of its track."""
        return self.splits.split_of_clip(track_id, clip_index)


@dataclasses.dataclass(frozen=True)
class Listing:
    """Dataset that has been read, before it is split.

    Attributes:
      tracks: the usable tracks in the order of their ids.
      genres: the genres in label order.
      rejects: the other tracks, sorted.
      warnings: sentences for the user.
    """

    tracks: tuple[Track, ...]
    genres: tuple[str, ...]
    rejects: tuple[Reject, ...]
    warnings: tuple[str, ...] = ()


def read_tracks(settings: DatasetSettings, data_dir: str) -> Iterator[Track | Reject | Note]:
    """Read a dataset's metadata in its own order, without opening audio.

    Args:
      settings: kind of the dataset and its options. `max_tracks` is not applied.
      data_dir: the dataset's folder, a path or an s3:// URI.

    Yields:
      A Track for each usable song, a Reject for each other one, and Notes. Track ids are
      unique, a song in several formats is one track with copies, genres
      are among `settings.genres` if those are set, and each uri is the absolute location of
      a non-empty file inside the folder. Genres, track ids and artist ids hold no control
      characters; paths may hold any character but NUL.

    Raises:
      DatasetError: the folder or its metadata cannot be used. Raised by the call if the
        folder is at fault, else by the iterator.
      StorageError: the object store cannot be read.
    """
    if not data_dir:
        raise DatasetError("no data folder: give --data-dir, or set dataset.data_dir")
    files = open_files(data_dir)
    files.check()
    reader = importlib.import_module(READERS[settings.kind].module)
    items: Iterator[Track | Reject | Note] = reader.read(settings, files)
    return _at_least_one(admit(items, settings, files), settings, files)


def _at_least_one(
    items: Iterator[Track | Reject | Note], settings: DatasetSettings, files: DataFiles
) -> Iterator[Track | Reject | Note]:
    count = 0
    for item in items:
        count += not isinstance(item, Note)
        yield item
    if count == 0:
        raise DatasetError(
            f"{files.root}: no tracks found; check the data folder, and dataset.kind = "
            f"{settings.kind!r}"
        )


def list_tracks(dataset: DatasetSettings) -> Listing:
    """Read the metadata in `dataset.data_dir` and apply `max_tracks`.

    Raises:
      DatasetError: the folder or its metadata cannot be used.
    """
    tracks: list[Track] = []
    rejects: list[Reject] = []
    notes: list[str] = []
    for item in read_tracks(dataset, dataset.data_dir):
        if isinstance(item, Track):
            tracks.append(item)
        elif isinstance(item, Reject):
            rejects.append(item)
        else:
            notes.append(item.text)
    rejects.sort()
    warnings = (*notes, *genre_warnings({track.genre for track in tracks}, rejects))
    tracks = sorted(limit_tracks(tracks, dataset.max_tracks))
    return Listing(tuple(tracks), resolve_genres(dataset, tracks), tuple(rejects), warnings)


def load_corpus(dataset: DatasetSettings, split: SplitSettings) -> Corpus:
    """Read a dataset's metadata and split its tracks.

    Raises:
      DatasetError: the folder or its metadata cannot be used.
      SplitError: a genre or a split cannot be filled.
    """
    return split_listing(list_tracks(dataset), dataset, split)


def split_listing(listing: Listing, dataset: DatasetSettings, split: SplitSettings) -> Corpus:
    """Split a listing of the same dataset.

    Raises:
      SplitError: a genre or a split cannot be filled.
    """
    try:
        hints = [track.split_hint for track in listing.tracks]
        hints += [reject.split_hint for reject in listing.rejects]
        result = splits.assign_splits(
            listing.tracks,
            split,
            listing.genres,
            listed_splits={hint for hint in hints if hint},
        )
    except SplitError as error:
        raise SplitError("\n".join([str(error), *listing.warnings])) from error
    left_out = {reject.track_id for reject in result.rejects}
    used = [track for track in listing.tracks if track.track_id not in left_out]
    return Corpus(
        tracks=tuple(used),
        genres=listing.genres,
        splits=result,
        rejects=tuple(sorted([*listing.rejects, *result.rejects])),
        digest=manifest_digest(
            used,
            {track.track_id: result.digest_text(track.track_id) for track in used},
            data_dir=dataset.data_dir,
            genres=listing.genres,
            strict=dataset.strict,
        ),
        warnings=(*listing.warnings, *result.warnings),
    )
