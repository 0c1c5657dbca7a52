"""Names of places: local paths and s3:// URIs."""

from __future__ import annotations

import dataclasses
import posixpath
import re

from components.common.errors import UsageError

SCHEME = "s3://"
_ANY_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://", re.ASCII)
# Amazon's rule for buckets made since 2018, and the older, wider one of us-east-1. It holds
# neither "@" nor ":", so that no credentials can hide in a URI.
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]", re.ASCII)


class UriError(UsageError, ValueError):
    """The text is no URI of a place that is read or written here."""


@dataclasses.dataclass(frozen=True)
class S3Uri:
    """`s3://bucket/key`. The key is as it is stored: not escaped, "" for the whole bucket."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.key}"


def is_remote(place: str) -> bool:
    """Whether a place is an s3:// URI; else it is a local path."""
    return place.startswith(SCHEME)


def parse(uri: str) -> S3Uri:
    """An s3:// URI in its parts.

    Raises:
      UriError: another scheme, or no bucket that could exist. Its message never repeats what
        stands where credentials could be.
    """
    if not is_remote(uri):
        raise UriError(f"{without_userinfo(uri)}: not an {SCHEME} URI")
    bucket, _, key = uri[len(SCHEME) :].partition("/")
    if not _BUCKET.fullmatch(bucket):
        named = f"{bucket!r} is no bucket's name" if "@" not in bucket else "it holds an '@'"
        raise UriError(
            f"an {SCHEME} URI is {SCHEME}bucket/folder, and {named}; keys and endpoints are "
            "given by the environment (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL_S3, ...)"
        )
    return S3Uri(bucket, key)


def place(text: str, name: str) -> str:
    """A folder as a user names it, checked: a local path as it is, an s3:// URI without
    slashes at its end.

    Args:
      text: what was given.
      name: the option or key that it was given for, for the message.

    Raises:
      UriError: a URI of another scheme, or a bad one.
    """
    if not _ANY_SCHEME.match(text):
        return text
    if not is_remote(text):
        raise UriError(
            f"{name} = {without_userinfo(text)}: only local folders and {SCHEME} URIs can be used"
        )
    uri = parse(text)
    parts = uri.key.rstrip("/").split("/")
    if uri.key.strip("/") and any(part in ("", ".", "..") for part in parts):
        raise UriError(f"{name} = {text}: empty parts, '.' and '..' have no meaning in {SCHEME}")
    return str(uri).rstrip("/")


def join(base: str, *parts: str) -> str:
    """A place below another; with "/" for both kinds."""
    return posixpath.join(base, *parts)


def without_userinfo(text: str) -> str:
    """A URL without what stands before an "@", after a "?" or a "#": none of it is shown."""
    scheme, separator, rest = text.partition("://")
    rest = re.split(r"[?#]", rest, maxsplit=1)[0]
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}" if separator else text
