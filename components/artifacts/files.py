"""Files of artifacts on a disk, in s3://, or in another file system of TensorFlow.

Executors access an artifact's URI by this module or tf.io.gfile only. A file written here appears
whole or not at all: a disk gets it under a temporary name first, an object store in one piece.
"""

from __future__ import annotations

import contextlib
import fnmatch
import json
import os
import pathlib
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

from components.common.errors import DataError
from components.storage import objects
from components.storage.errors import ObjectMissing
from components.storage.uri import is_remote

# For tables and summaries; TensorFlow reads model files and examples.
MAX_FILE_BYTES = 1 << 30


def remove_folder(uri: str) -> None:
    """Remove a folder and everything in it; do nothing if it does not exist."""
    if is_remote(uri):
        objects.delete_below(uri)
    elif "://" not in uri:
        if os.path.exists(uri):
            shutil.rmtree(uri)
    else:
        import tensorflow as tf

        if tf.io.gfile.exists(uri):
            tf.io.gfile.rmtree(uri)


def empty_folder(uri: str) -> None:
    """Make an empty folder; remove what lies in it."""
    remove_folder(uri)
    if is_remote(uri):  # object stores have no empty folders
        return
    if "://" not in uri:
        os.makedirs(uri)
        return
    import tensorflow as tf

    tf.io.gfile.makedirs(uri)


@contextlib.contextmanager
def written_file(path: str, scratch: str | None = None) -> Iterator[pathlib.Path]:
    """Yield a local file to write, which becomes `path` on success and is deleted on failure.

    Args:
      path: the final path or URI.
      scratch: a local folder for the temporary file. By default it is beside a local `path`,
        and in the system's temporary folder otherwise.
    """
    if scratch:
        os.makedirs(scratch, exist_ok=True)
    if "://" in path:
        with tempfile.TemporaryDirectory(prefix="genreflow-write-", dir=scratch) as folder:
            temporary = pathlib.Path(folder, "file")
            yield temporary
            _publish(temporary, path)
        return
    target = pathlib.Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Random, since processes in several containers may have the same number.
    name = f"{target.name}.{secrets.token_hex(8)}.tmp"
    if scratch:  # shared by files of the same name in several folders
        temporary = pathlib.Path(scratch, f".{target.parent.name}.{name}")
    else:
        temporary = target.with_name(f".{name}")
    try:
        yield temporary
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: str, content: bytes) -> None:
    """Write a file."""
    if is_remote(path):
        objects.write(path, content)
        return
    with written_file(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: str, text: str) -> None:
    """Write a file in UTF-8."""
    write_bytes(path, text.encode())


def read_bytes(path: str) -> bytes:
    """Return a file's content.

    Raises:
      FileNotFoundError: a local file does not exist.
      ObjectMissing: an object does not exist (components.storage.errors).
    """
    if is_remote(path):
        return objects.read(path, MAX_FILE_BYTES)
    if "://" not in path:
        return pathlib.Path(path).read_bytes()
    import tensorflow as tf

    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            content: bytes = file.read()
            return content
    except tf.errors.NotFoundError as error:
        raise FileNotFoundError(f"{path}: no such file") from error


def read_text(path: str) -> str:
    """Return a file's text, in UTF-8; raise as `read_bytes` does."""
    return read_bytes(path).decode()


def read_json(
    folder: str, name: str, *, missing: str = "missing", remedy: str = "rerun the pipeline"
) -> Any:
    """Return the content of a JSON file in a folder.

    Args:
      folder: a path or a URI.
      name: of the file.
      missing: what to say if there is no such file.
      remedy: what the user can do about a missing or damaged file.

    Raises:
      DataError: the file is missing or is not JSON.
    """
    path = os.path.join(folder, name)
    try:
        return json.loads(read_text(path))
    except (FileNotFoundError, ObjectMissing) as error:
        raise DataError(f"{path}: {missing}; {remedy}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not valid JSON ({error}); {remedy}") from error


def matching(folder: str, pattern: str) -> list[str]:
    """Return a folder's own files whose names match a pattern, sorted; [] without the folder."""
    if is_remote(folder):
        prefix = f"{folder.rstrip('/')}/"
        found = [item.uri for item in objects.list_objects(prefix)]
        names = [uri[len(prefix) :] for uri in found]
        return [
            uri
            for uri, name in zip(found, names, strict=True)
            if "/" not in name and fnmatch.fnmatchcase(name, pattern)
        ]
    if "://" not in folder:
        names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    else:
        import tensorflow as tf

        names = sorted(tf.io.gfile.listdir(folder)) if tf.io.gfile.isdir(folder) else []
    return [os.path.join(folder, name) for name in names if fnmatch.fnmatchcase(name, pattern)]


def remove(path: str) -> None:
    """Delete one file."""
    if is_remote(path):
        objects.delete(path)
        return
    if "://" not in path:
        os.remove(path)
        return
    import tensorflow as tf

    tf.io.gfile.remove(path)


def _publish(local: pathlib.Path, path: str) -> None:
    if is_remote(path):
        objects.upload(local, path)
        return
    import tensorflow as tf

    tf.io.gfile.makedirs(path.rpartition("/")[0])
    with local.open("rb") as source, tf.io.gfile.GFile(path, "wb") as sink:
        shutil.copyfileobj(source, sink, 1 << 20)
