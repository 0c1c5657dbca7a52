"""Errors of the client. Every message says what was wrong, where, and what to do.

Messages quote the server, so escape them before they are shown at a terminal.
"""

from __future__ import annotations

# Length of a quoted message of the server.
MAX_DETAIL_CHARACTERS = 500


class ClientError(Exception):
    """Base class of the client's errors."""


class SettingsError(ClientError):
    """Invalid setting (address, file, key); nothing was sent."""


class ServerError(ClientError):
    """Error that every further request to this server would meet too."""


class UnreachableError(ServerError):
    """The server does not respond at the address, or no longer does."""


class WrongProtocolError(ServerError):
    """Another protocol is spoken at the address, such as REST at a port for gRPC."""


class TlsError(ServerError):
    """Only one side uses TLS, or one side rejects the other's certificate."""


class KeyRefusedError(ServerError):
    """The API key is missing or wrong."""


class ModelNotFoundError(ServerError):
    """The server has no such model, version or label."""


class ModelNotReadyError(ServerError):
    """The server is still loading the model."""


class NotAGenreModelError(ServerError):
    """The model at the server is not a Genreflow model."""


class RequestError(ClientError):
    """Error of one request; others may succeed."""


class DeadlineError(RequestError):
    """The request timed out."""


class TooLargeError(RequestError):
    """The request or the response is larger than the server or the client allows."""


class RefusedError(RequestError):
    """The server rejected the request, or failed on it; the message quotes it."""


class BadResponseError(RequestError):
    """The response is invalid, such as values that are not probabilities of this model's genres."""


class ModelChangedError(RequestError):
    """An incompatible model replaced the first while a recording was being predicted.

    Attributes:
      is_adopted: whether the client has taken up the new model's description, so that another
        attempt may succeed.
    """

    def __init__(self, message: str, *, is_adopted: bool = False) -> None:
        super().__init__(message)
        self.is_adopted = is_adopted


class CallFailed(Exception):  # noqa: N818  an outcome, which becomes a ClientError
    """One attempt of a request failed.

    Attributes:
      code: name of a canonical status code, BAD_RESPONSE for an invalid response, or TOO_LARGE.
      detail: message of the server or of the library.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code, self.detail = code, detail[:MAX_DETAIL_CHARACTERS]
