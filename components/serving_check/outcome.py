"""What trying a candidate came to: the content of `serving_check.json`."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

# Beside the marker files that are TFX's own.


class CheckFailed(Exception):  # noqa: N818  it is an outcome, not an error of ours
    """The candidate, or what serves it, is not as it must be; the message says why."""


@dataclasses.dataclass(frozen=True)
class SignatureCheck:
    """One signature: how many requests were made, and how far answers were from what they
    must be (a difference of probabilities; None where nothing was compared)."""

    signature: str
    requests: int
    largest_difference: float | None
    passed: bool
    text: str

    def to_json(self) -> dict[str, Any]:
        """As results.json holds it."""
        difference = self.largest_difference
        return {
            "signature": self.signature,
            "requests": self.requests,
            "largest_difference": None if difference is None else float(f"{difference:.3g}"),
            "outcome": "passed" if self.passed else "failed",
            "text": self.text,
        }


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The whole check. `engine` is what served, None where nothing did."""

    outcome: Literal["passed", "failed", "skipped", "off"]
    text: str
    engine: str | None = None
    checks: tuple[SignatureCheck, ...] = ()

    @property
    def blessed(self) -> bool:
        return self.outcome == "passed"

    def to_json(self) -> dict[str, Any]:
        """As results.json holds it."""
        return {
            "blessed": self.blessed,
            "engine": self.engine,
            "outcome": self.outcome,
            "text": self.text,
            "checks": [check.to_json() for check in self.checks],
        }


OFF = Outcome(
    "off", "switched off (serving.check = false): no server has answered for the candidate"
)
