"""Layout of the candidate as the Pusher would make it: a folder of versions."""

from __future__ import annotations

import os
import pathlib
import shutil

from tfx.utils import io_utils

from components.common.model_contract import MODEL_NAME
from components.storage import objects
from components.storage.uri import is_remote

VERSION = 1
MAX_MODEL_BYTES = 16 << 30


def lay_out(saved_model: str, folder: pathlib.Path) -> pathlib.Path:
    """Copy or link a SavedModel into a new folder of versions, and return that folder.

    Files on the same disk become hard links, because a server follows no symbolic links. Nothing
    writes to the files.

    Args:
      saved_model: the SavedModel's folder; a path or a URI.
      folder: an existing local folder for the folder of versions.
    """
    models = folder / MODEL_NAME
    version = models / str(VERSION)
    if is_remote(saved_model):
        objects.download_folder(saved_model, version, MAX_MODEL_BYTES)
    elif "://" in saved_model:
        io_utils.copy_dir(saved_model, str(version))
    else:
        shutil.copytree(saved_model, version, copy_function=_link)
    return models


def _link(source: str, target: str) -> None:
    source = os.path.realpath(source)
    try:
        os.link(source, target)
    except OSError:  # another disk, or a disk without hard links
        shutil.copyfile(source, target)
