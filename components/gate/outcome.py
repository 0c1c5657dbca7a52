"""Decision of the gate, and the content of decision.json."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from annotated_types import MinLen

Outcome = Literal["pass", "fail", "off"]


@dataclasses.dataclass(frozen=True)
class RuleOutcome:
    """Outcome of one rule.

    Attributes:
      id: Name of the rule.
      outcome: "pass", "fail", or "off" for a rule that is disabled or cannot apply.
      value: The number that the rule checked; null if there is none.
      interval: The number's 95 % interval; null if there is none.
      text: The reason, for people.
    """

    id: str
    outcome: Outcome
    value: float | None
    interval: tuple[float, float] | None
    text: str

    def to_json(self) -> dict[str, Any]:
        """Return JSON values, rounded so that text is the same on every machine."""
        return {
            "id": self.id,
            "outcome": self.outcome,
            "value": None if self.value is None else round(self.value, 6),
            "interval": self.interval and [round(end, 6) for end in self.interval],
            "text": self.text,
        }


@dataclasses.dataclass(frozen=True)
class Decision:
    """Decision of the gate.

    Attributes:
      blessed: True if no rule failed.
      rules: Outcomes of all rules, in the order in which they are shown.
    """

    blessed: bool
    rules: Annotated[tuple[RuleOutcome, ...], MinLen(1)]

    @classmethod
    def of(cls, rules: Sequence[RuleOutcome]) -> Decision:
        """Return the decision that follows from the rules: one failure refuses the candidate."""
        return cls(all(rule.outcome != "fail" for rule in rules), tuple(rules))

    def to_json(self) -> dict[str, Any]:
        """Return JSON values, rounded as those of the rules."""
        return {"blessed": self.blessed, "rules": [rule.to_json() for rule in self.rules]}


@dataclasses.dataclass(frozen=True)
class RecordedDecision(Decision):
    """Content of decision.json: the decision, the candidate and the test split.

    Attributes:
      candidate: Name of the model.
      candidate_digest: Digest of the model.
      test_digest: Digest of the test split's tracks.
    """

    candidate: str
    candidate_digest: str
    test_digest: str
