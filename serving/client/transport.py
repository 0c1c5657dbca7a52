"""What a client needs of whatever carries its requests, and how a connection is secured."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy.typing as npt

from serving.client.errors import SettingsError

# Largest message either way. A window of 2 s at 22,050 Hz has 0.2 MB.
MESSAGE_BYTES = 64 << 20
MAX_PEM_BYTES = 1 << 20
API_KEY_HEADER = "x-api-key"


@dataclasses.dataclass(frozen=True)
class ModelSpec:
    """Which model is asked: its newest version, unless a version or a label is named."""

    name: str
    version: int | None = None
    label: str | None = None

    def __post_init__(self) -> None:
        if not self.name:
            raise SettingsError("the model's name is empty")
        if self.version is not None and self.label is not None:
            raise SettingsError("a model's version and a version's label: give one of them")

    @property
    def shown(self) -> str:
        """As messages name it."""
        if self.version is not None:
            return f"version {self.version} of model {self.name!r}"
        if self.label is not None:
            return f"the version labelled {self.label!r} of model {self.name!r}"
        return f"model {self.name!r}"


@dataclasses.dataclass(frozen=True)
class Tls:
    """An encrypted connection. The files are PEM.

    `ca_cert`: what the server's certificate must be signed by; None is the usual authorities.
    `client_cert`, `client_key`: how the client shows who it is, where the server asks.
    """

    ca_cert: str | pathlib.Path | None = None
    client_cert: str | pathlib.Path | None = None
    client_key: str | pathlib.Path | None = None

    def __post_init__(self) -> None:
        if (self.client_cert is None) != (self.client_key is None):
            raise SettingsError("a client's certificate and its key go together: give both files")

    def check(self) -> None:
        """Reads every file once.

        Raises:
          SettingsError: one cannot be read, or holds no PEM.
        """
        for path in (self.ca_cert, self.client_cert, self.client_key):
            if path is not None:
                read_pem(path)


@dataclasses.dataclass(frozen=True, eq=False)
class Answer:
    """Outputs by name, and the version that answered where the protocol tells."""

    outputs: Mapping[str, npt.NDArray[Any]]
    version: int | None


class Transport(Protocol):
    """Carries single attempts; whoever uses it retries. Several threads may share it."""

    def predict(
        self,
        spec: ModelSpec,
        signature: str,
        inputs: Mapping[str, npt.NDArray[Any]],
        outputs: Sequence[str],
        timeout_s: float,
    ) -> Answer:
        """Asks for the named outputs of a signature; raises CallFailed."""

    def states(self, name: str, timeout_s: float) -> list[tuple[int, str]]:
        """(version, state) of what the server knows of a model; raises CallFailed."""

    def close(self) -> None:
        """Lets the connections go; what is being asked fails."""


def read_pem(path: str | pathlib.Path) -> bytes:
    """A certificate or key.

    Raises:
      SettingsError: it cannot be read, or is none.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_PEM_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}; a PEM file is needed") from error
    if len(content) > MAX_PEM_BYTES or b"-----BEGIN " not in content:
        raise SettingsError(f"{path}: not a PEM file (-----BEGIN ...)")
    return content
