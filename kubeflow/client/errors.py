"""What kfp's client raises, in words: what was wrong, where, and what to do."""

from __future__ import annotations

import json
from typing import Any

from components.common.errors import GenreflowError
from components.common.escape import printable
from kubeflow.client.access import TOKEN_FILE_VARIABLE, TOKEN_VARIABLE, Access

_LONGEST = 400
_TOO_MANY_REQUESTS = 429
# As resolvers of Linux, macOS and Windows say it; urllib3 has a class for it from version 2 on.
_UNKNOWN_NAME = ("Name or service", "name resolution", "nodename nor servname", "getaddrinfo",
                 "No address associated")  # fmt: skip


class PassingError(GenreflowError):
    """Kubeflow does not answer, or not now: the same may work in a while."""


class NotFoundError(GenreflowError):
    """Kubeflow answers that there is no such thing."""


def expected() -> tuple[type[Exception], ...]:
    """What calls of kfp's client raise. Imports it.

    Of its own, ApiException and, by way of it, all statuses but 2xx; of urllib3, whatever the
    network does. The rest come of answers that are no JSON of this API: its generated code does
    not look what it decodes (a body that is no UTF-8, a charset that nobody knows, a number where
    a list should be, a time beyond all times; and a body of None where TLS failed).
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


def in_words(error: Exception, access: Access, what: str) -> GenreflowError:
    """An error of `expected()` as one that is shown.

    Args:
      error: what was raised.
      access: where, and as whom; its token is in no message.
      what: what was asked for, such as "run 1234".
    """
    import kfp_server_api
    import urllib3

    if isinstance(error, AttributeError) and isinstance(
        error.__context__, kfp_server_api.ApiException
    ):
        error = error.__context__  # TLS failed, and then the look at what it answered
    if isinstance(error, kfp_server_api.ApiException) and error.status:
        return _of_status(error, access, what)
    if isinstance(error, (urllib3.exceptions.HTTPError, kfp_server_api.ApiException, OSError)):
        return _of_network(error, access)
    return not_the_api(access)


def not_the_api(access: Access) -> GenreflowError:
    """For an answer that no Kubeflow Pipelines gives, such as a page with a form to log in."""
    token = (
        f"is the token of {access.token.source} still good, and"
        if access.token
        else f"does it want a token ({TOKEN_VARIABLE}), and"
    )
    path = "" if access.host.endswith("/pipeline") else " (in a full Kubeflow it ends in /pipeline)"
    return GenreflowError(
        f"{printable(access.host)}: what answers is not the API of Kubeflow Pipelines 2; "
        f"{token} is that its address{path}?"
    )


def _of_status(error: Any, access: Access, what: str) -> GenreflowError:
    host, said = printable(access.host), _said(error.body, access)
    reason = f": {said}" if said else ""
    if error.status == 401:
        if access.token is None:
            return GenreflowError(
                f"{host} asks for a token (401){reason}; set {TOKEN_VARIABLE}, or "
                f"{TOKEN_FILE_VARIABLE} to the file that holds one"
            )
        return GenreflowError(
            f"{host} refuses the token of {access.token.source} (401){reason}; it has expired, or "
            "is for something else"
        )
    if error.status == 403:
        whose = (
            f"whoever the token of {access.token.source} stands for"
            if access.token
            else f"nobody in particular (no {TOKEN_VARIABLE} is set)"
        )
        return GenreflowError(f"{host} does not let {whose} do this (403){reason}")
    if error.status == 404:
        if not _is_of_the_api(error.body):
            return not_the_api(access)
        return NotFoundError(f"{host}: no such {what}{reason}")
    if error.status >= 500 or error.status == _TOO_MANY_REQUESTS:
        return PassingError(f"{host} fails ({error.status}){reason}")
    return GenreflowError(f"{host} refuses ({error.status}){reason}")


def _is_of_the_api(body: Any) -> bool:
    """Whether a failure's body is a google.rpc.Status, as the API's are."""
    content = _json(body)
    return isinstance(content, dict) and isinstance(content.get("code"), int)


def _json(body: Any) -> Any:
    try:
        return json.loads(body or "")
    except (ValueError, TypeError, RecursionError):
        return None


def _said(body: Any, access: Access) -> str:
    """What the API itself says, made harmless; nothing of a page of HTML."""
    content = _json(body)
    if isinstance(content, dict):
        details = content.get("details")
        first = details[0] if isinstance(details, list) and details else {}
        text = (
            (first.get("error_message") if isinstance(first, dict) else "")
            or content.get("message")
            or content.get("error")
        )
    else:
        text = body if isinstance(body, str) and "<" not in body else ""
    return told(text, access)


def told(text: Any, access: Access) -> str:
    """Somebody else's text on one line, harmless, not too long, and without the token."""
    words = " ".join(str(text or "").split())
    if access.token:
        words = access.token.hide(words)
    return printable(words if len(words) <= _LONGEST else words[: _LONGEST - 1] + "…").rstrip(".")


def _of_network(error: Any, access: Access) -> GenreflowError:
    import urllib3

    host = printable(access.host)
    cause = getattr(error, "reason", None) or error
    text = str(cause)
    if isinstance(cause, urllib3.exceptions.SSLError) or "SSLError" in text:
        if "CERTIFICATE_VERIFY_FAILED" in text:
            return GenreflowError(
                f"{host}: its certificate is not trusted ({_after(text, 'verify failed:')}); "
                "--ca-cert FILE names the authority that signed it"
            )
        return GenreflowError(
            f"{host}: no TLS as it should be ({_after(text, ']')}); is it http://?"
        )
    if any(words in text for words in _UNKNOWN_NAME):
        return PassingError(f"{host}: no machine of that name is known here")
    if "refused" in text:
        return PassingError(
            f"{host}: nothing listens there (connection refused); does kubectl port-forward run?"
        )
    # urllib3 1.26 takes all failures to connect for time-outs.
    is_other = isinstance(cause, urllib3.exceptions.NewConnectionError)
    if isinstance(cause, (urllib3.exceptions.TimeoutError, TimeoutError)) and not is_other:
        return PassingError(f"{host}: no answer in time")
    return PassingError(f"{host}: cannot be reached ({told(_after(text, ': '), access)})")


def _after(text: str, mark: str) -> str:
    """What a message says after all that libraries put before it."""
    words = text.rpartition(mark)[2].strip()
    # OpenSSL's place in its own source means nothing to anybody.
    return printable(words.partition(" (_ssl.c")[0].rstrip(")'\""))[:200]
