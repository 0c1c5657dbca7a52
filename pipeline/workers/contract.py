"""Beam's container contract: what a runner tells an SDK worker when it starts it.

A runner starts a container with these values as flags, and a worker pool with a request. See
https://s.apache.org/beam-fn-api-container-contract.
"""

from __future__ import annotations

import dataclasses
import ipaddress

from components.common.errors import GenreflowError, UsageError


class WorkerError(GenreflowError):
    """Error of an SDK worker that cannot start, or has lost its runner."""


@dataclasses.dataclass(frozen=True)
class Contract:
    """Values of a runner for one worker. Endpoints are HOST:PORT of gRPC services.

    Attributes:
      id: the worker's id, which each of its calls carries.
      provision_endpoint: service that knows the job's options, and the other endpoints.
      control_endpoint: service that gives work; used if the provision service names none.
      logging_endpoint: service that takes log lines; as above.
      artifact_endpoint: service of staged files, of which this worker needs none; as above.
    """

    id: str
    provision_endpoint: str
    control_endpoint: str = ""
    logging_endpoint: str = ""
    artifact_endpoint: str = ""

    def __post_init__(self) -> None:
        # Prism puts the id of environment PROCESS into quotes, which no shell removes.
        object.__setattr__(self, "id", self.id.strip("'"))
        for name in ("id", "provision_endpoint"):
            if not getattr(self, name):
                raise UsageError(
                    f"--{name} is missing. Beam's runner gives it to a worker that it starts; to "
                    "start workers on request, use --pool [HOST:]PORT"
                )


@dataclasses.dataclass(frozen=True)
class Address:
    """Address to listen on; port 0 is any free one."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """True if only processes of this machine, or of this pod, can connect."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Return the address of [HOST:]PORT; without a host it is the loopback interface.

    Raises:
      UsageError: the text has another form.
    """
    host, _, port = text.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not port.isascii() or not port.isdigit() or int(port) > 65535 or host.count(":") == 1:
        raise UsageError(
            f'--pool {text}: must be [HOST:]PORT, such as 50000 or 10.0.0.5:50000 ("[::1]:50000" '
            "for IPv6); a port is a number up to 65535"
        )
    return Address(host or "127.0.0.1", int(port))
