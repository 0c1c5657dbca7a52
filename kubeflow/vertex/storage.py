"""Cloud Storage as steps on Vertex AI see it: gs://bucket/x is the file /gcs/bucket/x.

Vertex AI mounts every bucket that a step may use below /gcs, by Cloud Storage FUSE
(https://cloud.google.com/vertex-ai/docs/training/cloud-storage-file-system). Whole files can be
written there, one after the other; renaming folders, linking and writing in the middle cannot be
relied on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from components.common.errors import UsageError

SCHEME = "gs://"
MOUNT = "/gcs"
# Where the buckets are mounted instead; for machines on which /gcs cannot be made.
MOUNT_VARIABLE = "GENREFLOW_GCS_MOUNT"
# https://cloud.google.com/storage/docs/buckets#naming, without those named like domains' dots.
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]", re.ASCII)


def mount_root(environment: Mapping[str, str]) -> str:
    """The folder whose subfolders are the buckets."""
    return os.path.normpath(environment.get(MOUNT_VARIABLE) or MOUNT)


def checked(uri: str) -> str:
    """A gs:// URI of a folder in a bucket, without slashes at its end.

    Raises:
      UsageError: it is none.
    """
    bucket, _, folder = uri.removeprefix(SCHEME).rstrip("/").partition("/")
    if uri.startswith(SCHEME) and bucket and not _BUCKET.fullmatch(bucket):
        raise UsageError(
            f"{uri!r}: {bucket!r} is no bucket's name (3 to 63 of a-z, 0-9, '-', '_' and '.')"
        )
    parts = folder.split("/")
    if (
        not uri.startswith(SCHEME)
        or not bucket
        or any(part in ("", ".", "..") or not part.isprintable() for part in parts)
    ):
        raise UsageError(f"{uri!r}: no URI such as {SCHEME}bucket/folder")
    return f"{SCHEME}{bucket}/{folder}"


def path_of(uri: str, root: str) -> str:
    """Where a gs:// URI lies below `root`; other places stay what they are.

    Raises:
      UsageError: a gs:// URI that could lead out of its bucket.
    """
    return os.path.join(root, checked(uri)[len(SCHEME) :]) if uri.startswith(SCHEME) else uri


def uri_of(path: str, root: str) -> str:
    """The gs:// URI of a path below `root`; other places stay what they are."""
    prefix = f"{root}/"
    return SCHEME + path[len(prefix) :] if path.startswith(prefix) else path


def in_bucket(path: str, root: str) -> bool:
    """Whether a path lies in a bucket that is mounted below `root`."""
    return os.path.normpath(path).startswith(f"{root}/")
