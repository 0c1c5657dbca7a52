"""What asking a server can end with. Every message says what was wrong, where, what to do.

Parts of them are the server's own words: show them as text from outside.
"""

from __future__ import annotations

# Of the server's own words.
MAX_DETAIL = 500


class ClientError(Exception):
    """The server was not asked, or gave no answer that can be used."""


class SettingsError(ClientError):
    """What the client was told (address, files, key) cannot be; nothing was sent."""


class ServerError(ClientError):
    """No request to this server will do better: what follows need not be tried."""


class UnreachableError(ServerError):
    """Nothing answers at the address, or not any more."""


class WrongProtocolError(ServerError):
    """What answers speaks another protocol: REST at the port for gRPC, or neither."""


class TlsError(ServerError):
    """Only one side uses TLS, or one does not accept the other's certificate."""


class KeyRefusedError(ServerError):
    """The API key is wrong, or one is needed."""


class ModelNotFoundError(ServerError):
    """The server has no such model, version or label."""


class ModelNotReadyError(ServerError):
    """The server has the model, but not yet, or not any more, to answer with."""


class NotAGenreModelError(ServerError):
    """The model at the server is none of Genreflow's."""


class RequestError(ClientError):
    """This request failed; others may succeed."""


class DeadlineError(RequestError):
    """No answer within the time that a request may take."""


class TooLargeError(RequestError):
    """The server, or the client, does not take messages of this size."""


class RefusedError(RequestError):
    """The server refused the request, or failed at it; its words are in the message."""


class BadAnswerError(RequestError):
    """The answer makes no sense: not probabilities of this model's genres."""


class ModelChangedError(RequestError):
    """While a recording was asked about, another kind of model took the place of the first."""


class CallFailed(Exception):  # noqa: N818  an outcome, which becomes a ClientError
    """One attempt failed.

    Attributes:
      code: the name of a canonical status code; BAD_ANSWER for an answer that is none.
      detail: the other side's words, or the library's.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code, self.detail = code, detail[:MAX_DETAIL]
