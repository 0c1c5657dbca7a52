"""Result of ServingCheck, the content of serving_check.json."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

from components.predictions.interval import Count, NonNegative

SignatureName = Literal["describe", "serving_examples", "serving_default", "serving_wav"]


class CheckFailed(Exception):  # noqa: N818  an outcome, not an error of the run
    """Defect of the candidate or of its server; the message is the reason."""


@dataclasses.dataclass(frozen=True)
class SignatureCheck:
    """Check of one signature.

    Attributes:
      signature: Name of the signature.
      requests: Number of requests that were sent.
      largest_difference: Largest difference from an expected probability; null if none was
        compared.
      outcome: "failed" if a response was wrong.
      text: A summary, or the reason of the failure.
    """

    signature: SignatureName
    requests: Count
    largest_difference: NonNegative | None
    outcome: Literal["passed", "failed"]
    text: str

    @property
    def passed(self) -> bool:
        """True if all responses were as expected."""
        return self.outcome == "passed"

    def to_json(self) -> dict[str, Any]:
        """Return JSON values; the difference has three significant digits."""
        difference = self.largest_difference
        return {
            **dataclasses.asdict(self),
            "largest_difference": None if difference is None else float(f"{difference:.3g}"),
        }


@dataclasses.dataclass(frozen=True)
class ServingCheckResult:
    """Result of testing a candidate on a server, between the gate and the push.

    Attributes:
      blessed: True if the candidate passed. Otherwise nothing is pushed, unless the check is off.
      engine: Name of the server; null if none served.
      outcome: "skipped" if the gate refused the candidate; "off" with serving.check = false.
      text: A summary, or the reason of the failure.
      checks: One for each signature, up to the first that failed.
    """

    blessed: bool
    engine: str | None
    outcome: Literal["passed", "failed", "skipped", "off"]
    text: str
    checks: tuple[SignatureCheck, ...]

    @classmethod
    def of(
        cls,
        outcome: Literal["passed", "failed", "skipped", "off"],
        text: str,
        engine: str | None = None,
        checks: Sequence[SignatureCheck] = (),
    ) -> ServingCheckResult:
        """Return the result of an outcome; only "passed" blesses."""
        return cls(outcome == "passed", engine, outcome, text, tuple(checks))

    def to_json(self) -> dict[str, Any]:
        """Return the content of serving_check.json."""
        return {
            **dataclasses.asdict(self),
            "checks": [check.to_json() for check in self.checks],
        }


OFF = ServingCheckResult.of(
    "off", "disabled (serving.check = false): the candidate was not tested on a server"
)
