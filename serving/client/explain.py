"""Errors for failed requests, whose messages say what was wrong, where, and what to do."""

from __future__ import annotations

from collections.abc import Callable

from components.common.model_contract import DESCRIBE
from serving.client.address import Address
from serving.client.diagnosis import diagnose, probe
from serving.client.errors import (
    BadResponseError,
    CallFailed,
    ClientError,
    DeadlineError,
    KeyRefusedError,
    ModelNotFoundError,
    ModelNotReadyError,
    NotAGenreModelError,
    RefusedError,
    TooLargeError,
    UnreachableError,
    WrongProtocolError,
)
from serving.client.transport import ModelSpec, Tls

# Returns the (version, state) pairs that the server reports for the model; raises CallFailed.
GetStates = Callable[[], list[tuple[int, str]]]
_STATES_BEFORE_AVAILABLE = ("START", "LOADING")


def explain(
    failure: CallFailed,
    *,
    address: Address,
    tls: Tls | None,
    spec: ModelSpec,
    signature: str,
    timeout_s: float,
    get_states: GetStates,
) -> ClientError:
    """Return the error for the user.

    Args:
      failure: failure of the last attempt.
      address: the server.
      tls: settings of the connection, if it is encrypted.
      spec: the model of the request.
      signature: the signature of the request.
      timeout_s: time limit of the request in seconds.
      get_states: asks the server for the model's versions; called only if they matter.
    """
    where, detail = address.shown, failure.detail
    match failure.code:
        case "UNAVAILABLE" | "CANCELLED":  # the latter from a server that shuts down
            return diagnose(address, tls, detail) or UnreachableError(
                f"{where}: the server is unavailable ({detail}); retry later"
            )
        case "UNAUTHENTICATED" | "PERMISSION_DENIED":
            return KeyRefusedError(
                f"{where}: the server requires another API key ({detail}); set GENREFLOW_API_KEY "
                "or give --api-key-file"
            )
        case "DEADLINE_EXCEEDED":
            found = probe(address)
            if found.protocol == "nothing":
                return UnreachableError(
                    f"{where}: nothing responds there ({found.detail}); correct --server"
                )
            return DeadlineError(
                f"{where}: no response within {timeout_s:g} s; the server may be busy: allow more "
                "time with --timeout"
            )
        case "TOO_LARGE":
            return _too_large(where, detail)
        case "RESOURCE_EXHAUSTED" if "larger than max" in detail or "too large" in detail.lower():
            return _too_large(where, detail)
        case "INVALID_ARGUMENT" if spec.label is not None and "version label" in detail:
            return _not_found(where, detail, spec, get_states)
        case "NOT_FOUND":
            return _not_found(where, detail, spec, get_states)
        case "UNIMPLEMENTED":
            return WrongProtocolError(
                f"{where}: this server does not speak TensorFlow Serving's protocol ({detail}); "
                "correct --server"
            )
        case "INVALID_ARGUMENT" | "FAILED_PRECONDITION" if signature == DESCRIBE:
            return NotAGenreModelError(
                f"{where}: {spec.shown} is not a genreflow model: it has no signature {signature} "
                f"({detail}); correct --model-name, or export the model again"
            )
        case "BAD_RESPONSE":
            return BadResponseError(f"{where}: invalid response: {detail}")
    return RefusedError(f"{where}: {spec.shown} failed on the request: {detail} ({failure.code})")


def _too_large(where: str, detail: str) -> TooLargeError:
    return TooLargeError(
        f"{where}: the request or the response was too large ({detail}); the server's limit must "
        "allow 16 windows of one clip (genreflow serve --max-message-mb)"
    )


def _not_found(where: str, detail: str, spec: ModelSpec, get_states: GetStates) -> ClientError:
    """Return the error for a model that does not exist, or is not loaded yet."""
    try:
        known = get_states()
    except CallFailed as failure:
        if failure.code == "BAD_RESPONSE":
            return WrongProtocolError(
                f"{where}: this server does not speak TensorFlow Serving's protocol; correct "
                "--server"
            )
        return ModelNotFoundError(
            f"{where}: the server has no model {spec.name!r} ({detail}); correct --model-name"
        )
    wanted = [state for version, state in known if spec.version in (None, version)]
    listed = ", ".join(f"{version} ({state})" for version, state in sorted(known)) or "none"
    if spec.label is None and any(state in _STATES_BEFORE_AVAILABLE for state in wanted):
        return ModelNotReadyError(
            f"{where}: {spec.shown} is still loading (versions: {listed}); retry soon"
        )
    return ModelNotFoundError(
        f"{where}: {spec.shown} is not available ({detail}); the server's versions: {listed}"
    )
