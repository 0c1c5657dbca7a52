"""A served model as files: a SavedModel with its assets, complete or not there at all."""

from __future__ import annotations

import json
import pathlib
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from components.audio.params import AudioParams
from components.export.seen_tracks import SEEN_ASSET
from components.export.serving_module import ServingModule
from components.export.warmup import write_warmup
from components.storage import objects
from components.storage.uri import is_remote

GENRES_ASSET = "genres.json"
AUDIO_PARAMS_ASSET = "audio_params.json"
MODEL_CARD_ASSET = "model_card.json"


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
    """Writes a network with its audio front end; complete, or not at all.

    Args:
      network, variables, params, genres: see ServingModule.
      directory: the SavedModel's folder: absent or empty. May be a URL that tf.io.gfile
        writes; there `saved_model.pb` is written last.
      model_card: JSON values, with the `model_digest`; an asset, and what `describe` answers.
      seen: what components.export.seen_tracks.seen_json says of the tracks that the network
        was trained and chosen on; None where nobody knows.

    Raises:
      ValueError: the card is not JSON.
      FileExistsError: `directory` holds files already.
    """
    card = _card_json(model_card)
    if tf.io.gfile.exists(directory) and tf.io.gfile.listdir(directory):
        raise FileExistsError(f"{directory}: holds files already; a model is exported once")
    module = ServingModule(network, variables, params, genres, card)
    assets = {
        GENRES_ASSET: json.dumps(list(genres), ensure_ascii=False, indent=1),
        AUDIO_PARAMS_ASSET: json.dumps(
            {"digest": params.digest(), "params": params.to_json()}, sort_keys=True, indent=1
        ),
        MODEL_CARD_ASSET: card,
    }
    if seen is not None:
        assets[SEEN_ASSET] = json.dumps({split: list(seen[split]) for split in sorted(seen)})
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


def _card_json(model_card: Mapping[str, Any]) -> str:
    try:
        return json.dumps(dict(model_card), sort_keys=True, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"model card is not JSON: {error}") from error


def _write(
    module: ServingModule, local: pathlib.Path, assets: Mapping[str, str], params: AudioParams
) -> None:
    tf.saved_model.save(module, str(local), signatures=module.signatures())
    (local / "assets").mkdir(exist_ok=True)
    for name, text in assets.items():
        (local / "assets" / name).write_text(text, encoding="utf-8")
    write_warmup(local, params)
    # It holds a random id; without it the same weights give the same files.
    (local / "fingerprint.pb").unlink(missing_ok=True)


def _publish(local: pathlib.Path, directory: str) -> None:
    """Copies to a store without atomic renames; a half-copied model has no saved_model.pb."""
    if is_remote(directory):
        objects.upload_folder(local, directory, last="saved_model.pb")
        return
    files = sorted(path for path in local.rglob("*") if path.is_file())
    files.sort(key=lambda path: path.name == "saved_model.pb")
    for path in files:
        url = f"{directory.rstrip('/')}/{path.relative_to(local).as_posix()}"
        tf.io.gfile.makedirs(url.rsplit("/", 1)[0])
        with path.open("rb") as source, tf.io.gfile.GFile(url, "wb") as sink:
            shutil.copyfileobj(source, sink, 1 << 20)
