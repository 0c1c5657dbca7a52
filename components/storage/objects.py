"""Objects of S3-compatible stores: list, read, download, write, copy, delete.

botocore retries requests (components.storage.client); the remaining failures are errors of
components.storage.errors.

Two libraries were tried in place of this module, against the server and the faults of
tests/support/s3_server.py. s3fs 2026.9.0 resumes a broken download without the object's ETag, so
that an object that changes meanwhile becomes a file of mixed content. It sends HEAD first, whose
error has no body, and so reports every wrong key as "Forbidden" without a cause; a redirect to
another region ends in RecursionError. obstore 0.11.1 pins the ETag, retries and resumes well, but
its errors are some 20 lines long and repeat the server's response, session token included, and
it does not read AWS profiles without boto3. Both would need this module's translation of errors
around them, with less to tell causes by.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from components.storage.client import CONNECTIONS, MAX_ATTEMPTS, client
from components.storage.errors import ObjectTooLarge, StorageError, translated_errors
from components.storage.uri import S3Uri, parse

_BLOCK_BYTES = 1 << 20
_DELETE_AT_ONCE = 1000  # the protocol's limit
# Limit of download_folder; a SavedModel has about ten.
MAX_FILES = 1000


@dataclasses.dataclass(frozen=True, order=True)
class ObjectState:
    """Version of an object's content. The ETag is opaque, without quotes."""

    size_bytes: int
    etag: str


@dataclasses.dataclass(frozen=True)
class Listed:
    """Object of a listing; `uri` is its full URI."""

    uri: str
    state: ObjectState


def list_objects(prefix: str) -> Iterator[Listed]:
    """Yield every object whose URI begins with `prefix`, in byte order of the keys.

    Folder markers (empty objects whose keys end with a slash) are skipped.

    Raises:
      StorageError: see components.storage.errors.
    """
    where = parse(prefix)
    with translated_errors(prefix):
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
    """Return the state of an object, or None if it does not exist.

    A listing, unlike HEAD, has an error response with a body, and is allowed to keys that may
    list but not read.
    """
    where = parse(uri)
    with translated_errors(uri):
        page = client().list_objects_v2(Bucket=where.bucket, Prefix=where.key, MaxKeys=1)
    for item in page.get("Contents", ()):
        if item["Key"] == where.key:
            return ObjectState(item["Size"], _bare_etag(item["ETag"]))
    return None


def any_below(folder: str) -> bool:
    """Return whether a folder contains any object."""
    where = parse(folder)
    prefix = f"{where.key.rstrip('/')}/" if where.key else ""
    with translated_errors(folder):
        page = client().list_objects_v2(Bucket=where.bucket, Prefix=prefix, MaxKeys=2)
    return any(item["Key"] != prefix for item in page.get("Contents", ()))


def read(uri: str, max_bytes: int) -> bytes:
    """Return the content of a small object.

    Raises:
      ObjectTooLarge: it is larger than `max_bytes`.
      StorageError: it does not exist, or cannot be read.
    """
    return b"".join(_blocks(uri, None, max_bytes))


def read_range(uri: str, state: ObjectState | None, start: int, stop: int) -> bytes:
    """Return some bytes of an object, by a request for these alone.

    Args:
      uri: the object.
      state: the object's state as listed; None for any.
      start: first byte.
      stop: the byte after the last one. The result is shorter if the object ends before it.

    Raises:
      ObjectChanged: the object has not the given state.
      StorageError: it does not exist, ends before `start`, or cannot be read.
    """
    return b"".join(_blocks(uri, state, stop, start=start, part=True))


def download(uri: str, path: str | os.PathLike[str], state: ObjectState, max_bytes: int) -> None:
    """Download an object into a local file.

    Args:
      uri: the object.
      path: the file; overwritten.
      state: the object's state as listed.
      max_bytes: size limit.

    Raises:
      ObjectChanged: the object has changed since it was listed.
      ObjectTooLarge: it is larger than `max_bytes`.
      StorageError: it does not exist, or cannot be read.
      OSError: the file cannot be written.
    """
    if state.size_bytes > max_bytes:
        raise ObjectTooLarge(f"{uri}: {state.size_bytes} bytes; the limit is {max_bytes}")
    with open(path, "wb") as file:
        for block in _blocks(uri, state, max_bytes):
            file.write(block)


def download_folder(uri: str, folder: str | os.PathLike[str], max_bytes: int) -> int:
    """Download every object below a URI into a local folder; return their number.

    Raises:
      ObjectTooLarge: together they exceed `max_bytes` or MAX_FILES.
      StorageError: a key would lead out of the folder, or as for `download`.
    """
    listed = []
    total = 0
    for item in list_objects(f"{uri.rstrip('/')}/"):
        listed.append(item)
        total += item.state.size_bytes
        if total > max_bytes or len(listed) > MAX_FILES:
            raise ObjectTooLarge(
                f"{uri}: exceeds the limit of {max_bytes} bytes or {MAX_FILES} files"
            )
    download_listed(listed, uri, folder)
    return len(listed)


def download_listed(listed: Sequence[Listed], uri: str, folder: str | os.PathLike[str]) -> None:
    """Download objects of a listing, several at a time, into a local folder.

    Args:
      listed: objects below `uri`.
      uri: what of their URIs becomes `folder`.
      folder: a local folder; created.

    Raises:
      StorageError: a key would lead out of the folder, or as for `download`.
    """
    prefix = f"{uri.rstrip('/')}/"
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    paths = []
    for item in listed:
        parts = item.uri[len(prefix) :].split("/")
        if any(part in ("", ".", "..") or "\0" in part for part in parts):
            raise StorageError(f"{item.uri}: not a valid file name; rename the object")
        paths.append(pathlib.Path(folder, *parts))
        paths[-1].parent.mkdir(parents=True, exist_ok=True)

    def fetch(item: Listed, path: pathlib.Path) -> None:
        download(item.uri, path, item.state, item.state.size_bytes)

    with concurrent.futures.ThreadPoolExecutor(CONNECTIONS) as pool:
        running = [pool.submit(fetch, *pair) for pair in zip(listed, paths, strict=True)]
        try:
            for one in running:
                one.result()
        finally:
            pool.shutdown(cancel_futures=True)


def sha256(uri: str, state: ObjectState) -> str:
    """Return 64 hex digits over an object's content; raise as `download` does."""
    digest = hashlib.sha256()
    for block in _blocks(uri, state, state.size_bytes):
        digest.update(block)
    return digest.hexdigest()


def upload(path: str | os.PathLike[str], uri: str) -> None:
    """Write a file as an object, which appears whole or not at all."""
    where = parse(uri)
    with translated_errors(uri), open(path, "rb") as file:
        _put(where, file)


def write(uri: str, content: bytes) -> None:
    """Write bytes as an object, which appears whole or not at all."""
    where = parse(uri)
    with translated_errors(uri):
        client().put_object(Bucket=where.bucket, Key=where.key, Body=content)


def copy(source: str, target: str) -> None:
    """Copy an object within the store, without downloading it.

    Raises:
      ObjectMissing: there is no such object.
      StorageError: it cannot be read or written.
    """
    origin, where = parse(source), parse(target)
    with translated_errors(source):
        client().copy({"Bucket": origin.bucket, "Key": origin.key}, where.bucket, where.key)


def delete(uri: str) -> None:
    """Delete an object if it exists."""
    where = parse(uri)
    with translated_errors(uri):
        client().delete_object(Bucket=where.bucket, Key=where.key)


def delete_below(folder: str) -> int:
    """Delete every object below a folder, markers included; return their number.

    Raises:
      StorageError: an object could not be deleted.
    """
    where = parse(folder)
    if not where.key.strip("/"):
        raise ValueError(f"{folder}: refusing to delete a whole bucket")
    removed = 0
    with translated_errors(folder):
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
            response = client().delete_objects(
                Bucket=where.bucket, Delete={"Objects": keys, "Quiet": True}
            )
            for error in response.get("Errors", ()):
                raise StorageError(
                    f"{folder}: {error['Key']} could not be deleted ({error.get('Code')})"
                )
            removed += len(keys)
    return removed


def upload_folder(folder: str | os.PathLike[str], uri: str, *, last: str) -> None:
    """Upload a folder's files below a URI, the file `last` at its top after all others.

    Readers that wait for that file never see a partial folder.

    Raises:
      FileNotFoundError: the folder has no file `last`.
    """
    root = pathlib.Path(folder)
    files = sorted(path for path in root.rglob("*") if path.is_file())
    marker = root / last
    if marker not in files:
        raise FileNotFoundError(f"{marker}: not found; the upload needs it as the last file")
    files.remove(marker)
    for path in [*files, marker]:
        upload(path, f"{uri.rstrip('/')}/{path.relative_to(root).as_posix()}")


def _put(where: S3Uri, file: BinaryIO) -> None:
    client().upload_fileobj(file, where.bucket, where.key)


def _blocks(
    uri: str, state: ObjectState | None, max_bytes: int, *, start: int = 0, part: bool = False
) -> Iterator[bytes]:
    """Yield an object's content; with a state, only of that state.

    An object with more than `max_bytes` is an error, or with `part` cut off there.

    botocore retries a request until its response begins. If the content breaks off, this
    requests the rest.
    """
    where = parse(uri)
    etag = f'"{state.etag}"' if state else None
    offset, breaks = start, 0
    while True:
        request: dict[str, Any] = {"Bucket": where.bucket, "Key": where.key}
        if etag:
            request["IfMatch"] = etag
        if part:
            request["Range"] = f"bytes={offset}-{max_bytes - 1}"
        elif offset:
            request["Range"] = f"bytes={offset}-"
        with translated_errors(uri):
            response = client().get_object(**request)
            etag = response["ETag"]
            end = offset + response["ContentLength"]
            if end > max_bytes:
                raise ObjectTooLarge(f"{uri}: {end} bytes; the limit is {max_bytes}")
            try:
                with contextlib.closing(response["Body"]) as body:
                    # Raises if the content is shorter than announced.
                    for block in body.iter_chunks(_BLOCK_BYTES):
                        offset += len(block)
                        yield block
                return
            except _broken():
                breaks += 1
                if breaks == MAX_ATTEMPTS:
                    raise
        if offset >= end:
            return


def _broken() -> tuple[type[Exception], ...]:
    from botocore import exceptions as boto
    from urllib3.exceptions import HTTPError

    return boto.IncompleteReadError, boto.ReadTimeoutError, boto.ResponseStreamingError, HTTPError


def _bare_etag(etag: str) -> str:
    return etag.strip('"')
