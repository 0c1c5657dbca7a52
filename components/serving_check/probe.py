"""Probe of one signature of a served model: requests, and comparison of the responses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from components.common import model_contract as contract
from components.common.escape import printable
from components.serving_check.candidate import VERSION
from components.serving_check.client import PredictResponse
from components.serving_check.outcome import CheckFailed

Probabilities = npt.NDArray[np.float32]


class ModelClient(Protocol):
    """Methods of components.serving_check.client.ProbeClient that the probes use."""

    @property
    def requests(self) -> int: ...

    def predict(
        self, signature: str, inputs: Mapping[str, npt.NDArray[Any]]
    ) -> PredictResponse: ...

    def predict_status(self, signature: str, inputs: Mapping[str, npt.NDArray[Any]]) -> str: ...

    def version_states(self) -> dict[int, str]: ...

    def signatures(self) -> set[str]: ...

    def rest_predict(self, signature: str, instances: list[Any]) -> list[Any]: ...


class SignatureProbe:
    """Client of one signature that raises CheckFailed at the first wrong response.

    Attributes:
      client: sends the requests.
      signature: name of the signature.
      largest: the largest difference of a probability so far; None before any comparison.
    """

    def __init__(
        self, client: ModelClient, signature: str, genres: Sequence[str], tolerance: float
    ) -> None:
        """Initialize the probe.

        Args:
          client: sends the requests.
          signature: name of the signature.
          genres: the model's, in label order.
          tolerance: largest allowed difference of a probability.
        """
        self.client, self.signature = client, signature
        self.largest: float | None = None
        self._genres, self._tolerance = tuple(genres), tolerance
        self._requests_before = client.requests

    @property
    def requests(self) -> int:
        """Number of requests that this probe has sent."""
        return self.client.requests - self._requests_before

    def predict(
        self, inputs: Mapping[str, npt.NDArray[Any]], rows: int, signature: str = ""
    ) -> Probabilities:
        """Send a request over gRPC and check the form of the response.

        Args:
          inputs: the signature's inputs by name.
          rows: number of rows that the response must have.
          signature: another signature than this probe's.

        Returns:
          Probabilities `[rows, genres]`.
        """
        signature = signature or self.signature
        response = self.client.predict(signature, inputs)
        check_model_spec(response, signature)
        names = response.outputs.get(contract.GENRES)
        expected = [[genre.encode() for genre in self._genres]] * rows
        if names is None or names.tolist() != expected:
            raise CheckFailed(
                "the response's genres are not the model's "
                f"({', '.join(map(printable, self._genres))}) in each of {rows} rows"
            )
        return self._check_form(response.outputs.get(contract.PROBABILITIES), rows)

    def predict_rest(self, instances: list[Any]) -> Probabilities:
        """Send a request over REST in row format and check the form of the response.

        Args:
          instances: one JSON value per row.

        Returns:
          Probabilities `[rows, genres]`.
        """
        found = self.client.rest_predict(self.signature, instances)
        try:
            genres = [row[contract.GENRES] for row in found]
            probabilities = np.array([row[contract.PROBABILITIES] for row in found], np.float32)
        except (LookupError, TypeError, ValueError) as error:
            raise CheckFailed("REST: a prediction has no probabilities or no genres") from error
        if genres != [list(self._genres)] * len(instances):
            raise CheckFailed("REST: the response's genres are not the model's")
        return self._check_form(probabilities, len(instances))

    def compare(
        self, got: Probabilities, expected: Probabilities, names: Sequence[str], source: str
    ) -> None:
        """Compare responses with the expected probabilities.

        Args:
          got: probabilities from the server, `[rows, genres]`.
          expected: of the same shape.
          names: name of each row, for the reason.
          source: where `expected` comes from, for the reason, such as "in a table".
        """
        difference = np.abs(got.astype(np.float64) - expected.astype(np.float64))
        row, genre = map(int, np.unravel_index(np.argmax(difference), difference.shape))
        worst = float(difference[row, genre])
        self.largest = max(worst, self.largest or 0.0)
        if not worst <= self._tolerance:
            raise CheckFailed(
                f"{names[row]}: {printable(self._genres[genre])} is {got[row, genre]:.6f} from the "
                f"server and {expected[row, genre]:.6f} {source}: {worst:.2g} apart, where "
                f"serving.tolerance allows {self._tolerance:.2g}"
            )

    def expect_left_out(self, inputs: Mapping[str, npt.NDArray[Any]], name: str) -> None:
        """Send one row of which no window counts, which the server must say.

        A model that was exported by an earlier version predicts such a row too.

        Args:
          inputs: the signature's inputs by name.
          name: name of the row, for the reason.
        """
        response = self.client.predict(self.signature, inputs)
        check_model_spec(response, self.signature)
        counts = response.outputs.get(contract.AUDIBLE_WINDOWS)
        found = self._check_form(response.outputs.get(contract.PROBABILITIES), 1)
        if counts is not None and (counts.tolist() != [0] or found.any()):
            raise CheckFailed(
                f"{name} has {contract.AUDIBLE_WINDOWS} {counts.tolist()} and probabilities up to "
                f"{found.max():.6f}; expected [0] and 0"
            )

    def expect_refusal(self, inputs: Mapping[str, npt.NDArray[Any]], name: str) -> None:
        """Send an invalid request, which the server must refuse.

        Args:
          inputs: the signature's inputs by name.
          name: name of the invalid input, for the reason.
        """
        status = self.client.predict_status(self.signature, inputs)
        if status != "INVALID_ARGUMENT":
            raise CheckFailed(f"{name} returned {status}; expected INVALID_ARGUMENT")

    def _check_form(self, found: npt.NDArray[Any] | None, rows: int) -> Probabilities:
        shape = (rows, len(self._genres))
        if found is None or found.shape != shape or found.dtype != np.float32:
            form = "missing" if found is None else f"{found.dtype} {list(found.shape)}"
            raise CheckFailed(
                f"the response's probabilities are {form}, expected float32 {list(shape)}"
            )
        if not np.isfinite(found).all():
            raise CheckFailed("the response's probabilities are not finite")
        return found


def check_model_spec(response: PredictResponse, signature: str) -> None:
    """Check that a response names the model, version and signature that were requested.

    Args:
      response: a server's response.
      signature: name of the signature that was requested.

    Raises:
      CheckFailed: one of the three differs.
    """
    found = (response.name, response.version, response.signature)
    expected = (contract.MODEL_NAME, VERSION, signature)
    if found != expected:
        raise CheckFailed(
            f"the response's model_spec is {printable(str(found))}, expected {expected}"
        )
