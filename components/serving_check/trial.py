"""One signature under trial: its requests, and how far the answers are from what they must be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from components.common import model_contract as contract
from components.common.escape import printable
from components.serving_check.candidate import VERSION
from components.serving_check.client import Answer
from components.serving_check.outcome import CheckFailed

Probabilities = npt.NDArray[np.float32]


class Asked(Protocol):
    """What is needed of components.serving_check.client.Client."""

    @property
    def requests(self) -> int: ...

    def predict(self, signature: str, inputs: Mapping[str, npt.NDArray[Any]]) -> Answer: ...

    def refusal(self, signature: str, inputs: Mapping[str, npt.NDArray[Any]]) -> str: ...

    def states(self) -> dict[int, str]: ...

    def signatures(self) -> set[str]: ...

    def rest_predict(self, signature: str, instances: list[Any]) -> list[Any]: ...


class Trial:
    """Asks one signature, and keeps the `largest` difference of a probability.

    Everything raises CheckFailed at the first answer that is not as it must be.
    """

    def __init__(
        self, client: Asked, signature: str, genres: Sequence[str], tolerance: float
    ) -> None:
        self.client, self.signature = client, signature
        self.largest: float | None = None
        self._genres, self._tolerance = tuple(genres), tolerance
        self._before = client.requests

    @property
    def requests(self) -> int:
        """How many were made."""
        return self.client.requests - self._before

    def ask(
        self, inputs: Mapping[str, npt.NDArray[Any]], rows: int, signature: str = ""
    ) -> Probabilities:
        """The probabilities `[rows, genres]` that a signature answers, this trial's by default."""
        signature = signature or self.signature
        answer = self.client.predict(signature, inputs)
        check_model(answer, signature)
        names = answer.outputs.get(contract.GENRES)
        expected = [[genre.encode() for genre in self._genres]] * rows
        if names is None or names.tolist() != expected:
            raise CheckFailed(
                "the answer's genres are not the model's "
                f"({', '.join(map(printable, self._genres))}), a row for each of {rows}"
            )
        return self._probabilities(answer.outputs.get(contract.PROBABILITIES), rows)

    def ask_rest(self, instances: list[Any]) -> Probabilities:
        """The same over REST, in row format."""
        found = self.client.rest_predict(self.signature, instances)
        try:
            genres = [row[contract.GENRES] for row in found]
            probabilities = np.array([row[contract.PROBABILITIES] for row in found], np.float32)
        except (LookupError, TypeError, ValueError) as error:
            raise CheckFailed("REST: a prediction without probabilities and genres") from error
        if genres != [list(self._genres)] * len(instances):
            raise CheckFailed("REST: the answer's genres are not the model's")
        return self._probabilities(probabilities, len(instances))

    def compare(
        self, got: Probabilities, expected: Probabilities, names: Sequence[str], truth: str
    ) -> None:
        """Holds answers `[rows, genres]` against what they must be.

        Args:
          got: the answers.
          expected: of the same shape.
          names: what each row is of, for the reason.
          truth: where `expected` is from, for the reason.
        """
        difference = np.abs(got.astype(np.float64) - expected.astype(np.float64))
        row, genre = map(int, np.unravel_index(np.argmax(difference), difference.shape))
        worst = float(difference[row, genre])
        self.largest = max(worst, self.largest or 0.0)
        if not worst <= self._tolerance:
            raise CheckFailed(
                f"{names[row]}: {printable(self._genres[genre])} is {got[row, genre]:.6f} from the "
                f"server and {expected[row, genre]:.6f} {truth}: {worst:.2g} apart, where "
                f"serving.tolerance allows {self._tolerance:.2g}"
            )

    def refused(self, inputs: Mapping[str, npt.NDArray[Any]], what: str) -> None:
        """Sends what must not be answered."""
        status = self.client.refusal(self.signature, inputs)
        if status != "INVALID_ARGUMENT":
            told = "was answered" if status == "OK" else f"gave {status}"
            raise CheckFailed(f"{what} {told}; it must be refused with INVALID_ARGUMENT")

    def _probabilities(self, found: npt.NDArray[Any] | None, rows: int) -> Probabilities:
        shape = (rows, len(self._genres))
        if found is None or found.shape != shape or found.dtype != np.float32:
            told = "none" if found is None else f"{found.dtype} {list(found.shape)}"
            raise CheckFailed(f"the answer's probabilities are {told}, not float32 {list(shape)}")
        if not np.isfinite(found).all():
            raise CheckFailed("the answer's probabilities are not finite")
        return found


def check_model(answer: Answer, signature: str) -> None:
    """Raises CheckFailed unless an answer names the model, version and signature it is from."""
    said = (answer.name, answer.version, answer.signature)
    if said != (contract.MODEL_NAME, VERSION, signature):
        raise CheckFailed(
            f"the answer's model_spec says {printable(str(said))}, "
            f"not {(contract.MODEL_NAME, VERSION, signature)}"
        )
