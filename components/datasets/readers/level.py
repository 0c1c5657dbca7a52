"""Recognition of a data folder that is above or beside the folder of the genres."""

from __future__ import annotations

import collections
import os
from collections.abc import Iterable, Iterator, Sequence

from components.common.errors import DatasetError
from components.datasets.files.base import DataFiles
from components.datasets.genre_names import is_genre_name
from components.datasets.readers import fma
from components.datasets.readers.layout import shown
from components.datasets.track import Reject, Track


class AudioFolders:
    """Folders of a data folder with audio in them or below them, by their relative paths."""

    def __init__(self) -> None:
        self._own: set[str] = set()
        self._inside: dict[str, set[str]] = collections.defaultdict(set)

    def noting(self, items: Iterable[Track | Reject]) -> Iterator[Track | Reject]:
        """Yield the records of a walk as they are, and note where their audio is."""
        for item in items:
            if isinstance(item, Track) or item.reason == "undecodable":
                self._note(os.path.dirname(item.track_id))
            yield item

    def _note(self, folder: str) -> None:
        self._own.add(folder)
        while folder:
            above, name = os.path.split(folder)
            self._inside[above].add(name)
            folder = above

    def inside(self, folder: str = "") -> list[str]:
        """Return the sorted names of the folders in a folder."""
        return sorted(self._inside.get(folder, ()))

    @property
    def all_hold_folders_only(self) -> bool:
        """True if no top folder has audio of its own."""
        return self._own.isdisjoint(self.inside())

    def of_genres(self) -> Iterator[str]:
        """Yield the uppermost folders whose folders have names of genres.

        At least two of them, and half of them. What is in a genre's own folder does not count: it
        may have styles in it.
        """
        waiting = [""]
        while waiting:
            folder = waiting.pop()
            names = self.inside(folder)
            genres = [name for name in names if is_genre_name(name)]
            if folder and len(genres) >= max(2, len(names) / 2):
                yield folder
            else:
                others = [name for name in names if not is_genre_name(name)]
                waiting += [os.path.join(folder, name) for name in reversed(others)]

    def first_choice(self, folder: str) -> str | None:
        """Return the folder, at or below this one, that holds several; None if there is none."""
        while True:
            names = self.inside(folder)
            if len(names) != 1:
                return folder if names else None
            folder = os.path.join(folder, names[0])


def advice(found: AudioFolders, files: DataFiles) -> str:
    """Return which folder to use as the data folder instead, or "" if none is likelier."""
    levels = list(found.of_genres())
    tops = found.inside()
    if not levels and len(tops) == 1:
        levels = [level for level in [found.first_choice(tops[0])] if level]
    if not levels:
        return ""
    names = shown(found.inside(levels[0]))
    return f"if {names} are genres, {_name(levels, files)}"


def check_level(found: AudioFolders, files: DataFiles, genres: Sequence[str]) -> str:
    """Return a sentence for the user if other folders may be the genres, or "".

    Folders of a genre may have any folders in them, such as artists. So the names decide: if none
    of the top folders has a usual name of a genre, and those in one of them have, the data folder
    is refused.

    Args:
      found: the folders with audio.
      files: the data folder.
      genres: genres that the user has named; then nothing is in doubt.

    Raises:
      DatasetError: a top folder is a data set, or the only one, or holds the genres.
    """
    tops = found.inside()
    for name in tops:
        if files.is_file(os.path.join(name, fma.METADATA)) and name not in genres:
            raise DatasetError(
                f"{files.root}: {name!r} in it is no genre but the data set FMA, as it has "
                f"{fma.METADATA}; name {files.uri(name)} as the data folder, with "
                "--set dataset.kind=fma or --config fma_small"
            )
    if len(tops) == 1:
        hint = advice(found, files)
        if not hint:
            return ""
        raise DatasetError(
            f"{files.root}: {tops[0]!r} is its only folder with audio, so there is only one "
            f"genre; {hint}"
        )
    if genres:
        return ""
    levels = list(found.of_genres())
    known = any(map(is_genre_name, tops))
    if levels and not known:
        raise DatasetError(
            f"{files.root}: {shown(tops)} in it would be the genres, but the folders in "
            f"{levels[0]!r} have names of genres ({shown(found.inside(levels[0]))}); "
            f"{_name(levels, files)}; if {shown(tops)} are genres, list all genres in "
            "dataset.genres"
        )
    if levels:
        names = shown(found.inside(levels[0]))
        return (
            f"{files.uri(levels[0])}: its folders {names} are read as one genre, "
            f"{_top(levels[0])!r}; if they are genres, {_name(levels, files)}"
        )
    several = [name for name in tops if len(found.inside(name)) > 1]
    if known or not found.all_hold_folders_only or not several:
        return ""
    return (
        f"{files.root}: {shown(tops)} are taken for genres, and the folders in them for parts of "
        f"these; if {shown(found.inside(several[0]))} in {several[0]!r} are genres, "
        f"{_name(several[:1], files)}"
    )


def _name(levels: Sequence[str], files: DataFiles) -> str:
    """Return the advice to use a folder, or one of several."""
    if len(levels) == 1:
        return f"name {files.uri(levels[0])} as the data folder"
    places = " or ".join(files.uri(level) for level in levels[:3])
    return (
        f'name {places} as the data folder, or list all files in a CSV (dataset.kind = "manifest")'
    )


def _top(path: str) -> str:
    return path.split(os.sep)[0]
