"""Reader of any collection with one sub-folder per genre and audio at any depth below it."""

from __future__ import annotations

from collections.abc import Iterator

from components.common.errors import DatasetError
from components.datasets.files.base import DataFiles
from components.datasets.readers.layout import refuse_splits, shown, split_of
from components.datasets.readers.level import AudioFolders, check_level
from components.datasets.readers.tree import refused, sub_folders, walk
from components.datasets.settings import DatasetSettings
from components.datasets.track import Note, Reject, Track


def read(settings: DatasetSettings, files: DataFiles) -> Iterator[Track | Reject | Note]:
    """Yield the tracks sorted by genre and path; ids are relative paths without extension.

    Raises:
      DatasetError: no sub-folder has an audio file, only one has, they are splits, or the genres
        are in a folder below.
    """
    folders = sub_folders(files)
    refuse_splits(files, folders, settings.genres)
    beside = list(
        refused(walk(files, "", "", recursive=False), "no_genre", "it is in no genre folder")
    )
    yield from beside
    genres, audio = [], AudioFolders()
    for folder in folders:
        found = False
        for item in audio.noting(walk(files, folder, folder)):
            found = True
            yield item
        if found:
            genres.append(folder)
            inside = [name for name in sub_folders(files, folder) if split_of(name)]
            if len({split_of(name) for name in inside}) > 1:
                yield Note(
                    f"{files.uri(folder)}: its folders {shown(inside)} are read as one, not as "
                    'splits; to keep them, list the files in a CSV (dataset.kind = "manifest")'
                )
        else:
            yield Note(f"{files.uri(folder)} is no genre, as there is no audio in it or below it")
    if not genres:
        hint = _parent_hint(files) if any(item.reason == "no_genre" for item in beside) else ""
        raise DatasetError(
            f"{files.root}: no audio file in any sub-folder; "
            f"expected one sub-folder per genre, such as Rock/song.mp3{hint}"
        )
    doubt = check_level(audio, files, settings.genres)
    if doubt:
        yield Note(doubt)


def _parent_hint(files: DataFiles) -> str:
    """Return the advice for a data folder that looks like a genre's own, as a message's end."""
    above, _, name = files.root.rstrip("/").rpartition("/")
    if not above or above.endswith("/"):  # a file system's root, or a bucket
        return ""
    return f"; if {name!r} is a genre, name {above} as the data folder"
