"""The data folder as readers see it, wherever it lies: on a disk or in an object store."""

from __future__ import annotations

from components.datasets.files.base import DataFiles
from components.datasets.files.local import LocalFiles
from components.storage.uri import is_remote, place


def open_files(data_dir: str) -> DataFiles:
    """The data folder at a path or an s3:// URI; looks at nothing yet.

    Raises:
      UriError: a URI of another scheme, or a bad one.
    """
    root = place(data_dir, "the data folder")
    if is_remote(root):
        from components.datasets.files.s3 import S3Files

        return S3Files(root)
    return LocalFiles(root)
