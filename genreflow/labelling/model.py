"""Model that labels a catalogue: what identifies it, and its copy in each process."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import pathlib
import re
from typing import TYPE_CHECKING, Any

from components.common.errors import GenreflowError, UsageError
from components.common.version_files import VERSION_NAME
from components.storage.uri import checked_place, is_remote, join

if TYPE_CHECKING:
    from components.audio.decoding.decoder import Decoder
    from components.storage.copies import Copies
    from serving.model.local import LocalModel
    from serving.model.model_files import ModelAssets

_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclasses.dataclass(frozen=True)
class ModelFacts:
    """Facts about one version of a model. They travel to the workers.

    Attributes:
      uri: folder of the version, an absolute path or an s3:// URI.
      version: its number, or "" if the folder's name is none.
      digest: 64 hex digits that are equal for the same network with the same weights: the
        exporter's `model_digest`, or of a model without one the digest of its files.
      genres: the genres in label order.
      audio_params: digest of the audio parameters.
      synthetic: whether it was trained on synthetic data.
    """

    uri: str
    version: str
    digest: str
    genres: tuple[str, ...]
    audio_params: str
    synthetic: bool = False

    def identity(self) -> dict[str, Any]:
        """Return the JSON values that do not depend on where the model lies."""
        values = dataclasses.asdict(self)
        del values["uri"]
        return {**values, "genres": list(self.genres)}


def find_model(model_dir: str, copies: Copies) -> ModelFacts:
    """Return the facts of a model, after all checks that need no TensorFlow.

    Args:
      model_dir: one version or a folder of versions, local or in an object store.
      copies: holds the local copy of a model in an object store.

    Raises:
      UsageError: there is no usable model.
      StorageError: the object store cannot be read.
    """
    from serving.model import model_files
    from serving.model.model_files import ModelFolderError

    uri = checked_place(model_dir, "--model-dir")
    if is_remote(uri):
        from components.versions.folder import complete_versions

        versions = complete_versions(uri)
        uri = join(uri, versions[-1]) if versions else uri
    try:
        local = copies.fetch(uri) if is_remote(uri) else os.path.abspath(uri)
        version = model_files.resolve_version(local)
        assets = model_files.read_assets(version)
        model_files.check_graph(version)
        digest = _digest(version, assets)
    except ModelFolderError as error:
        raise UsageError(str(error)) from error
    if not is_remote(uri):
        uri = str(version)
    name = uri.rpartition("/")[2]
    return ModelFacts(
        uri=uri,
        version=name if VERSION_NAME.fullmatch(name) else "",
        digest=digest,
        genres=assets.genres,
        audio_params=assets.params_digest,
        synthetic=bool(assets.model_card.get("synthetic")),
    )


def load_model(facts: ModelFacts, copies: Copies, decoder: Decoder | None = None) -> LocalModel:
    """Load the model into this process, which may be on another machine than `find_model`'s.

    TensorFlow works with one thread for each file. Several threads would share out some sums, so
    that the last digits depended on the worker's cores, and would take the cores from the decoders:
    0.80 instead of 0.77 times the audio stage's throughput (`benchmarks.label throughput`).

    Raises:
      GenreflowError: it cannot be read here, or is another one by now.
      StorageError: the object store cannot be read.
    """
    from serving.model import model_files
    from serving.model.local import LocalModel
    from serving.model.model_files import ModelFolderError

    _use_one_thread()
    try:
        model = LocalModel(copies.fetch(facts.uri) if is_remote(facts.uri) else facts.uri, decoder)
        digest = _digest(model.path, model_files.read_assets(model.path))
    except ModelFolderError as error:
        raise GenreflowError(
            f"the model cannot be loaded: {error}. Workers on other machines need it in a shared "
            "folder or in s3://"
        ) from error
    if digest != facts.digest:
        raise GenreflowError(
            f"{facts.uri}: the model changed during the run; rerun the command when it is stable"
        )
    return model


def _use_one_thread() -> None:
    import tensorflow as tf  # seconds to import

    # RuntimeError: TensorFlow has been used in this process, as in a program that calls us.
    with contextlib.suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)


def _digest(version: pathlib.Path, assets: ModelAssets) -> str:
    stated = assets.model_card.get("model_digest")
    if isinstance(stated, str) and _DIGEST.fullmatch(stated):
        return stated
    digest = hashlib.sha256()
    for path in sorted(path for path in version.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(version).as_posix()}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
