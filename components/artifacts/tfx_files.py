"""TFX's file access (tfx.dsl.io.fileio) to s3://, by this project's client.

TFX has TensorFlow's file systems, and those have s3:// only with tensorflow-io, which loads with
TensorFlow 2.16 at most. Executors see local copies (pipeline.process.staging). What remains are
TFX's folders of executions, the schema that ImportSchemaGen copies, and the versions that Pusher
writes.
"""

from __future__ import annotations

import io
import pathlib
import tempfile
from typing import Any

from tfx.dsl.io import filesystem, filesystem_registry
from tfx.dsl.io.plugins.tensorflow_gfile import TensorflowFilesystem

from components.artifacts import files
from components.storage import objects
from components.storage.client import client
from components.storage.uri import SCHEME, is_remote

_PRIORITY = 0  # before TensorFlow's, which is 10


class StoreFilesystem(TensorflowFilesystem):  # type: ignore[misc]
    """File system of s3:// by this project's client, and of local paths by TensorFlow.

    It has local paths too because TFX would copy a file from one file system to another in one
    piece in memory. It reads and copies objects, and removes them; other work on them is refused by
    TensorFlow. A folder is a prefix of objects, so there is nothing to create or to miss.
    """

    SUPPORTED_SCHEMES = ("", SCHEME)

    @staticmethod
    def open(name: str, mode: str = "r") -> Any:
        if not is_remote(name) or mode not in ("r", "rb"):
            return TensorflowFilesystem.open(name, mode)
        content = files.read_bytes(name)
        return io.BytesIO(content) if mode == "rb" else io.StringIO(content.decode())

    @staticmethod
    def copy(src: str, dst: str, overwrite: bool = False) -> None:
        if not is_remote(src) and not is_remote(dst):
            TensorflowFilesystem.copy(src, dst, overwrite)
            return
        if not overwrite and StoreFilesystem.exists(dst):
            raise OSError(f"{dst}: exists already")
        if not is_remote(src):
            objects.upload(src, dst)
        elif not is_remote(dst):
            _download(src, dst)
        else:
            with tempfile.TemporaryDirectory(prefix="genreflow-copy-") as folder:
                local = str(pathlib.Path(folder, "file"))
                _download(src, local)
                objects.upload(local, dst)

    @staticmethod
    def exists(path: str) -> bool:
        if not is_remote(path):
            return bool(TensorflowFilesystem.exists(path))
        return objects.any_below(path) or objects.find(path) is not None

    @staticmethod
    def isdir(path: str) -> bool:
        return (
            objects.any_below(path) if is_remote(path) else bool(TensorflowFilesystem.isdir(path))
        )

    @staticmethod
    def makedirs(path: str) -> None:
        if not is_remote(path):
            TensorflowFilesystem.makedirs(path)

    @staticmethod
    def remove(path: str) -> None:
        if is_remote(path):
            objects.delete(path)
        else:
            TensorflowFilesystem.remove(path)

    @staticmethod
    def rmtree(path: str) -> None:
        if is_remote(path):
            objects.delete_below(path)
        else:
            TensorflowFilesystem.rmtree(path)


def prepare(*places: str) -> None:
    """Set this process up to use these places with TFX. Local places need no setup.

    Raises:
      StorageSetupError: the environment is invalid (components.storage.client).
    """
    if any(is_remote(place) for place in places):
        client()
        register()


def register() -> None:
    """Make it TFX's file system of this process."""
    filesystem_registry.DEFAULT_FILESYSTEM_REGISTRY.register(StoreFilesystem, _PRIORITY)


def _download(uri: str, path: str) -> None:
    state = objects.find(uri)
    if state is None:
        raise filesystem.NotFoundError(f"{uri}: no such object")
    objects.download(uri, path, state, state.size_bytes)
