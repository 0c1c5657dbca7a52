"""The table of dataset kinds. It imports no reader, so that reading a configuration is instant."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Reader:
    """Reader of one kind of dataset.

    Attributes:
      module: module that defines `read(settings: DatasetSettings, files: DataFiles)`, a
        generator of Track, Reject and Note records. It is imported when a dataset of the kind is
        read. It opens files through `files` only, so that it works on local folders and on
        object stores. It yields records in the dataset's own order, with paths relative to
        the data folder or absolute ones; ids, genres and files are checked afterwards
        (components.datasets.admission).
      official_split: whether the metadata can assign tracks to splits (`split_hint`), which
        `split.policy = "official"` needs.
    """

    module: str
    official_split: bool = False


# The keys are the values of dataset.kind.
READERS: dict[str, Reader] = {
    "fma": Reader("components.datasets.readers.fma", official_split=True),
    "gtzan": Reader("components.datasets.readers.gtzan"),
    "folder": Reader("components.datasets.readers.folder"),
    "split_folders": Reader("components.datasets.readers.split_folders", official_split=True),
    "manifest": Reader("components.datasets.readers.manifest", official_split=True),
    # A synthetic corpus has FMA's layout.
    "synthetic": Reader("components.datasets.readers.fma", official_split=True),
}
