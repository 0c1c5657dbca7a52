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
    """Puts a SavedModel into a folder of versions below `folder`; returns that.

    By hard links where it lies on the same disk: a server follows no symbolic links. Nothing
    writes to the files.
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
    except OSError:  # another disk, or one without links
        shutil.copyfile(source, target)
