"""Places: local paths and s3:// URIs."""

from __future__ import annotations

import dataclasses
import posixpath
import re

from components.common.errors import UsageError

SCHEME = "s3://"
_ANY_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://", re.ASCII)
# Amazon's rule for buckets since 2018, and the older, wider one of us-east-1. It excludes "@"
# and ":", so that no credentials can hide in a URI.
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]", re.ASCII)


class UriError(UsageError, ValueError):
    """Error for text that is not a supported URI."""


@dataclasses.dataclass(frozen=True)
class S3Uri:
    """`s3://bucket/key`. The key is not escaped; "" is the whole bucket."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.key}"


def is_remote(place: str) -> bool:
    """Return whether a place is an s3:// URI, and not a local path."""
    return place.startswith(SCHEME)


def parse(uri: str) -> S3Uri:
    """Parse an s3:// URI.

    Raises:
      UriError: the scheme differs, or the bucket's name is invalid. The message never repeats
        a part that may be a credential.
    """
    if not is_remote(uri):
        raise UriError(f"{without_userinfo(uri)}: not an {SCHEME} URI")
    bucket, _, key = uri[len(SCHEME) :].partition("/")
    if not _BUCKET.fullmatch(bucket):
        problem = f"invalid bucket name {bucket!r}" if "@" not in bucket else "it contains '@'"
        raise UriError(
            f"not a valid {SCHEME} URI: {problem}; write {SCHEME}bucket/folder, and set keys and "
            "endpoints in the environment (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL_S3, ...)"
        )
    return S3Uri(bucket, key)


def checked_place(text: str, name: str) -> str:
    """Return a checked place: a local path unchanged, an s3:// URI without trailing slashes.

    Args:
      text: a path or URI from a user.
      name: the option or key that holds it, for the message.

    Raises:
      UriError: the URI is invalid, or has another scheme.
    """
    if not _ANY_SCHEME.match(text):
        return text
    if not is_remote(text):
        raise UriError(
            f"{name} = {without_userinfo(text)}: only local folders and {SCHEME} URIs are supported"
        )
    uri = parse(text)
    parts = uri.key.rstrip("/").split("/")
    if uri.key.strip("/") and any(part in ("", ".", "..") for part in parts):
        raise UriError(f"{name} = {text}: remove empty parts, '.' and '..' from the URI")
    return str(uri).rstrip("/")


def join(base: str, *parts: str) -> str:
    """Return a place below another, joined by "/" for paths and URIs."""
    return posixpath.join(base, *parts)


def without_userinfo(text: str) -> str:
    """Return a URL without user name, query and fragment, which may hold secrets."""
    scheme, separator, rest = text.partition("://")
    rest = re.split(r"[?#]", rest, maxsplit=1)[0]
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}" if separator else text
