"""Reader of the Free Music Archive dataset (Defferrard et al., arXiv:1612.01840), as unpacked.

DIR/fma_metadata/tracks.csv     three header lines: group, name, index name
DIR/fma_small/000/000002.mp3    the track with id 2; fma_medium and fma_large likewise
"""

from __future__ import annotations

import itertools
import os
import shlex
from collections.abc import Iterator

from components.common.errors import DatasetError
from components.datasets.files.base import DataFiles
from components.datasets.readers import csvfile
from components.datasets.settings import DatasetSettings
from components.datasets.track import Reject, SplitName, Track
from components.storage.uri import is_remote

# Each subset contains the ones before it. tracks.csv names the smallest subset of a track.
SUBSETS = ("small", "medium", "large")
SPLIT_NAMES: dict[str, SplitName] = {
    "training": "train",
    "validation": "validation",
    "test": "test",
}
METADATA = "fma_metadata/tracks.csv"

_SPLIT = ("set", "split")
_SUBSET = ("set", "subset")
_GENRE = ("track", "genre_top")
_ARTIST = ("artist", "id")


def read(settings: DatasetSettings, files: DataFiles) -> Iterator[Track | Reject]:
    """Yield the tracks of `settings.fma_subset` in the order of tracks.csv.

    `track_id` is FMA's number ("2"), `artist_id` FMA's artist number, `split_hint` its
    official split. Rows of other subsets are skipped. If the subset's own audio folder is
    missing, the next larger subset's is used, which contains the same files.

    Raises:
      DatasetError: tracks.csv, a required column or the audio folder is missing, or the file
        is not UTF-8 or not CSV.
    """
    metadata = files.uri(METADATA)
    if not files.is_file(metadata):
        raise DatasetError(_no_metadata(settings, files, metadata))
    audio = _audio_folder(settings, files)
    wanted = SUBSETS[: SUBSETS.index(settings.fma_subset) + 1]
    rows = csvfile.read_rows(files, metadata)
    columns, width = _columns([cells for _, cells in itertools.islice(rows, 3)])
    for line, cells in rows:
        track_id = cells[0]
        if len(cells) != width:
            detail = f"tracks.csv line {line} has {len(cells)} cells, its header {width}"
            yield Reject(track_id, "", "", "bad_metadata", detail)
            continue
        subset, split = cells[columns[_SUBSET]], cells[columns[_SPLIT]]
        if subset in SUBSETS and subset not in wanted:
            continue
        problem = _problem(track_id, subset, split)
        if problem:
            detail = f"tracks.csv line {line}: {problem}"
            yield Reject(track_id, "", cells[columns[_GENRE]], "bad_metadata", detail)
            continue
        number = f"{int(track_id):06d}"
        yield Track(
            track_id=str(int(track_id)),
            uri=os.path.join(audio, number[:3], f"{number}.mp3"),
            genre=cells[columns[_GENRE]],
            artist_id=cells[columns[_ARTIST]].strip() or None,
            split_hint=SPLIT_NAMES[split] if split else None,
        )


def _problem(track_id: str, subset: str, split: str) -> str | None:
    if not (track_id.isascii() and track_id.isdecimal() and len(track_id) <= 9):
        return f"track id {track_id[:40]!r} is not a number"
    if subset not in SUBSETS:
        return f"subset {subset[:40]!r} is not one of {', '.join(SUBSETS)}"
    if split and split not in SPLIT_NAMES:
        return f"split {split[:40]!r} is not one of {', '.join(SPLIT_NAMES)}"
    return None


def _columns(header: list[list[str]]) -> tuple[dict[tuple[str, str], int], int]:
    """Return the positions of the required columns, and the number of columns."""
    if len(header) < 3 or len(header[0]) != len(header[1]):
        raise DatasetError(
            "tracks.csv: the first three lines are not FMA's header (group, name, track_id); "
            "is this fma_metadata?"
        )
    pairs = list(zip(header[0], header[1], strict=True))
    positions = {pair: i for i, pair in enumerate(pairs)}
    for column in (_SPLIT, _SUBSET, _GENRE, _ARTIST):
        if column not in positions:
            raise DatasetError(f"tracks.csv: no column {column}; is this fma_metadata?")
        if pairs.count(column) > 1:
            raise DatasetError(f"tracks.csv: two columns {column}; is this fma_metadata?")
    return positions, len(header[0])


def _audio_folder(settings: DatasetSettings, files: DataFiles) -> str:
    names = [f"fma_{subset}" for subset in SUBSETS[SUBSETS.index(settings.fma_subset) :]]
    for name in names:
        if files.is_folder(name):
            return name
    message = f"{files.root}: no audio folder {' or '.join(names)}"
    if settings.kind == "synthetic":
        raise DatasetError(f"{message}; delete the folder and generate the synthetic corpus again")
    raise DatasetError(f"{message}; {_download(settings, files)}")


def _download(settings: DatasetSettings, files: DataFiles) -> str:
    """Return how to get what is missing."""
    line = f"genreflow download fma_{settings.fma_subset}"
    if is_remote(files.root):
        return f"download it ({line} FOLDER) and copy it there"
    return f"download it: {line} {shlex.quote(files.root)}"


def _no_metadata(settings: DatasetSettings, files: DataFiles, metadata: str) -> str:
    message = f"{files.root}: no metadata: {metadata} does not exist."
    parent = os.path.dirname(files.root)
    if files.is_file(f"{parent}/{METADATA}"):
        return f"{message} It is in the parent folder: name {parent} as the data folder"
    if settings.kind == "synthetic":
        return f"{message} Generate a synthetic corpus with `genreflow demo`"
    return (
        f"{message} For FMA, {_download(settings, files)}\n"
        'For audio in one folder per genre, set dataset.kind to "folder"'
    )
