"""Objects of S3-compatible stores: listed, read, fetched, written, removed.

Requests are retried by botocore (components.storage.client); what still fails is an error
of components.storage.errors.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Iterator
from typing import Any, BinaryIO

from components.storage.client import ATTEMPTS, client
from components.storage.errors import ObjectTooLarge, StorageError, in_words
from components.storage.uri import S3Uri, parse

_BLOCK_BYTES = 1 << 20
_DELETE_AT_ONCE = 1000  # the protocol's limit
# Of a folder that is fetched as a whole; a SavedModel has about ten.
MAX_FILES = 1000


@dataclasses.dataclass(frozen=True, order=True)
class ObjectState:
    """What tells one state of an object from another. The ETag is opaque, without quotes."""

    size_bytes: int
    etag: str


@dataclasses.dataclass(frozen=True)
class Listed:
    """One object of a listing; `uri` is its whole URI."""

    uri: str
    state: ObjectState


def list_objects(prefix: str) -> Iterator[Listed]:
    """Every object whose URI begins with `prefix`, in the order of their keys' bytes.

    Folders' markers (empty objects whose keys end with a slash) are passed over.

    Raises:
      StorageError: see components.storage.errors.
    """
    where = parse(prefix)
    with in_words(prefix):
        pages = (
            client()
            .get_paginator("list_objects_v2")
            .paginate(Bucket=where.bucket, Prefix=where.key)
        )
        for page in pages:
            for item in page.get("Contents", ()):
                if not item["Key"].endswith("/"):
                    state = ObjectState(item["Size"], _bare_etag(item["ETag"]))
                    yield Listed(str(S3Uri(where.bucket, item["Key"])), state)


def find(uri: str) -> ObjectState | None:
    """The state of one object; None where there is none.

    By a listing, not a HEAD: an error's answer then has a body that says what is wrong, and
    a key that may list but not read still gets an answer.
    """
    where = parse(uri)
    with in_words(uri):
        page = client().list_objects_v2(Bucket=where.bucket, Prefix=where.key, MaxKeys=1)
    for item in page.get("Contents", ()):
        if item["Key"] == where.key:
            return ObjectState(item["Size"], _bare_etag(item["ETag"]))
    return None


def any_below(folder: str) -> bool:
    """Whether any object lies below a folder."""
    where = parse(folder)
    prefix = f"{where.key.rstrip('/')}/" if where.key else ""
    with in_words(folder):
        page = client().list_objects_v2(Bucket=where.bucket, Prefix=prefix, MaxKeys=2)
    return any(item["Key"] != prefix for item in page.get("Contents", ()))


def read(uri: str, max_bytes: int) -> bytes:
    """A small object's content.

    Raises:
      ObjectMissing, ObjectForbidden: as they say.
      ObjectTooLarge: it is larger than `max_bytes`.
    """
    return b"".join(_blocks(uri, None, max_bytes))


def download(uri: str, path: str | os.PathLike[str], state: ObjectState, max_bytes: int) -> None:
    """Fetches an object into a local file, which is complete when this returns.

    Args:
      uri: the object.
      path: the file; overwritten.
      state: as it was listed.
      max_bytes: more are not read.

    Raises:
      ObjectChanged: the object is not in that state any more.
      ObjectMissing, ObjectForbidden, ObjectTooLarge: as they say.
      OSError: the file cannot be written.
    """
    if state.size_bytes > max_bytes:
        raise ObjectTooLarge(f"{uri}: {state.size_bytes} bytes; at most {max_bytes} are read")
    with open(path, "wb") as file:
        for block in _blocks(uri, state, max_bytes):
            file.write(block)


def download_folder(uri: str, folder: str | os.PathLike[str], max_bytes: int) -> int:
    """Fetches every object below a URI into a local folder; returns how many there were.

    Raises:
      ObjectTooLarge: together they are larger than `max_bytes`, or more than MAX_FILES.
      StorageError: a key would lead out of the folder; and as `download`.
    """
    prefix = f"{uri.rstrip('/')}/"
    listed = []
    total = 0
    for item in list_objects(prefix):
        listed.append(item)
        total += item.state.size_bytes
        if total > max_bytes or len(listed) > MAX_FILES:
            raise ObjectTooLarge(
                f"{uri}: more than {max_bytes} bytes or {MAX_FILES} files lie there"
            )
    for item in listed:
        parts = item.uri[len(prefix) :].split("/")
        if any(part in ("", ".", "..") or "\0" in part for part in parts):
            raise StorageError(f"{item.uri}: no file can have that name")
        path = pathlib.Path(folder, *parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        download(item.uri, path, item.state, max_bytes)
    return len(listed)


def sha256(uri: str, state: ObjectState) -> str:
    """64 hex digits over an object's content. Raises as `download` does."""
    digest = hashlib.sha256()
    for block in _blocks(uri, state, state.size_bytes):
        digest.update(block)
    return digest.hexdigest()


def upload(path: str | os.PathLike[str], uri: str) -> None:
    """Writes a file as an object, which appears whole or not at all."""
    where = parse(uri)
    with in_words(uri), open(path, "rb") as file:
        _put(where, file)


def write(uri: str, content: bytes) -> None:
    """Writes bytes as an object, which appears whole or not at all."""
    where = parse(uri)
    with in_words(uri):
        client().put_object(Bucket=where.bucket, Key=where.key, Body=content)


def delete(uri: str) -> None:
    """Removes an object, if it is there."""
    where = parse(uri)
    with in_words(uri):
        client().delete_object(Bucket=where.bucket, Key=where.key)


def delete_below(folder: str) -> int:
    """Removes every object below a folder, its markers too; returns how many there were.

    Raises:
      StorageError: some could not be removed.
    """
    where = parse(folder)
    if not where.key.strip("/"):
        raise ValueError(f"{folder}: a whole bucket is never removed")
    removed = 0
    with in_words(folder):
        pages = (
            client()
            .get_paginator("list_objects_v2")
            .paginate(
                Bucket=where.bucket,
                Prefix=f"{where.key.rstrip('/')}/",
                PaginationConfig={"PageSize": _DELETE_AT_ONCE},
            )
        )
        for page in pages:
            keys = [{"Key": item["Key"]} for item in page.get("Contents", ())]
            if not keys:
                continue
            answer = client().delete_objects(
                Bucket=where.bucket, Delete={"Objects": keys, "Quiet": True}
            )
            for error in answer.get("Errors", ()):
                raise StorageError(
                    f"{folder}: {error['Key']} could not be removed ({error.get('Code')})"
                )
            removed += len(keys)
    return removed


def upload_folder(folder: str | os.PathLike[str], uri: str, *, last: str) -> None:
    """Writes a folder's files below a URI; the one named `last`, at its top, comes last.

    Who takes the folder as complete by that file never sees half of it.

    Raises:
      FileNotFoundError: there is no file of that name.
    """
    root = pathlib.Path(folder)
    files = sorted(path for path in root.rglob("*") if path.is_file())
    marker = root / last
    if marker not in files:
        raise FileNotFoundError(f"{marker}: nothing to complete the folder with")
    files.remove(marker)
    for path in [*files, marker]:
        upload(path, f"{uri.rstrip('/')}/{path.relative_to(root).as_posix()}")


def _put(where: S3Uri, file: BinaryIO) -> None:
    client().upload_fileobj(file, where.bucket, where.key)


def _blocks(uri: str, state: ObjectState | None, max_bytes: int) -> Iterator[bytes]:
    """An object's content, in the state that was listed where that is known.

    botocore retries a request until its answer begins; where the content breaks off, the
    rest is asked for here.
    """
    where = parse(uri)
    etag = f'"{state.etag}"' if state else None
    offset = breaks = 0
    while True:
        request: dict[str, Any] = {"Bucket": where.bucket, "Key": where.key}
        if etag:
            request["IfMatch"] = etag
        if offset:
            request["Range"] = f"bytes={offset}-"
        with in_words(uri):
            answer = client().get_object(**request)
            etag = answer["ETag"]
            end = offset + answer["ContentLength"]
            if end > max_bytes:
                raise ObjectTooLarge(f"{uri}: {end} bytes; at most {max_bytes} are read")
            try:
                with contextlib.closing(answer["Body"]) as body:
                    # Raises where the content is shorter than was announced.
                    for block in body.iter_chunks(_BLOCK_BYTES):
                        offset += len(block)
                        yield block
                return
            except _broken():
                breaks += 1
                if breaks == ATTEMPTS:
                    raise
        if offset >= end:
            return


def _broken() -> tuple[type[Exception], ...]:
    from botocore import exceptions as boto
    from urllib3.exceptions import HTTPError

    return boto.IncompleteReadError, boto.ReadTimeoutError, boto.ResponseStreamingError, HTTPError


def _bare_etag(etag: str) -> str:
    return etag.strip('"')
