"""What can go wrong with an object store, in words; no message ever holds a secret."""

from __future__ import annotations

import contextlib
import os
import urllib.parse
from collections.abc import Iterator
from typing import Any

from components.common.errors import GenreflowError, UsageError

SECRET_VARIABLES = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
MAX_DETAIL = 200


class StorageError(GenreflowError):
    """The store did not do what was asked: not reachable, overloaded, or at fault."""


class StorageSetupError(StorageError, UsageError):
    """Keys, endpoint, region or bucket are not right; says which variable to look at."""


class ObjectMissing(StorageError):  # noqa: N818  an outcome, as FileNotFoundError's parent
    """There is no such object."""


class ObjectForbidden(StorageSetupError):  # noqa: N818
    """The object may not be read or written with this key."""


class ObjectChanged(StorageError):  # noqa: N818
    """The object is no longer the one that was listed."""


class ObjectTooLarge(StorageError):  # noqa: N818
    """The object is larger than what is read."""


# Error codes of S3 and of the servers that speak like it -> what to look at.
_KEY_ERRORS = {
    "InvalidAccessKeyId": "the server does not know the access key; check AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "the secret key is wrong; check AWS_SECRET_ACCESS_KEY",
    "InvalidToken": "the session token is not valid; check AWS_SESSION_TOKEN",
    "InvalidClientTokenId": "the session token is not valid; check AWS_SESSION_TOKEN",
    "ExpiredToken": "the session has expired; get a new AWS_SESSION_TOKEN",
    "TokenRefreshRequired": "the session has expired; get a new AWS_SESSION_TOKEN",
    "RequestTimeTooSkewed": "this machine's clock is wrong; set it",
    "NoSuchBucket": "there is no such bucket",
    "InvalidBucketName": "there can be no bucket of that name",
    "PermanentRedirect": "the bucket lies in another region; set AWS_REGION to it",
    "AuthorizationHeaderMalformed": "the bucket lies in another region; set AWS_REGION to it",
    "IllegalLocationConstraintException": "the bucket lies in another region; set AWS_REGION",
    "AccountProblem": "the account cannot be used",
    "AllAccessDisabled": "all access to it is disabled",
}
_MISSING = frozenset({"NoSuchKey", "404", "NotFound"})
_FORBIDDEN = frozenset({"AccessDenied", "403", "Forbidden", "InvalidObjectState"})
_CHANGED = frozenset({"PreconditionFailed", "412"})


@contextlib.contextmanager
def in_words(place: str) -> Iterator[None]:
    """Turns what boto3 and botocore raise into this module's errors.

    Args:
      place: the URI that is read or written, for the message.
    """
    import boto3.exceptions
    import botocore.exceptions
    import urllib3.exceptions

    try:
        yield
    except StorageError:
        raise
    except botocore.exceptions.ClientError as error:
        raise from_response(place, error.response) from _bare(error)
    except boto3.exceptions.Boto3Error as error:
        raise StorageError(f"{place}: {scrubbed(str(error))}") from None
    except (botocore.exceptions.BotoCoreError, urllib3.exceptions.HTTPError) as error:
        raise _from_client_side(place, error) from None


def from_response(place: str, response: dict[str, Any]) -> StorageError:
    """The error that a server's answer means."""
    error = response.get("Error", {})
    code = str(error.get("Code", ""))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _KEY_ERRORS:
        return StorageSetupError(f"{place}: {_KEY_ERRORS[code]} ({code})")
    if code in _MISSING:
        return ObjectMissing(f"{place}: there is no such object")
    if code in _CHANGED:
        return ObjectChanged(f"{place}: it was changed since it was listed")
    if code in _FORBIDDEN or status == 403:
        return ObjectForbidden(
            f"{place}: access denied ({code}): the access key may not do this; check "
            "AWS_ACCESS_KEY_ID and the bucket's policy"
        )
    retries = response.get("ResponseMetadata", {}).get("RetryAttempts", 0)
    tries = f" after {retries + 1} attempts" if retries else ""
    detail = scrubbed(str(error.get("Message", "")))
    return StorageError(f"{place}: the server answered {status} {code}{tries}: {detail}")


def _from_client_side(place: str, error: Exception) -> StorageError:
    from botocore import exceptions as boto

    name = type(error).__name__
    if isinstance(error, (boto.NoCredentialsError, boto.PartialCredentialsError)):
        return StorageSetupError(
            f"{place}: no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY "
            "(or AWS_PROFILE, or run where a role gives them)"
        )
    if isinstance(error, boto.ProfileNotFound):
        return StorageSetupError(f"{place}: AWS_PROFILE names a profile that is not configured")
    if isinstance(error, boto.NoRegionError):
        return StorageSetupError(f"{place}: no region; set AWS_REGION")
    if isinstance(error, (boto.ConfigParseError, boto.ConfigNotFound)):
        return StorageSetupError(f"{place}: the AWS configuration file cannot be read")
    if isinstance(error, boto.CredentialRetrievalError):
        return StorageSetupError(f"{place}: the credentials could not be had ({name})")
    if isinstance(error, boto.ParamValidationError):
        return StorageSetupError(f"{place}: not a name that S3 takes")
    if isinstance(error, boto.SSLError):
        return StorageError(
            f"{host_of(error)}: no trusted connection; for a certificate of your own set "
            "AWS_CA_BUNDLE to its authority's file"
        )
    # What is left is the network: refused, unknown host, timed out, cut off.
    return StorageError(
        f"{host_of(error)}: the object store cannot be reached ({name}); check "
        f"AWS_ENDPOINT_URL_S3 and the network (wanted: {place})"
    )


def host_of(error: Exception) -> str:
    """The host and port that an error is about, and nothing else of its URL."""
    url = getattr(error, "kwargs", {}).get("endpoint_url") or ""
    return host(str(url)) or "the object store"


def host(url: str) -> str:
    """Host and port of a URL: neither user names nor paths nor queries."""
    try:
        return urllib.parse.urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:
        return ""


def scrubbed(text: str) -> str:
    """Text from outside on one line, cut, without this environment's secrets."""
    for name in SECRET_VARIABLES:
        value = os.environ.get(name)
        if value:
            text = text.replace(value, "***")
    line = " ".join(text.split())
    return line if len(line) <= MAX_DETAIL else line[: MAX_DETAIL - 1] + "…"


def _bare(error: Any) -> Exception:
    """A cause for the log: the code alone, as a response may repeat what was sent."""
    code = error.response.get("Error", {}).get("Code", "")
    return RuntimeError(f"{error.operation_name}: {code}")
