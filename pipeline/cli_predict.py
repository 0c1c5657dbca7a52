"""`genreflow predict`: the genres of audio files, by a model loaded in this process."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from components.errors import UsageError
from components.inert import inert
from components.storage import objects
from components.storage.uri import is_remote, join, place
from pipeline.display import shown
from pipeline.places import complete_versions
from pipeline.quiet import quiet_stderr

if TYPE_CHECKING:
    from serving.local import LocalModel, Prediction

# VGG16 at its largest has 0.56 GB.
LARGEST_MODEL_BYTES = 2 << 30
SYNTHETIC_NOTE = "; the model learned from synthetic data"


def predict(files: Sequence[str], *, model_dir: str, top: int, json_output: bool) -> int:
    """Prints each file's genres; returns 1 if any file could not be read, else 0.

    Args:
      files: audio files, local or in an object store.
      model_dir: a folder of versions, or one version; likewise.
      top: how many genres to show; 0 for all.
      json_output: one JSON list instead of tables.

    Raises:
      UsageError: the model folder cannot be used.
      StorageError: an object store cannot be asked.
    """
    from components.audio.isolation import IsolatedDecoder
    from components.audio.limits import DecodeLimits
    from components.datasets.track import Track
    from components.spectrogram_gen.fetching import fetching
    from serving.local import LocalModel
    from serving.model_files import ModelFolderError, resolve_version

    remote = [Track(uri, uri, "") for uri in files if is_remote(uri)]
    with (
        IsolatedDecoder(DecodeLimits()) as isolated,
        fetching(isolated, remote) as decoder,
        _local_model(model_dir) as local,
    ):
        try:
            resolve_version(local)  # before the seconds that TensorFlow takes
            with quiet_stderr() as console, console.status("loading the model (some seconds)"):
                isolated.start()
                model = LocalModel(local, decoder)
        except ModelFolderError as error:
            raise UsageError(str(error).replace(local, model_dir)) from error
        return _predict_files(model, files, top=top, json_output=json_output)


@contextlib.contextmanager
def _local_model(model_dir: str) -> Iterator[str]:
    """The model's folder on this machine: fetched, where it lies in an object store."""
    where = place(model_dir, "--model-dir")
    if not is_remote(where):
        yield where
        return
    versions = complete_versions(where)
    uri = join(where, versions[-1]) if versions else where
    with tempfile.TemporaryDirectory(prefix="genreflow-model-") as folder:
        with quiet_stderr() as console, console.status("fetching the model"):
            fetched = objects.download_folder(uri, folder, LARGEST_MODEL_BYTES)
        if not fetched:
            raise UsageError(
                f"{where}: there is nothing there; give the folder of a model's "
                "versions, or one version"
            )
        yield folder


def _predict_files(model: LocalModel, files: Sequence[str], *, top: int, json_output: bool) -> int:
    from components.audio.decode import DecodeError

    out = Console()
    card = model.model_card
    synthetic = bool(card.get("synthetic"))
    answers = []
    failed = 0
    for path in files:
        try:
            with (
                quiet_stderr() as console,
                console.status(f"listening to {shown(os.path.basename(path))}"),
            ):
                prediction = model.predict_file(path)
        except DecodeError as error:
            failed += 1
            print(
                f"genreflow: {inert(path)}: {inert(error.detail)} ({error.reason})",
                file=sys.stderr,
            )
            continue
        if json_output:
            answers.append(_as_json(prediction, top, synthetic=synthetic))
        else:
            _show(out, prediction, top, synthetic=synthetic)
    if json_output:
        print(json.dumps(answers, indent=2))  # ASCII: names that are not UTF-8 pass too
    return 1 if failed else 0


def _shares(prediction: Prediction, top: int) -> dict[str, float]:
    shares = list(prediction.probabilities.items())
    return dict(shares[:top] if top else shares)


def _as_json(prediction: Prediction, top: int, *, synthetic: bool) -> dict[str, object]:
    return {
        "file": prediction.path,
        "seconds": round(prediction.seconds, 3),
        "windows": prediction.windows,
        "model_trained_on_synthetic_data": synthetic,
        "probabilities": {g: round(p, 6) for g, p in _shares(prediction, top).items()},
    }


def _show(out: Console, prediction: Prediction, top: int, *, synthetic: bool) -> None:
    out.print(
        f"[bold]{shown(prediction.path)}[/]  {prediction.seconds:.1f} s, "
        f"{prediction.windows} windows" + (SYNTHETIC_NOTE if synthetic else ""),
        highlight=False,
        soft_wrap=True,
    )
    table = Table(box=None, show_header=False, padding=(0, 2))
    table.add_column("genre")
    table.add_column("probability", justify="right")
    table.add_column("")
    for genre, share in _shares(prediction, top).items():
        table.add_row(shown(genre), f"{share:.1%}", "█" * round(30 * share))
    out.print(table)
