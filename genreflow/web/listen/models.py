"""The model server behind the page, and clients of the versions that people choose."""

from __future__ import annotations

import dataclasses
import re
import threading
from collections.abc import Callable
from typing import Any, Protocol

from genreflow.web.errors import WebError
from genreflow.web.listen.facts import Evaluation, model_facts
from serving.client.client import GenreClient
from serving.client.errors import ClientError, DeadlineError, RequestError, SettingsError

# Choices whose clients are kept; labels are typed by people.
MAX_CLIENTS = 8
_LABEL = re.compile(r"[^\x00-\x1f\x7f]{1,100}")
_RETRY_S = 3


@dataclasses.dataclass(frozen=True)
class Choice:
    """Version of a model that somebody chose.

    Attributes:
      version: its number, or None.
      label: its label, or None. Without either, the server's newest is meant.
    """

    version: int | None = None
    label: str | None = None

    @classmethod
    def parse(cls, text: str) -> Choice:
        """Parse "newest", a version's number, or "label:NAME".

        Raises:
          WebError: 400 for another text.
        """
        if text == "newest":
            return cls()
        if text.isascii() and text.isdecimal() and 0 < len(text) <= 18:
            return cls(version=int(text))
        label = text.removeprefix("label:")
        if label != text and _LABEL.fullmatch(label):
            return cls(label=label)
        raise WebError(400, "a version is `newest`, a number, or `label:` with a label's name")

    @property
    def text(self) -> str:
        """Return the text that `parse` reads."""
        return f"label:{self.label}" if self.label else str(self.version or "newest")


class Backend(Protocol):
    """A model server, on this machine or elsewhere.

    Attributes:
      address: for people; "" while it is unknown.
      default: the choice of those who chose nothing.
    """

    address: str
    default: Choice

    def problem(self) -> WebError | None:
        """Return why no request can be sent yet or any more, or None."""

    def connect(self, choice: Choice) -> GenreClient:
        """Connect to a version.

        Raises:
          ClientError: the server cannot be used.
        """

    def evaluation(self, version: int | None) -> Evaluation | None:
        """Return the results of a version's evaluation, if they are known here."""


class RemoteServer:
    """Server that runs already; what is not in its own description is not known."""

    def __init__(
        self, address: str, default: Choice, connect: Callable[[Choice], GenreClient]
    ) -> None:
        self.address, self.default, self._connect = address, default, connect

    def problem(self) -> WebError | None:
        """See Backend."""
        return None

    def connect(self, choice: Choice) -> GenreClient:
        """See Backend."""
        return self._connect(choice)

    def evaluation(self, version: int | None) -> Evaluation | None:
        """See Backend."""
        return None


class Models:
    """Clients of a server's versions, each connected when it is first needed. Thread-safe."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._lock = threading.Lock()
        self._clients: dict[Choice, GenreClient] = {}

    def choice(self, text: str) -> Choice:
        """Return the choice for the text of a request; "" for the default."""
        return Choice.parse(text) if text else self._backend.default

    def client(self, choice: Choice) -> GenreClient:
        """Return a client for a version.

        Raises:
          WebError: the server is not ready, or cannot be used.
        """
        problem = self._backend.problem()
        if problem is not None:
            raise problem
        with self._lock:
            found = self._clients.get(choice)
        if found is not None:
            return found
        try:
            made = self._backend.connect(choice)
        except ClientError as error:
            raise told(error) from error
        with self._lock:
            kept = self._clients.setdefault(choice, made)
            old = [one for one in self._clients if one != choice][: -(MAX_CLIENTS - 1) or None]
            dropped = (
                [] if len(self._clients) <= MAX_CLIENTS else [self._clients.pop(one) for one in old]
            )
        if kept is not made:
            dropped.append(made)
        for one in dropped:
            one.close()
        return kept

    def facts(self, client: GenreClient) -> dict[str, Any]:
        """Return what is known of the version that a client's last answers came from."""
        described = client.description
        return model_facts(described, self._backend.evaluation(described.version))

    def status(self) -> dict[str, Any]:
        """Return the server's state, its versions and its default version's facts, for the page."""
        found: dict[str, Any] = {"state": "ready", "message": "", "versions": [], "model": None}
        found["choice"] = self._backend.default.text
        try:
            client = self.client(self._backend.default)
            found["versions"] = client.available_versions()
            described = client.describe()
        except WebError as error:
            found["state"] = "starting" if error.retry_after_s else "unavailable"
            found["message"] = error.message
        except ClientError as error:
            found["state"], found["message"] = "unavailable", str(error)
        else:
            evaluation = self._backend.evaluation(described.version)
            found["model"] = model_facts(described, evaluation)
        found["address"] = self._backend.address
        return found

    def close(self) -> None:
        """Close all connections; requests in progress fail."""
        with self._lock:
            clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            client.close()


def told(error: ClientError) -> WebError:
    """Return the page's error for one of the client's, with the client's own words."""
    if isinstance(error, DeadlineError):
        return WebError(504, str(error))
    if isinstance(error, SettingsError):
        return WebError(400, str(error))
    return WebError(502 if isinstance(error, RequestError) else 503, str(error))
