"""A failed request in words: what was wrong, where, and what to do."""

from __future__ import annotations

from collections.abc import Callable

from components.common.model_contract import DESCRIBE
from serving.client.address import Address
from serving.client.diagnosis import probe, unreachable
from serving.client.errors import (
    BadAnswerError,
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

# (version, state) of a model, as the server tells them; raises CallFailed.
States = Callable[[], list[tuple[int, str]]]
_COMING = ("START", "LOADING")


def explained(
    failure: CallFailed,
    *,
    address: Address,
    tls: Tls | None,
    spec: ModelSpec,
    signature: str,
    timeout_s: float,
    states: States,
) -> ClientError:
    """The error for a user.

    Args:
      failure: of the last attempt.
      address, tls, spec, signature, timeout_s: how was asked, for what, and how long.
      states: asks the server what it has of the model; asked only where that is in doubt.
    """
    where, words = address.shown, failure.detail
    match failure.code:
        case "UNAVAILABLE" | "CANCELLED":  # the latter by a server that stops
            return unreachable(address, tls, words) or UnreachableError(
                f"{where}: the server cannot answer now ({words}); try again later"
            )
        case "UNAUTHENTICATED" | "PERMISSION_DENIED":
            return KeyRefusedError(
                f"{where}: the server refuses the API key, or wants one ({words}); set "
                "GENREFLOW_API_KEY, or give --api-key-file"
            )
        case "DEADLINE_EXCEEDED":
            found = probe(address)
            if found.speaks == "nothing":
                return UnreachableError(
                    f"{where}: nothing answers there ({found.detail}); correct --server"
                )
            return DeadlineError(
                f"{where}: no answer within {timeout_s:g} s; the server may be busy: give it "
                "more time with --timeout"
            )
        case "TOO_LARGE":
            return _too_large(where, words)
        case "RESOURCE_EXHAUSTED" if "larger than max" in words or "too large" in words.lower():
            return _too_large(where, words)
        case "INVALID_ARGUMENT" if spec.label is not None and "version label" in words:
            return _not_found(where, words, spec, states)
        case "NOT_FOUND":
            return _not_found(where, words, spec, states)
        case "UNIMPLEMENTED":
            return WrongProtocolError(
                f"{where}: what answers there is no TensorFlow Serving ({words}); correct --server"
            )
        case "INVALID_ARGUMENT" | "FAILED_PRECONDITION" if signature == DESCRIBE:
            return NotAGenreModelError(
                f"{where}: {spec.shown} is not a genreflow model: it answers no signature "
                f"{signature} ({words}); correct --model-name, or export the model again"
            )
        case "BAD_ANSWER":
            return BadAnswerError(f"{where}: the answer makes no sense: {words}")
    return RefusedError(f"{where}: {spec.shown} did not answer: {words} ({failure.code})")


def _too_large(where: str, words: str) -> TooLargeError:
    return TooLargeError(
        f"{where}: a request or answer was too large ({words}); the server's limit must take "
        "16 windows of one clip (genreflow serve --max-message-mb)"
    )


def _not_found(where: str, words: str, spec: ModelSpec, states: States) -> ClientError:
    """Not there, or not there yet; with what is."""
    try:
        known = states()
    except CallFailed as failure:
        if failure.code == "BAD_ANSWER":
            return WrongProtocolError(
                f"{where}: what answers there is no TensorFlow Serving; correct --server"
            )
        return ModelNotFoundError(
            f"{where}: the server has no model {spec.name!r} ({words}); correct --model-name"
        )
    wanted = [state for version, state in known if spec.version in (None, version)]
    listed = ", ".join(f"{version} ({state})" for version, state in sorted(known)) or "none"
    if spec.label is None and any(state in _COMING for state in wanted):
        return ModelNotReadyError(
            f"{where}: {spec.shown} is still being loaded (versions: {listed}); try again soon"
        )
    return ModelNotFoundError(
        f"{where}: {spec.shown} is not there to answer ({words}); the server's versions: {listed}"
    )
