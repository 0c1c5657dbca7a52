"""Recognition of a data folder's kind, by the rules of the readers."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Collection
from typing import Any

from components.common.errors import DatasetError
from components.datasets.files.base import DataFiles
from components.datasets.readers import fma, gtzan, manifest
from components.datasets.readers.layout import find_splits
from components.datasets.readers.tree import sub_folders
from components.datasets.settings import DatasetSettings

_FMA_AUDIO_FOLDER = re.compile(r"\d{3}")


@dataclasses.dataclass(frozen=True)
class Detected:
    """Kind of a data folder.

    Attributes:
      settings: the kind and what goes with it; everything else has its default.
      why: what it was recognised by, as the end of a sentence.
    """

    settings: DatasetSettings
    why: str


def detect(files: DataFiles, manifest_name: str = "", *, ignored: Collection[str] = ()) -> Detected:
    """Return the kind of a data folder. Opens no audio, and lists only its upper folders.

    Args:
      files: the folder.
      manifest_name: name of a CSV of tracks in it, if the user has named one.
      ignored: names of CSVs that do not count.

    Raises:
      DatasetError: the folder cannot be read, or holds something that no kind reads.
    """
    files.check("check its name")
    if manifest_name:
        return _detected(files, f"{manifest_name} lists the tracks", "manifest", manifest_name)
    if files.is_file(fma.METADATA):
        subset = next((one for one in fma.SUBSETS if files.is_folder(f"fma_{one}")), "small")
        return _detected(files, f"it has {fma.METADATA}", "fma", fma_subset=subset)
    names = [name for name in _csv_files(files) if name not in ignored]
    found = [name for name in names if manifest.is_manifest(files.uri(name), files)]
    if len(found) == 1 or DatasetSettings.manifest in found:
        name = DatasetSettings.manifest if DatasetSettings.manifest in found else found[0]
        return _detected(files, f"{name} lists the tracks", "manifest", name)
    if found:
        raise DatasetError(
            f"{files.root}: {', '.join(found)} all list tracks; name one of them instead of the "
            "folder"
        )
    folders = sub_folders(files)
    if folders and all(_FMA_AUDIO_FOLDER.fullmatch(name) for name in folders):
        raise DatasetError(
            f"{files.root}: this is the audio folder of FMA, without its genres; name the folder "
            f"that has {fma.METADATA} too ({os.path.dirname(files.root)}?)"
        )
    splits, have_genres = find_splits(files, folders, ())
    if splits and have_genres:
        return _detected(files, f"{', '.join(splits)} are splits", "split_folders")
    if gtzan.is_gtzan(files, folders):
        return _detected(files, "its folders and files have GTZAN's names", "gtzan")
    return _detected(files, "it has one folder per genre", "folder")


def _detected(
    files: DataFiles, why: str, kind: str, manifest_name: str = "", **settings: Any
) -> Detected:
    if manifest_name:
        settings["manifest"] = manifest_name
    return Detected(DatasetSettings(kind=kind, data_dir=files.root, **settings), why)


def _csv_files(files: DataFiles) -> list[str]:
    """Return the names of the CSV files in the folder itself."""
    try:
        entries = files.entries("")
    except OSError as error:
        raise DatasetError(f"{files.root}: cannot be read: {error.strerror}") from error
    return [one.name for one in entries if not one.is_folder and one.name.lower().endswith(".csv")]
