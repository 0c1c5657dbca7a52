"""Errors of Kubeflow's API, and their messages: what was wrong, where, and what to do."""

from __future__ import annotations

import json
from typing import Any

from components.common.errors import GenreflowError
from components.common.escape import printable
from kubeflow.client.access import TOKEN_FILE_VARIABLE, TOKEN_VARIABLE, Access

_MAX_TEXT_CHARS = 400
_TOO_MANY_REQUESTS = 429
# Messages of the resolvers of Linux, macOS and Windows; urllib3 before version 2 has no class.
_UNKNOWN_NAME = ("Name or service", "name resolution", "nodename nor servname", "getaddrinfo",
                 "No address associated")  # fmt: skip


class UnavailableError(GenreflowError):
    """Error for a Kubeflow that does not respond, or not at the moment; a retry may succeed."""


class NotFoundError(GenreflowError):
    """Error for a run or experiment that does not exist."""


def client_exceptions() -> tuple[type[Exception], ...]:
    """Return the exception types that calls of kfp's client raise. Imports kfp's client.

    ApiException covers all statuses but 2xx, and urllib3's exceptions cover the network. The
    others come from responses that are not this API's JSON, which the generated client decodes
    unchecked: a body that is not UTF-8, an unknown charset, a number instead of a list, a time
    out of range, or a body of None after a TLS failure.
    """
    import kfp_server_api
    import urllib3

    return (
        kfp_server_api.ApiException,
        urllib3.exceptions.HTTPError,
        OSError,
        ValueError,
        TypeError,
        AttributeError,
        LookupError,
        OverflowError,
        RecursionError,
    )


def to_genreflow_error(error: Exception, access: Access, what: str) -> GenreflowError:
    """Return an error whose message can be shown to the user.

    Args:
      error: one of the types of client_exceptions().
      access: address and credentials of the request; the message never contains the token.
      what: the requested thing, such as "run 1234".
    """
    import kfp_server_api
    import urllib3

    if isinstance(error, AttributeError) and isinstance(
        error.__context__, kfp_server_api.ApiException
    ):
        error = error.__context__  # TLS failed, and then reading the missing body
    if isinstance(error, kfp_server_api.ApiException) and error.status:
        return _status_error(error, access, what)
    if isinstance(error, (urllib3.exceptions.HTTPError, kfp_server_api.ApiException, OSError)):
        return _network_error(error, access)
    return not_the_api(access)


def not_the_api(access: Access) -> GenreflowError:
    """Return the error for a response that is not the API's, such as a login page."""
    token = (
        f"is the token of {access.token.source} still valid"
        if access.token
        else f"does it need a token ({TOKEN_VARIABLE})"
    )
    path = "" if access.host.endswith("/pipeline") else " (in a full Kubeflow it ends in /pipeline)"
    return GenreflowError(
        f"{printable(access.host)}: the response is not from the API of Kubeflow Pipelines 2; "
        f"{token}, and is the address right{path}?"
    )


def _status_error(error: Any, access: Access, what: str) -> GenreflowError:
    host, text = printable(access.host), _reason(error.body, access)
    reason = f": {text}" if text else ""
    if error.status == 401:
        if access.token is None:
            return GenreflowError(
                f"{host} requires a token (401){reason}; set {TOKEN_VARIABLE}, or set "
                f"{TOKEN_FILE_VARIABLE} to a file that contains one"
            )
        return GenreflowError(
            f"{host} refuses the token of {access.token.source} (401){reason}; it has expired, or "
            "is for another address; get a new one"
        )
    if error.status == 403:
        whose = (
            f"with the token of {access.token.source}"
            if access.token
            else f"without a token ({TOKEN_VARIABLE} is not set)"
        )
        return GenreflowError(f"{host} does not allow this {whose} (403){reason}")
    if error.status == 404:
        if not _is_api_status(error.body):
            return not_the_api(access)
        return NotFoundError(f"{host}: no such {what}{reason}")
    if error.status >= 500 or error.status == _TOO_MANY_REQUESTS:
        return UnavailableError(f"{host} failed ({error.status}){reason}")
    return GenreflowError(f"{host} refused the request ({error.status}){reason}")


def _is_api_status(body: Any) -> bool:
    """Return whether a failure's body is a google.rpc.Status, as the API's failures are."""
    content = _json(body)
    return isinstance(content, dict) and isinstance(content.get("code"), int)


def _json(body: Any) -> Any:
    """Return a body's JSON value; None if it is not JSON."""
    try:
        return json.loads(body or "")
    except (ValueError, TypeError, RecursionError):
        return None


def _reason(body: Any, access: Access) -> str:
    """Return the API's own message, safe to print; "" for an HTML page."""
    content = _json(body)
    if isinstance(content, dict):
        details = content.get("details")
        first = details[0] if isinstance(details, list) and details else {}
        text = (
            (first.get("error_message") if isinstance(first, dict) else "")
            or content.get("message")
            or content.get("error")
            or content.get("error_message")  # of uploads (pipeline_upload_server.go)
        )
    else:
        text = body if isinstance(body, str) and "<" not in body else ""
    return safe_line(text, access)


def safe_line(text: Any, access: Access) -> str:
    """Return outside text as one printable line of limited length, without the token."""
    words = " ".join(str(text or "").split())
    if access.token:
        words = access.token.hide(words)
    if len(words) > _MAX_TEXT_CHARS:
        words = words[: _MAX_TEXT_CHARS - 1] + "…"
    return printable(words).rstrip(".")


def _network_error(error: Any, access: Access) -> GenreflowError:
    import urllib3

    host = printable(access.host)
    cause = getattr(error, "reason", None) or error
    text = str(cause)
    if isinstance(cause, urllib3.exceptions.SSLError) or "SSLError" in text:
        if "CERTIFICATE_VERIFY_FAILED" in text:
            return GenreflowError(
                f"{host}: its certificate is not trusted ({_after(text, 'verify failed:')}); "
                "give the certificate of the authority that signed it as --ca-cert FILE"
            )
        return GenreflowError(
            f"{host}: TLS failed ({_after(text, ']')}); should the address begin with http://?"
        )
    if any(words in text for words in _UNKNOWN_NAME):
        return UnavailableError(f"{host}: unknown host name; check the address")
    if "refused" in text:
        return UnavailableError(
            f"{host}: nothing listens there (connection refused); is kubectl port-forward running?"
        )
    # urllib3 1.26 reports every failure to connect as a timeout.
    is_other = isinstance(cause, urllib3.exceptions.NewConnectionError)
    if isinstance(cause, (urllib3.exceptions.TimeoutError, TimeoutError)) and not is_other:
        return UnavailableError(f"{host}: the request timed out")
    return UnavailableError(f"{host}: cannot be reached ({safe_line(_after(text, ': '), access)})")


def _after(text: str, mark: str) -> str:
    """Return the end of a message, without the prefixes that libraries add."""
    words = text.rpartition(mark)[2].strip()
    # Drop OpenSSL's position in its own source.
    return printable(words.partition(" (_ssl.c")[0].rstrip(")'\""))[:200]
