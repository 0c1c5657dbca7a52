"""Errors of object stores. Each message is one line with a remedy, and holds no secret."""

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
    """Error of a store that is unreachable, overloaded or faulty; base of the others."""


class StorageSetupError(StorageError, UsageError):
    """Error in keys, endpoint, region or bucket; the message names the variable to check."""


class ObjectMissing(StorageError):  # noqa: N818  an outcome, like FileNotFoundError
    """Error for an object that does not exist."""


class ObjectForbidden(StorageSetupError):  # noqa: N818
    """Error for an object that this access key may not read or write."""


class ObjectChanged(StorageError):  # noqa: N818
    """Error for an object that changed after it was listed."""


class ObjectTooLarge(StorageError):  # noqa: N818
    """Error for an object that exceeds a size limit."""


# Error codes of S3 and compatible servers, with their meaning and remedy.
_KEY_ERRORS = {
    "InvalidAccessKeyId": "the server does not know this access key; check AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "the secret key is wrong; check AWS_SECRET_ACCESS_KEY",
    "InvalidToken": "the session token is invalid; check AWS_SESSION_TOKEN",
    "InvalidClientTokenId": "the session token is invalid; check AWS_SESSION_TOKEN",
    "ExpiredToken": "the session has expired; get a new AWS_SESSION_TOKEN",
    "TokenRefreshRequired": "the session has expired; get a new AWS_SESSION_TOKEN",
    "RequestTimeTooSkewed": "this machine's clock is wrong; set it",
    "NoSuchBucket": "no such bucket; check its name and AWS_ENDPOINT_URL_S3",
    "InvalidBucketName": "not a valid bucket name; correct it",
    "PermanentRedirect": "the bucket is in another region; set AWS_REGION to it",
    "AuthorizationHeaderMalformed": "the bucket is in another region; set AWS_REGION to it",
    "IllegalLocationConstraintException": "the bucket is in another region; set AWS_REGION to it",
    "AccountProblem": "the account is disabled; ask its administrator",
    "AllAccessDisabled": "all access to it is disabled; ask its administrator",
}
_MISSING = frozenset({"NoSuchKey", "404", "NotFound"})
_FORBIDDEN = frozenset({"AccessDenied", "403", "Forbidden", "InvalidObjectState"})
_CHANGED = frozenset({"PreconditionFailed", "412"})


@contextlib.contextmanager
def translated_errors(place: str) -> Iterator[None]:
    """Translate the exceptions of boto3 and botocore into this module's errors.

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
        raise from_response(place, error.response) from _cause(error)
    except boto3.exceptions.Boto3Error as error:
        raise StorageError(f"{place}: {scrubbed(str(error))}") from None
    except (botocore.exceptions.BotoCoreError, urllib3.exceptions.HTTPError) as error:
        raise _from_client_side(place, error) from None


def from_response(place: str, response: dict[str, Any]) -> StorageError:
    """Return the error for a server's error response."""
    error = response.get("Error", {})
    code = str(error.get("Code", ""))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _KEY_ERRORS:
        return StorageSetupError(f"{place}: {_KEY_ERRORS[code]} ({code})")
    if code in _MISSING:
        return ObjectMissing(f"{place}: no such object")
    if code in _CHANGED:
        return ObjectChanged(f"{place}: changed since it was listed; rerun the command")
    if code in _FORBIDDEN or status == 403:
        return ObjectForbidden(
            f"{place}: access denied ({code}) to this access key; check AWS_ACCESS_KEY_ID and "
            "the bucket's policy"
        )
    retries = response.get("ResponseMetadata", {}).get("RetryAttempts", 0)
    tries = f" after {retries + 1} attempts" if retries else ""
    detail = scrubbed(str(error.get("Message", "")))
    return StorageError(f"{place}: the server responded {status} {code}{tries}: {detail}")


def _from_client_side(place: str, error: Exception) -> StorageError:
    from botocore import exceptions as boto

    name = type(error).__name__
    if isinstance(error, (boto.NoCredentialsError, boto.PartialCredentialsError)):
        return StorageSetupError(
            f"{place}: no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY "
            "(or AWS_PROFILE, or run where a role gives them)"
        )
    if isinstance(error, boto.ProfileNotFound):
        return StorageSetupError(
            f"{place}: AWS_PROFILE names an unknown profile; correct it or configure the profile"
        )
    if isinstance(error, boto.NoRegionError):
        return StorageSetupError(f"{place}: no region; set AWS_REGION")
    if isinstance(error, (boto.ConfigParseError, boto.ConfigNotFound)):
        return StorageSetupError(
            f"{place}: the AWS configuration file is invalid; check "
            "AWS_CONFIG_FILE (default ~/.aws/config)"
        )
    if isinstance(error, boto.CredentialRetrievalError):
        return StorageSetupError(
            f"{place}: the credentials could not be loaded ({name}); check "
            "AWS_PROFILE, or sign in again"
        )
    if isinstance(error, boto.ParamValidationError):
        return StorageSetupError(f"{place}: not a valid S3 name; correct it")
    if isinstance(error, boto.SSLError):
        return StorageError(
            f"{host_of(error)}: the server's certificate is not trusted; for a private authority "
            "set AWS_CA_BUNDLE to its certificate file"
        )
    # All others are network errors: refused, unknown host, timed out, cut off.
    return StorageError(
        f"{host_of(error)}: the object store cannot be reached ({name}) for {place}; check "
        "AWS_ENDPOINT_URL_S3 and the network"
    )


def host_of(error: Exception) -> str:
    """Return the host and port of an error's URL, and nothing else of it."""
    url = getattr(error, "kwargs", {}).get("endpoint_url") or ""
    return host(str(url)) or "the object store"


def host(url: str) -> str:
    """Return the host and port of a URL, without user name, path and query."""
    try:
        return urllib.parse.urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:
        return ""


def scrubbed(text: str) -> str:
    """Return outside text on one line, shortened, without this environment's secrets."""
    for name in SECRET_VARIABLES:
        value = os.environ.get(name)
        if value:
            text = text.replace(value, "***")
    line = " ".join(text.split())
    return line if len(line) <= MAX_DETAIL else line[: MAX_DETAIL - 1] + "…"


def _cause(error: Any) -> Exception:
    """Return a cause for the log with the code alone; responses may repeat secrets."""
    code = error.response.get("Error", {}).get("Code", "")
    return RuntimeError(f"{error.operation_name}: {code}")
