"""The folder of one version that KServe copies to its pods.

TensorFlow Serving wants a folder of versions, and KServe copies everything below `storageUri`. So
each deployed version gets a folder of versions of its own: `genreflow-kserve/17/17/saved_model.pb`
beside `genreflow/17/saved_model.pb`. An earlier version is rolled back to by its `storageUri`.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import tempfile

from components.storage import objects
from components.storage.uri import is_remote, join

_LAST_FILE = "saved_model.pb"
_MAX_BYTES = 16 * 2**30


def provide(models: str, version: str) -> str:
    """Copy a version into its own folder of versions, unless it is there; return that folder.

    Args:
      models: folder or s3:// URI of the model's versions.
      version: name of the version.
    """
    folder = join(f"{models.rstrip('/')}-kserve", version)
    source, target = join(models, version), join(folder, version)
    if is_remote(models):
        if objects.find(join(target, _LAST_FILE)) is None:
            with tempfile.TemporaryDirectory(prefix="genreflow-version-") as scratch:
                objects.download_folder(source, scratch, _MAX_BYTES)
                objects.upload_folder(scratch, target, last=_LAST_FILE)
    elif not os.path.isdir(target):
        partial = pathlib.Path(folder, f".{version}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(source, partial)
        partial.rename(target)
    return folder
