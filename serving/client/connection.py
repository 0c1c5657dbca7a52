"""Connection to one model at a server: requests with retries, and errors in words."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt
import tenacity

from serving.client.address import Address
from serving.client.errors import CallFailed, ClientError, SettingsError
from serving.client.explain import explain
from serving.client.transport import ModelSpec, Response, Tls, Transport

# Only UNAVAILABLE and mixed batches are retried, after random waits of up to 0.2, 0.4, 0.8 and
# 1.6 s.
MAX_ATTEMPTS = 5
BACKOFF_S, MAX_BACKOFF_S = 0.2, 5.0
_MIN_TIMEOUT_S = 0.001
# What TensorFlow Serving says to all callers of a batch with waveforms of different lengths. While
# clients change to a version with another clip length, anybody's batch may be one.
# (tensorflow_serving/batching/batching_session.cc)
_MIXED_BATCH = "from different tasks have different shapes"


class Connection:
    """Connection to one model at a server. Thread-safe.

    Attributes:
      address: the server's address.
      spec: the model.
      transport: sender of single requests.
    """

    def __init__(
        self,
        address: Address,
        spec: ModelSpec,
        *,
        tls: Tls | None,
        api_key: str | None,
        timeout_s: float,
    ) -> None:
        """Prepare the connection, without connecting yet.

        Args:
          address: the server.
          spec: the model.
          tls: settings of an encrypted connection.
          api_key: key to send with every request, or None.
          timeout_s: time limit of a request in seconds, retries included.

        Raises:
          SettingsError: the key, the timeout or a file of `tls` cannot be used.
        """
        if not timeout_s > 0:
            raise SettingsError(f"the timeout is {timeout_s:g} s; it must be more than 0")
        self.address, self.spec = address, spec
        self._tls, self._timeout_s = tls, timeout_s
        self.transport = _make_transport(address, tls, _checked_key(api_key))

    def request(
        self,
        signature: str,
        inputs: Mapping[str, npt.NDArray[Any]],
        outputs: Sequence[str],
    ) -> Response:
        """Send a request, with retries if the server is unavailable.

        Args:
          signature, inputs, outputs: see Transport.predict.

        Raises:
          ClientError: it failed.
        """
        deadline = time.monotonic() + self._timeout_s
        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_is_passing),
            stop=tenacity.stop_after_attempt(MAX_ATTEMPTS)
            | tenacity.stop_before_delay(self._timeout_s),
            wait=tenacity.wait_random_exponential(multiplier=BACKOFF_S, max=MAX_BACKOFF_S),
            reraise=True,
        )

        def once() -> Response:
            left_s = max(_MIN_TIMEOUT_S, deadline - time.monotonic())
            return self.transport.predict(self.spec, signature, inputs, outputs, left_s)

        try:
            return attempts(once)
        except CallFailed as failure:
            raise self._explain(failure, signature) from failure

    def states(self) -> list[tuple[int, str]]:
        """Request the (version, state) pairs of the model.

        Raises:
          ClientError: the request failed.
        """
        try:
            return self.transport.states(self.spec.name, self._timeout_s)
        except CallFailed as failure:
            raise self._explain(failure, "") from failure

    def close(self) -> None:
        """Close the connection; requests in progress fail."""
        self.transport.close()

    def _explain(self, failure: CallFailed, signature: str) -> ClientError:
        return explain(
            failure,
            address=self.address,
            tls=self._tls,
            spec=self.spec,
            signature=signature,
            timeout_s=self._timeout_s,
            get_states=lambda: self.transport.states(self.spec.name, self._timeout_s),
        )


def _checked_key(api_key: str | None) -> str | None:
    """Return an API key without surrounding white space.

    Raises:
      SettingsError: the key is empty, or has characters that a header cannot carry. The message
        does not quote the key.
    """
    if api_key is None:
        return None
    key = api_key.strip()
    if not key or not all("!" <= character <= "~" for character in key):
        raise SettingsError(
            "the API key is empty, or has characters other than ASCII letters, digits and signs"
        )
    return key


def _is_passing(error: BaseException) -> bool:
    """Return whether the same request may succeed the next time."""
    if not isinstance(error, CallFailed):
        return False
    mixed = error.code == "FAILED_PRECONDITION" and _MIXED_BATCH in error.detail
    return error.code == "UNAVAILABLE" or mixed


def _make_transport(address: Address, tls: Tls | None, api_key: str | None) -> Transport:
    if address.rest:
        from serving.client.rest_transport import RestTransport  # imports requests: 0.2 s

        return RestTransport(address, tls=tls, api_key=api_key)
    from serving.client.grpc_transport import GrpcTransport

    return GrpcTransport(address, tls=tls, api_key=api_key)
