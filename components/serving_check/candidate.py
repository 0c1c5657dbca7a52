"""The candidate as it will lie where it is pushed, and what its files say of it."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import shutil
from typing import Any

from tfx.utils import io_utils

from components.artifacts import files as artifact_files
from components.audio.params import AudioParams
from components.export.saved_model import AUDIO_PARAMS_ASSET, GENRES_ASSET, MODEL_CARD_ASSET
from components.export.warmup import MODEL_NAME
from components.serving_check.outcome import CheckFailed
from components.storage import objects
from components.storage.errors import ObjectMissing
from components.storage.uri import is_remote

VERSION = 1
MAX_MODEL_BYTES = 16 << 30


@dataclasses.dataclass(frozen=True)
class Assets:
    """What a model's files say. `genres` in label order; `card` is JSON."""

    genres: tuple[str, ...]
    params: AudioParams
    params_digest: str
    card: Any


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


def read_assets(saved_model: str) -> Assets:
    """Reads what the files say.

    Raises:
      CheckFailed: one is missing or damaged.
    """
    folder = os.path.join(saved_model, "assets")
    try:
        genres = artifact_files.read_json(folder, GENRES_ASSET)
        audio = artifact_files.read_json(folder, AUDIO_PARAMS_ASSET)
        card = artifact_files.read_json(folder, MODEL_CARD_ASSET)
        params = AudioParams.from_json(audio["params"])
        return Assets(tuple(genres), params, str(audio["digest"]), card)
    except (FileNotFoundError, ObjectMissing) as error:
        raise CheckFailed(f"the model's files: {error}") from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise CheckFailed(f"the model's assets are damaged: {error}") from error


def _link(source: str, target: str) -> None:
    source = os.path.realpath(source)
    try:
        os.link(source, target)
    except OSError:  # another disk, or one without links
        shutil.copyfile(source, target)
