"""Paths of Cloud Storage in the steps on Vertex AI: gs://bucket/x is the file /gcs/bucket/x.

Vertex AI mounts every bucket that a step may use below /gcs, with Cloud Storage FUSE
(https://cloud.google.com/vertex-ai/docs/training/cloud-storage-file-system). Steps write whole
files there, from start to end. They do not rename folders, link, or write into the middle of
files, because the mount does not support these reliably.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from components.common.errors import UsageError

SCHEME = "gs://"
MOUNT = "/gcs"
# Overrides the mount folder, for machines on which /gcs cannot be created.
MOUNT_VARIABLE = "GENREFLOW_GCS_MOUNT"
# https://cloud.google.com/storage/docs/buckets#naming
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]", re.ASCII)


def mount_root(environment: Mapping[str, str]) -> str:
    """Return the folder whose subfolders are the buckets."""
    return os.path.normpath(environment.get(MOUNT_VARIABLE) or MOUNT)


def checked(uri: str) -> str:
    """Return a gs:// URI of a folder in a bucket, without trailing slashes.

    Raises:
      UsageError: it is not such a URI.
    """
    bucket, _, folder = uri.removeprefix(SCHEME).rstrip("/").partition("/")
    if uri.startswith(SCHEME) and bucket and not _BUCKET.fullmatch(bucket):
        raise UsageError(
            f"{uri!r}: {bucket!r} is not a bucket name (3 to 63 of a-z, 0-9, '-', '_' and '.')"
        )
    parts = folder.split("/")
    if (
        not uri.startswith(SCHEME)
        or not bucket
        or any(part in ("", ".", "..") or not part.isprintable() for part in parts)
    ):
        raise UsageError(f"{uri!r}: not a URI such as {SCHEME}bucket/folder")
    return f"{SCHEME}{bucket}/{folder}"


def path_of(uri: str, root: str) -> str:
    """Return the path of a gs:// URI below `root`; other paths unchanged.

    Raises:
      UsageError: the gs:// URI is invalid.
    """
    return os.path.join(root, checked(uri)[len(SCHEME) :]) if uri.startswith(SCHEME) else uri


def uri_of(path: str, root: str) -> str:
    """Return the gs:// URI of a path below `root`; other paths unchanged."""
    prefix = f"{root}/"
    return SCHEME + path[len(prefix) :] if path.startswith(prefix) else path


def in_bucket(path: str, root: str) -> bool:
    """Return whether a path is in a bucket that is mounted below `root`."""
    return os.path.normpath(path).startswith(f"{root}/")
