"""The choice between a local data folder and one in an object store."""

from __future__ import annotations

from components.datasets.files.base import DataFiles
from components.datasets.files.local import LocalFiles
from components.storage.uri import checked_place, is_remote


def open_files(data_dir: str) -> DataFiles:
    """Return the interface to a data folder without accessing it.

    Args:
      data_dir: a path or an s3:// URI.

    Raises:
      UriError: the URI is invalid or has another scheme.
    """
    root = checked_place(data_dir, "the data folder")
    if is_remote(root):
        from components.datasets.files.s3 import S3Files

        return S3Files(root)
    return LocalFiles(root)
