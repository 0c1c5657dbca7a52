"""What a request can fail with: a canonical status code and a message for whoever asked."""

from __future__ import annotations

import grpc


class ServingError(Exception):
    """A request cannot be answered.

    Attributes:
      code: the canonical status, the same over gRPC and (as an HTTP status) over REST.
      message: what was wrong and what to send instead; nothing of this machine's files.
    """

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def invalid(message: str) -> ServingError:
    """INVALID_ARGUMENT."""
    return ServingError(grpc.StatusCode.INVALID_ARGUMENT, message)


def not_found(message: str) -> ServingError:
    """NOT_FOUND."""
    return ServingError(grpc.StatusCode.NOT_FOUND, message)


def unavailable(message: str) -> ServingError:
    """UNAVAILABLE: the same request may succeed later."""
    return ServingError(grpc.StatusCode.UNAVAILABLE, message)


def failed_precondition(message: str) -> ServingError:
    """FAILED_PRECONDITION: the server's state, not the request's form, is in the way."""
    return ServingError(grpc.StatusCode.FAILED_PRECONDITION, message)


def deadline_exceeded(message: str) -> ServingError:
    """DEADLINE_EXCEEDED."""
    return ServingError(grpc.StatusCode.DEADLINE_EXCEEDED, message)
