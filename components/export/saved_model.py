"""Writer of a served model: a SavedModel with its assets, complete or absent."""

from __future__ import annotations

import pathlib
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from components.audio.params import AudioParams
from components.common.model_contract import ASSETS_FOLDER, MODEL_CARD_JSON, SAVED_MODEL
from components.export.assets import asset_files
from components.export.serving_module import ServingModule
from components.export.warmup import write_warmup
from components.storage import objects
from components.storage.uri import is_remote


def write_saved_model(
    network: Any,
    variables: Sequence[Any],
    directory: str,
    *,
    params: AudioParams,
    genres: Sequence[str],
    model_card: Mapping[str, Any],
    seen: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Write a network with its audio front end as a SavedModel, complete or not at all.

    Args:
      network, variables, params, genres: see ServingModule.
      directory: the SavedModel's folder, absent or empty. May be a URL that tf.io.gfile
        writes; there `saved_model.pb` is written last.
      model_card: JSON values, with the `model_digest`; written as an asset and returned by
        `describe`.
      seen: tracks that the network was trained and chosen on, as
        components.export.assets.seen_tracks_of returns them; None if unknown.

    Raises:
      ValueError: the card is not JSON.
      FileExistsError: `directory` holds files already.
    """
    assets = asset_files(genres=genres, params=params, model_card=model_card, seen_tracks=seen)
    if tf.io.gfile.exists(directory) and tf.io.gfile.listdir(directory):
        raise FileExistsError(f"{directory}: holds files already; a model is exported once")
    module = ServingModule(network, variables, params, genres, assets[MODEL_CARD_JSON])
    if "://" in directory:
        with tempfile.TemporaryDirectory(prefix="genreflow-export-") as scratch:
            local = pathlib.Path(scratch, "model")
            _write(module, local, assets, params)
            _publish(local, directory)
        return
    target = pathlib.Path(directory).absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=target.parent) as scratch:
        local = pathlib.Path(scratch, "model")
        _write(module, local, assets, params)
        local.rename(target)


def _write(
    module: ServingModule, local: pathlib.Path, assets: Mapping[str, str], params: AudioParams
) -> None:
    tf.saved_model.save(module, str(local), signatures=module.signatures())
    (local / ASSETS_FOLDER).mkdir(exist_ok=True)
    for name, text in assets.items():
        (local / ASSETS_FOLDER / name).write_text(text, encoding="utf-8")
    write_warmup(local, params)
    # It holds a random id. Without it the same weights give the same files.
    (local / "fingerprint.pb").unlink(missing_ok=True)


def _publish(local: pathlib.Path, directory: str) -> None:
    """Copy to a store without atomic renames; a half-copied model has no saved_model.pb."""
    if is_remote(directory):
        objects.upload_folder(local, directory, last=SAVED_MODEL)
        return
    files = sorted(path for path in local.rglob("*") if path.is_file())
    files.sort(key=lambda path: path.name == SAVED_MODEL)
    for path in files:
        url = f"{directory.rstrip('/')}/{path.relative_to(local).as_posix()}"
        tf.io.gfile.makedirs(url.rsplit("/", 1)[0])
        with path.open("rb") as source, tf.io.gfile.GFile(url, "wb") as sink:
            shutil.copyfileobj(source, sink, 1 << 20)
