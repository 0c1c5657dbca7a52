"""Reader of a collection that is split already: train/GENRE/song.mp3, test/GENRE/song.mp3."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator

from components.common.errors import DatasetError
from components.datasets.files.base import DataFiles
from components.datasets.readers.layout import shown, split_of
from components.datasets.readers.tree import refused, sub_folders, walk
from components.datasets.settings import DatasetSettings
from components.datasets.track import SPLIT_SPELLINGS, Note, Reject, Track


def read(settings: DatasetSettings, files: DataFiles) -> Iterator[Track | Reject | Note]:
    """Yield the tracks sorted by path; ids are relative paths without extension.

    A top folder's name says the split (SPLIT_SPELLINGS), in any letter case, and the folder
    below it the genre. Audio of other top folders is rejected (no_split), and audio without a
    genre folder too (no_genre).

    Raises:
      DatasetError: no top folder has the name of a split, or none has audio in genre folders.
    """
    folders = sub_folders(files)
    known = ", ".join(SPLIT_SPELLINGS)
    yield from refused(walk(files, "", "", recursive=False), "no_genre", "it is in no split folder")
    found = False
    for folder in folders:
        split = split_of(folder)
        if split is None:
            detail = f"{folder!r} is not the name of a split ({known})"
            yield from refused(walk(files, folder, ""), "no_split", detail)
            continue
        own = walk(files, folder, "", recursive=False)
        yield from refused(own, "no_genre", f"it is in no genre folder of {folder!r}")
        for genre in sub_folders(files, folder):
            for item in walk(files, os.path.join(folder, genre), genre):
                found = True
                if isinstance(item, Track):
                    item = dataclasses.replace(item, split_hint=split)
                yield item
    if not found:
        deeper = [name for name in folders if any(map(split_of, sub_folders(files, name)))]
        raise DatasetError(
            f"{files.root}: no audio in genre folders of splits, such as train/Rock/song.mp3; "
            f"splits are {known}; "
            + (
                f"name {files.uri(deeper[0])} as the data folder"
                if deeper
                else f"the folders are {shown(folders) if folders else 'none'}"
            )
        )
