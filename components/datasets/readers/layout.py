"""Recognition of data folders that hold something else than one folder per genre."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from components.common.errors import DatasetError
from components.datasets.files.base import DataFiles
from components.datasets.readers.tree import sub_folders
from components.datasets.track import SPLIT_SPELLINGS, SplitName

_MAX_SHOWN = 5


def split_of(folder: str) -> SplitName | None:
    """Return the split that a folder's name means, in any letter case, or None."""
    return SPLIT_SPELLINGS.get(folder.strip().casefold())


def refuse_splits(files: DataFiles, folders: Sequence[str], genres: Iterable[str]) -> None:
    """Raise DatasetError if the top folders are splits (train, test) instead of genres.

    Args:
      files: the data folder.
      folders: names of its top folders.
      genres: genres that the user has named; such a folder is no split.
    """
    splits, have_genres = find_splits(files, folders, genres)
    if not splits:
        return
    message = (
        f"{files.root}: {shown(splits)} in it {'are' if len(splits) > 1 else 'is'} no genre but "
        f"{'splits' if len(splits) > 1 else 'a split'} of a dataset"
    )
    if not have_genres:
        raise DatasetError(
            f"{message}, without genre folders below; list the files with their genre and split "
            'in a CSV (dataset.kind = "manifest")'
        )
    raise DatasetError(
        f"{message}. To use the dataset's own splits: --set dataset.kind=split_folders "
        "--set split.policy=official; to split all tracks anew, set dataset.kind alone; if "
        "these are genres, list all genres in dataset.genres"
    )


def find_splits(
    files: DataFiles, folders: Sequence[str], genres: Iterable[str]
) -> tuple[list[str], bool]:
    """Return the top folders that are splits, and whether there are genre folders in them.

    Two folders with names of different splits are enough. One is, if its sub-folders have
    names of other folders beside it or of their sub-folders.

    Args:
      files: the data folder.
      folders: names of its top folders.
      genres: genres that the user has named; such a folder is no split.
    """
    splits = [name for name in folders if split_of(name) and name not in genres]
    if not splits:
        return [], False
    inner = {name: _folded(sub_folders(files, name)) for name in folders}
    if len({split_of(name) for name in splits}) < 2:
        others = [name for name in folders if name not in splits]
        shared = _folded(others).union(*(inner[name] for name in others))
        if not any(inner[name] & shared for name in splits):
            return [], False
    return splits, any(inner[name] for name in splits)


def shown(names: Sequence[str]) -> str:
    """Return names as a list for a sentence; of many, the first ones."""
    rest = [f"{len(names) - _MAX_SHOWN} more"] if len(names) > _MAX_SHOWN + 1 else []
    listed = [repr(name) for name in (names[:_MAX_SHOWN] if rest else names)] + rest
    return " and ".join([", ".join(listed[:-1]), listed[-1]] if len(listed) > 1 else listed)


def _folded(names: Iterable[str]) -> set[str]:
    return {name.casefold() for name in names}
