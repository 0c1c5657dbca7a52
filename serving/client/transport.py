"""Interface of transports, which send a client's requests, and settings of their connections."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy.typing as npt

from serving.client.errors import SettingsError

# Largest request and response. A window of 2 s at 22,050 Hz has 0.2 MB.
MAX_MESSAGE_BYTES = 64 << 20
MAX_PEM_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True)
class ModelSpec:
    """Model that requests are sent to.

    Attributes:
      name: the model's name at the server.
      version: a version's number, or None.
      label: a version's label, or None. Without either, the newest version is used.
    """

    name: str
    version: int | None = None
    label: str | None = None

    def __post_init__(self) -> None:
        if not self.name:
            raise SettingsError("the model's name is empty")
        if self.version is not None and self.label is not None:
            raise SettingsError("both a version and a version label are given; give one of them")

    @property
    def shown(self) -> str:
        """Return the model for messages."""
        if self.version is not None:
            return f"version {self.version} of model {self.name!r}"
        if self.label is not None:
            return f"the version labelled {self.label!r} of model {self.name!r}"
        return f"model {self.name!r}"


@dataclasses.dataclass(frozen=True)
class Tls:
    """Settings of an encrypted connection. The files are PEM.

    Attributes:
      ca_cert: certificate of the authority that signed the server's; None for the system's
        authorities.
      client_cert: the client's certificate, if the server requires one.
      client_key: private key of `client_cert`.
    """

    ca_cert: str | pathlib.Path | None = None
    client_cert: str | pathlib.Path | None = None
    client_key: str | pathlib.Path | None = None

    def __post_init__(self) -> None:
        if (self.client_cert is None) != (self.client_key is None):
            raise SettingsError("a client certificate and its key belong together; give both files")

    def check(self) -> None:
        """Check that every file can be read.

        Raises:
          SettingsError: a file cannot be read or is not PEM.
        """
        for path in (self.ca_cert, self.client_cert, self.client_key):
            if path is not None:
                read_pem(path)


@dataclasses.dataclass(frozen=True, eq=False)
class Response:
    """Response to a Predict request.

    Attributes:
      outputs: array by name.
      version: the version that responded; None if the protocol does not tell (REST).
    """

    outputs: Mapping[str, npt.NDArray[Any]]
    version: int | None


class Transport(Protocol):
    """Sender of single requests, without retries. Thread-safe."""

    def predict(
        self,
        spec: ModelSpec,
        signature: str,
        inputs: Mapping[str, npt.NDArray[Any]],
        outputs: Sequence[str],
        timeout_s: float,
    ) -> Response:
        """Run a signature.

        Args:
          spec: the model.
          signature: the signature's name; "" for serving_default.
          inputs: array by name.
          outputs: names of the outputs to return; empty for all.
          timeout_s: time until the request fails, in seconds.

        Raises:
          CallFailed: the request failed.
        """

    def states(self, name: str, timeout_s: float) -> list[tuple[int, str]]:
        """Return the (version, state) pairs that the server reports for a model.

        Raises:
          CallFailed: the request failed.
        """

    def close(self) -> None:
        """Close the connections; requests in progress fail."""


def read_pem(path: str | pathlib.Path) -> bytes:
    """Read a file with a certificate or a key.

    Raises:
      SettingsError: the file cannot be read or is not PEM.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_PEM_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}; give a PEM file") from error
    if len(content) > MAX_PEM_BYTES or b"-----BEGIN " not in content:
        raise SettingsError(f"{path}: not a PEM file, which begins with -----BEGIN")
    return content
