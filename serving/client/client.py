"""Client for a model at a server: TensorFlow Serving, or Genreflow's own server.

It needs no TensorFlow. Audio is decoded here, and sent as windows of exactly one clip, so that a
server can batch all requests.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from components.audio.decoding.decoder import Decoder
from components.audio.decoding.faults import Fault
from components.common.model_contract import DESCRIBE, MODEL_NAME, WAVEFORM
from serving.client.address import parse_address
from serving.client.connection import Connection
from serving.client.errors import (
    BadResponseError,
    ClientError,
    ModelChangedError,
    NotAGenreModelError,
    RefusedError,
)
from serving.client.transport import ModelSpec, Tls
from serving.model import description
from serving.model.description import ModelDescription
from serving.model.prediction import (
    GenreModel,
    Prediction,
    Progress,
    WindowResults,
    windows_per_call,
)

# A large network on two cores takes some seconds for 16 windows.
TIMEOUT_S = 60.0
# Kinds of models, by their audio parameters, that one recording may meet. Servers that do not
# agree on the version could make it start again for ever.
MAX_KINDS = 3
# TensorFlow Serving's name of the state of a version that takes requests.
AVAILABLE = "AVAILABLE"


class GenreClient(GenreModel):
    """Client for a model at a server. A context manager; thread-safe.

        with GenreClient("127.0.0.1:8500") as client:
            print(client.predict_file("song.mp3").probabilities)

    If the server switches to a new version while a recording is being predicted, the windows of
    one prediction come from both versions. If the new version has other audio parameters, such as
    another sample rate, the recording is predicted again in windows of the new kind, and the
    client's attributes change. A new version with other genres is an error.

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
        tls_files = tls if isinstance(tls, Tls) else Tls() if tls else None
        spec = ModelSpec(model_name, model_version, version_label)
        self._shown = spec.shown
        self.address = parse_address(server, rest=rest, tls=tls_files is not None)
        self._connection = Connection(
            self.address, spec, tls=tls_files, api_key=api_key, timeout_s=timeout_s
        )
        try:
            self._adopt(self.describe())
        except BaseException:
            self.close()
            raise

    def describe(self) -> ModelDescription:
        """Request the model's description.

        Raises:
          NotAGenreModelError: its signature `describe` is missing or invalid.
          ClientError: the request failed.
        """
        # All outputs: a server refuses a request for one that its model lacks.
        response = self._connection.request(DESCRIBE, description.REQUEST, ())
        try:
            return description.parse_description(response.outputs, response.version)
        except ValueError as error:
            raise NotAGenreModelError(
                f"{self.address.shown}: {self._shown} is not a genreflow model: its signature "
                f"{DESCRIBE} is invalid ({error}); correct --model-name, or export the model again"
            ) from error

    def available_versions(self) -> list[int]:
        """Request the numbers of the model's versions that the server serves, sorted.

        Raises:
          ClientError: the request failed.
        """
        return sorted(version for version, state in self._connection.states() if state == AVAILABLE)

    def predict_file(
        self,
        path: str | pathlib.Path,
        *,
        decoder: Decoder | None = None,
        on_progress: Progress | None = None,
    ) -> Prediction:
        """Predict the genres of an audio file; see GenreModel.

        If a version with other audio parameters takes over, the file is read again, and the
        progress starts again.
        """
        return self._with_one_kind(
            lambda model: model.predict_file(
                path, decoder=decoder or self._decoder, on_progress=on_progress
            )
        )

    def predict_waveform(
        self, samples: npt.NDArray[np.floating[Any]], sample_rate_hz: int
    ) -> Prediction:
        """Predict the genres of audio in memory; see GenreModel."""
        return self._with_one_kind(lambda model: model.predict_waveform(samples, sample_rate_hz))

    def predict_windows(
        self, windows: npt.NDArray[np.float32], *, cut_for: ModelDescription | None = None
    ) -> npt.NDArray[np.float32]:
        """Predict the genres of windows; see GenreModel.

        Over REST, responses do not tell the version. To learn whether another kind of model has
        taken over meanwhile, call `describe` afterwards.

        Args:
          windows: see GenreModel.
          cut_for: the description of the model that the windows are cut for; None for the last
            one. Give it if other calls of this client may meet a new version meanwhile.

        Raises:
          ValueError: the array has another shape or type.
          ModelChangedError: the server's model is of another kind than `cut_for`. The client has
            its description now, unless the genres differ.
          ServerError: the server cannot be reached, or no longer has the model.
          RequestError: the request timed out, was too large or rejected, or the response is
            invalid.
        """
        kind = cut_for or self.description
        if windows.dtype != np.float32 or windows.shape[1:] != (kind.clip_samples,):
            raise ValueError(
                f"windows are {windows.dtype} {list(windows.shape)}; they must be float32 "
                f"[windows, {kind.clip_samples}]"
            )
        at_once = windows_per_call(kind.clip_samples)
        parts = [np.zeros((0, len(kind.genres)), np.float32)]
        for start in range(0, len(windows), at_once):
            batch = windows[start : start + at_once]
            try:
                response = self._connection.request("", {WAVEFORM: batch}, ())
            except RefusedError:
                # Perhaps by a version for which the windows are too short.
                self._check_kind(kind, or_ignore=True)
                raise
            if response.version not in (None, kind.version):
                self._check_kind(kind, response.version)
            try:
                parts.append(
                    description.check_probabilities(response.outputs, len(batch), kind.genres)
                )
            except ValueError as error:
                raise BadResponseError(
                    f"{self.address.shown}: invalid response: {error}"
                ) from error
        return np.concatenate(parts)

    def close(self) -> None:
        """Close the connection; requests in progress fail."""
        self._connection.close()

    def __enter__(self) -> GenreClient:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _with_one_kind(self, predict: Callable[[GenreModel], Prediction]) -> Prediction:
        """Predict a recording, and once more whenever another kind of model has taken over."""
        for left in reversed(range(MAX_KINDS)):
            try:
                return predict(_OneKind(self, self.description))
            except ModelChangedError as error:
                if not left or not error.is_adopted:
                    raise
        raise AssertionError("unreachable")

    def _check_kind(
        self, kind: ModelDescription, version: int | None = None, *, or_ignore: bool = False
    ) -> None:
        """Request the description anew, and check that the model is still of a kind.

        Args:
          kind: the description of a model of that kind.
          version: the version that responded to another request; None if unknown.
          or_ignore: do nothing if the request fails.

        Raises:
          ModelChangedError: it is not, or the description is of yet another version.
        """
        try:
            new = self.describe()
        except ClientError:
            if or_ignore:
                return
            raise
        same_genres = new.genres == self.genres
        if same_genres:
            self._adopt(new)
        if not new.is_compatible_with(kind):
            what = "audio parameters" if same_genres else "genres"
            raise ModelChangedError(
                f"{self.address.shown}: an incompatible version of {self._shown} (other {what}) "
                "replaced the first meanwhile; rerun the command",
                is_adopted=same_genres,
            )
        if version not in (None, new.version):  # servers behind one address disagree
            raise ModelChangedError(
                f"{self.address.shown}: versions {version} and {new.version} of {self._shown} "
                "respond in turn; rerun the command when the servers agree",
                is_adopted=True,
            )

    def _adopt(self, new: ModelDescription) -> None:
        self.description, self.model_card = new, new.model_card
        self.genres = new.genres
        self.sample_rate_hz, self.clip_samples = new.sample_rate_hz, new.clip_samples


class _OneKind(GenreModel):
    """The model at a server as one description has it, and no model of another kind."""

    def __init__(self, client: GenreClient, kind: ModelDescription) -> None:
        super().__init__()
        self._client, self._kind = client, kind
        self.genres, self.model_card = kind.genres, kind.model_card
        self.sample_rate_hz, self.clip_samples = kind.sample_rate_hz, kind.clip_samples

    def predict_windows(self, windows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """See GenreClient.predict_windows."""
        return self._client.predict_windows(windows, cut_for=self._kind)

    def _prediction(
        self,
        path: str,
        seconds: float,
        samples: int,
        results: list[WindowResults],
        faults: tuple[Fault, ...] = (),
    ) -> Prediction:
        if self._kind.version is None:  # over REST, responses do not tell it
            self._client._check_kind(self._kind)
        return super()._prediction(path, seconds, samples, results, faults)
