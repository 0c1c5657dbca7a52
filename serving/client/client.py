"""Predictions by a model at a server: TensorFlow Serving, or what speaks its protocol.

    from serving.client.client import GenreClient

    with GenreClient("127.0.0.1:8500") as client:
        print(client.predict_file("song.mp3").probabilities)

Needs no TensorFlow. Audio is decoded here; what is sent are windows of exactly one clip, so
that a server that batches never meets two shapes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import tenacity

from components.audio.decoding.decoder import Decoder
from components.common.model_contract import DESCRIBE, GENRES, MODEL_NAME, PROBABILITIES, WAVEFORM
from serving.client import address as addresses
from serving.client.address import Address
from serving.client.errors import (
    BadAnswerError,
    CallFailed,
    ClientError,
    ModelChangedError,
    NotAGenreModelError,
    SettingsError,
)
from serving.client.explain import explained
from serving.client.transport import Answer, ModelSpec, Tls, Transport
from serving.model import description
from serving.model.description import ModelDescription
from serving.model.prediction import GenreModel, Prediction

# A request of 16 windows takes a large network on two cores some seconds.
TIMEOUT_S = 60.0
# UNAVAILABLE alone is tried again: waits of up to 0.2, 0.4, 0.8, 1.6 s, each at random.
ATTEMPTS = 5
BACKOFF_S, MAX_BACKOFF_S = 0.2, 5.0
_MIN_TIMEOUT_S = 0.001
_PREDICTED = (PROBABILITIES, GENRES)

T = TypeVar("T")


class GenreClient(GenreModel):
    """A model at a server.

    What was predicted of one recording may come from two versions where the server takes up a
    new one meanwhile. One that knows other genres, or takes other audio, is an error instead.

    Attributes:
      description: what the model said of itself, last.
      address: where it is.
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
        """Connects, and asks the model what it is.

        Args:
          server: HOST:PORT (gRPC, or REST with `rest`), http://HOST:PORT or https://HOST:PORT.
          model_name: as the server knows it.
          model_version: None is the newest.
          version_label: a name that the server has for a version; not beside a version.
          rest: speak JSON over HTTP.
          tls: encrypt, with the usual authorities; or with these files.
          api_key: sent with every request.
          timeout_s: that a request may take, its repetitions included.
          decoder: reads the files of predict_file; None is one in this process. For files
            from anywhere: components.audio.decoding.isolation.IsolatedDecoder, one for each thread.

        Raises:
          SettingsError: an argument cannot be.
          ServerError: the server cannot be reached, refuses, or has no such model.
          DeadlineError: it does not answer in time.
        """
        super().__init__(decoder)
        if not timeout_s > 0:
            raise SettingsError(f"a timeout of {timeout_s:g} s: it must be more than 0")
        self._tls = tls if isinstance(tls, Tls) else Tls() if tls else None
        self._spec = ModelSpec(model_name, model_version, version_label)
        self._timeout_s = timeout_s
        self.address = addresses.parse(server, rest=rest, tls=self._tls is not None)
        self._transport = _transport(self.address, self._tls, checked_key(api_key))
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
        """What the model says it is now.

        Raises:
          NotAGenreModelError: it cannot say, or what it says cannot be.
          ClientError: as predict_windows.
        """
        names = ("genres", "sample_rate_hz", "clip_samples", "audio_params", "model_card")
        answer = self._ask(DESCRIBE, description.REQUEST, names)
        try:
            return description.parse(answer.outputs, answer.version)
        except ValueError as error:
            raise NotAGenreModelError(
                f"{self.address.shown}: {self._spec.shown} is not a genreflow model: what its "
                f"signature {DESCRIBE} says cannot be ({error})"
            ) from error

    def predict_windows(self, windows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """float32 `[windows, clip_samples]` to probabilities float32 `[windows, genres]`.

        Raises:
          ValueError: windows of another shape or type.
          ServerError: the server is gone, or no longer has the model.
          RequestError: this request failed: too late, too large, refused, or its answer makes
            no sense.
        """
        if windows.dtype != np.float32 or windows.shape[1:] != (self.clip_samples,):
            raise ValueError(
                f"windows are {windows.dtype} {list(windows.shape)}; "
                f"float32 [windows, {self.clip_samples}] is needed"
            )
        answers = [np.zeros((0, len(self.genres)), np.float32)]
        for start in range(0, len(windows), self.windows_per_call):
            batch = windows[start : start + self.windows_per_call]
            answer = self._ask("", {WAVEFORM: batch}, _PREDICTED)
            if answer.version != self.description.version:
                self._look_again()
            try:
                answers.append(
                    description.check_probabilities(answer.outputs, len(batch), self.genres)
                )
            except ValueError as error:
                raise BadAnswerError(
                    f"{self.address.shown}: the answer makes no sense: {error}"
                ) from error
        return np.concatenate(answers)

    def close(self) -> None:
        """Lets the connection go; requests on their way fail."""
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
        matrices: list[npt.NDArray[np.float32]],
    ) -> Prediction:
        if self.address.rest:
            self._look_again()  # REST does not tell the version
        return super()._prediction(path, seconds, samples, matrices)

    def _look_again(self) -> None:
        """Whether a version that took over takes the same windows."""
        now = self.describe()
        if not now.takes_the_same(self.description):
            raise ModelChangedError(
                f"{self.address.shown}: another kind of {self._spec.shown} took over meanwhile "
                "(other genres or audio parameters); ask again"
            )
        self.description, self.model_card = now, now.model_card

    def _ask(
        self,
        signature: str,
        inputs: Mapping[str, npt.NDArray[Any]],
        outputs: Sequence[str],
    ) -> Answer:
        """One request, repeated where that may help."""
        deadline = time.monotonic() + self._timeout_s
        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_may_succeed_later),
            stop=tenacity.stop_after_attempt(ATTEMPTS)
            | tenacity.stop_before_delay(self._timeout_s),
            wait=tenacity.wait_random_exponential(multiplier=BACKOFF_S, max=MAX_BACKOFF_S),
            reraise=True,
        )

        def once() -> Answer:
            left_s = max(_MIN_TIMEOUT_S, deadline - time.monotonic())
            return self._transport.predict(self._spec, signature, inputs, outputs, left_s)

        try:
            return attempts(once)
        except CallFailed as failure:
            raise self._explained(failure, signature) from failure

    def _explained(self, failure: CallFailed, signature: str) -> ClientError:
        return explained(
            failure,
            address=self.address,
            tls=self._tls,
            spec=self._spec,
            signature=signature,
            timeout_s=self._timeout_s,
            states=lambda: self._transport.states(self._spec.name, self._timeout_s),
        )


def checked_key(api_key: str | None) -> str | None:
    """An API key as a header can carry it, without white space around it.

    Raises:
      SettingsError: it is empty, or has characters that a header cannot carry. The message
        does not hold it.
    """
    if api_key is None:
        return None
    key = api_key.strip()
    if not key or not all("!" <= character <= "~" for character in key):
        raise SettingsError(
            "the API key is empty or has characters other than letters, digits and ASCII signs"
        )
    return key


def _may_succeed_later(error: BaseException) -> bool:
    return isinstance(error, CallFailed) and error.code == "UNAVAILABLE"


def _transport(address: Address, tls: Tls | None, api_key: str | None) -> Transport:
    if address.rest:
        from serving.client.rest_transport import RestTransport  # requests: a fifth of a second

        return RestTransport(address, tls=tls, api_key=api_key)
    from serving.client.grpc_transport import GrpcTransport

    return GrpcTransport(address, tls=tls, api_key=api_key)
