"""Client for a model at a server: TensorFlow Serving, or Genreflow's own server.

It needs no TensorFlow. Audio is decoded here, and sent as windows of exactly one clip, so that a
server can batch all requests.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tenacity

from components.audio.decoding.decoder import Decoder
from components.audio.decoding.faults import Fault
from components.common.model_contract import DESCRIBE, MODEL_NAME, WAVEFORM
from serving.client.address import Address, parse_address
from serving.client.errors import (
    BadResponseError,
    CallFailed,
    ClientError,
    ModelChangedError,
    NotAGenreModelError,
    SettingsError,
)
from serving.client.explain import explain
from serving.client.transport import ModelSpec, Response, Tls, Transport
from serving.model import description
from serving.model.description import ModelDescription
from serving.model.prediction import GenreModel, Prediction, WindowResults

# A large network on two cores takes some seconds for 16 windows.
TIMEOUT_S = 60.0
# Only UNAVAILABLE is retried, after random waits of up to 0.2, 0.4, 0.8 and 1.6 s.
MAX_ATTEMPTS = 5
BACKOFF_S, MAX_BACKOFF_S = 0.2, 5.0
_MIN_TIMEOUT_S = 0.001


class GenreClient(GenreModel):
    """Client for a model at a server. A context manager; thread-safe.

        with GenreClient("127.0.0.1:8500") as client:
            print(client.predict_file("song.mp3").probabilities)

    If the server switches to a new version while a recording is being predicted, the windows of
    one prediction come from both versions. A new version with other genres or audio parameters
    is an error.

    Attributes:
      description: the model's last description of itself.
      address: the server's address.
    """

    def __init__(
        self,
        server: str,
        *,
        model_name: str = MODEL_NAME,
        model_version: int | None = None,
        version_label: str | None = None,
        rest: bool = False,
        tls: bool | Tls = False,
        api_key: str | None = None,
        timeout_s: float = TIMEOUT_S,
        decoder: Decoder | None = None,
    ) -> None:
        """Connect, and request the model's description.

        Args:
          server: HOST:PORT (gRPC, or REST with `rest`), http://HOST:PORT or https://HOST:PORT.
          model_name: the model's name at the server.
          model_version: a version's number; None for the newest.
          version_label: a version's label, in place of a number.
          rest: use REST (JSON over HTTP) at HOST:PORT.
          tls: encrypt the connection. True trusts the system's authorities; a Tls names files.
          api_key: key to send with every request, or None.
          timeout_s: time limit of a request in seconds, retries included.
          decoder: reads the files of predict_file; None for one in this process. Decode
            untrusted files with components.audio.decoding.isolation.IsolatedDecoder, one per
            thread.

        Raises:
          SettingsError: an argument is invalid.
          ServerError: the server cannot be reached, rejects the client, or lacks the model.
          DeadlineError: the server does not respond in time.
        """
        super().__init__(decoder)
        if not timeout_s > 0:
            raise SettingsError(f"the timeout is {timeout_s:g} s; it must be more than 0")
        self._tls = tls if isinstance(tls, Tls) else Tls() if tls else None
        self._spec = ModelSpec(model_name, model_version, version_label)
        self._timeout_s = timeout_s
        self.address = parse_address(server, rest=rest, tls=self._tls is not None)
        self._transport = _make_transport(self.address, self._tls, checked_key(api_key))
        try:
            self.description = self.describe()
        except BaseException:
            self.close()
            raise
        self.genres = self.description.genres
        self.sample_rate_hz = self.description.sample_rate_hz
        self.clip_samples = self.description.clip_samples
        self.model_card = self.description.model_card

    def describe(self) -> ModelDescription:
        """Request the model's description.

        Raises:
          NotAGenreModelError: its signature `describe` is missing or invalid.
          ClientError: the request failed.
        """
        names = ("genres", "sample_rate_hz", "clip_samples", "audio_params", "model_card")
        response = self._request(DESCRIBE, description.REQUEST, names)
        try:
            return description.parse_description(response.outputs, response.version)
        except ValueError as error:
            raise NotAGenreModelError(
                f"{self.address.shown}: {self._spec.shown} is not a genreflow model: its signature "
                f"{DESCRIBE} is invalid ({error}); correct --model-name, or export "
                "the model again"
            ) from error

    def predict_windows(self, windows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Predict the genres of windows; see GenreModel.

        Raises:
          ValueError: the array has another shape or type.
          ServerError: the server cannot be reached, or no longer has the model.
          RequestError: the request timed out, was too large or rejected, or the response is
            invalid.
        """
        if windows.dtype != np.float32 or windows.shape[1:] != (self.clip_samples,):
            raise ValueError(
                f"windows are {windows.dtype} {list(windows.shape)}; they must be float32 "
                f"[windows, {self.clip_samples}]"
            )
        parts = [np.zeros((0, len(self.genres)), np.float32)]
        for start in range(0, len(windows), self.windows_per_call):
            batch = windows[start : start + self.windows_per_call]
            response = self._request("", {WAVEFORM: batch}, ())
            if response.version != self.description.version:
                self._check_new_version()
            try:
                parts.append(
                    description.check_probabilities(response.outputs, len(batch), self.genres)
                )
            except ValueError as error:
                raise BadResponseError(
                    f"{self.address.shown}: invalid response: {error}"
                ) from error
        return np.concatenate(parts)

    def close(self) -> None:
        """Close the connection; requests in progress fail."""
        self._transport.close()

    def __enter__(self) -> GenreClient:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _prediction(
        self,
        path: str,
        seconds: float,
        samples: int,
        results: list[WindowResults],
        faults: tuple[Fault, ...] = (),
    ) -> Prediction:
        if self.address.rest:
            self._check_new_version()  # REST responses do not tell the version
        return super()._prediction(path, seconds, samples, results, faults)

    def _check_new_version(self) -> None:
        """Request the description anew, and check that the model is still compatible."""
        new = self.describe()
        if not new.is_compatible_with(self.description):
            raise ModelChangedError(
                f"{self.address.shown}: an incompatible version of {self._spec.shown} (other "
                "genres or audio parameters) replaced the first meanwhile; rerun the command"
            )
        self.description, self.model_card = new, new.model_card

    def _request(
        self,
        signature: str,
        inputs: Mapping[str, npt.NDArray[Any]],
        outputs: Sequence[str],
    ) -> Response:
        """Send a request, with retries if the server is unavailable."""
        deadline = time.monotonic() + self._timeout_s
        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_is_unavailable),
            stop=tenacity.stop_after_attempt(MAX_ATTEMPTS)
            | tenacity.stop_before_delay(self._timeout_s),
            wait=tenacity.wait_random_exponential(multiplier=BACKOFF_S, max=MAX_BACKOFF_S),
            reraise=True,
        )

        def once() -> Response:
            left_s = max(_MIN_TIMEOUT_S, deadline - time.monotonic())
            return self._transport.predict(self._spec, signature, inputs, outputs, left_s)

        try:
            return attempts(once)
        except CallFailed as failure:
            raise self._explain(failure, signature) from failure

    def _explain(self, failure: CallFailed, signature: str) -> ClientError:
        return explain(
            failure,
            address=self.address,
            tls=self._tls,
            spec=self._spec,
            signature=signature,
            timeout_s=self._timeout_s,
            get_states=lambda: self._transport.states(self._spec.name, self._timeout_s),
        )


def checked_key(api_key: str | None) -> str | None:
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


def _is_unavailable(error: BaseException) -> bool:
    return isinstance(error, CallFailed) and error.code == "UNAVAILABLE"


def _make_transport(address: Address, tls: Tls | None, api_key: str | None) -> Transport:
    if address.rest:
        from serving.client.rest_transport import RestTransport  # imports requests: 0.2 s

        return RestTransport(address, tls=tls, api_key=api_key)
    from serving.client.grpc_transport import GrpcTransport

    return GrpcTransport(address, tls=tls, api_key=api_key)
