"""Errors of requests: a canonical status code and a message for the client."""

from __future__ import annotations

import grpc


class ServingError(Exception):
    """Error that a request is answered with.

    Attributes:
      code: the canonical status: a gRPC status code, mapped to an HTTP status over REST.
      message: what was wrong and what to send instead. It names none of this machine's files.
    """

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def invalid(message: str) -> ServingError:
    """Return an INVALID_ARGUMENT error."""
    return ServingError(grpc.StatusCode.INVALID_ARGUMENT, message)


def not_found(message: str) -> ServingError:
    """Return a NOT_FOUND error."""
    return ServingError(grpc.StatusCode.NOT_FOUND, message)


def unavailable(message: str) -> ServingError:
    """Return an UNAVAILABLE error: the same request may succeed later."""
    return ServingError(grpc.StatusCode.UNAVAILABLE, message)


def failed_precondition(message: str) -> ServingError:
    """Return a FAILED_PRECONDITION error: the server's state rules the request out."""
    return ServingError(grpc.StatusCode.FAILED_PRECONDITION, message)


def deadline_exceeded(message: str) -> ServingError:
    """Return a DEADLINE_EXCEEDED error."""
    return ServingError(grpc.StatusCode.DEADLINE_EXCEEDED, message)
