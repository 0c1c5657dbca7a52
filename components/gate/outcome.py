"""What a rule and the whole gate came to."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

Outcome = Literal["pass", "fail", "off"]


@dataclasses.dataclass(frozen=True)
class RuleOutcome:
    """One rule: its id, how it came out, the number it looked at, and why in words."""

    id: str
    outcome: Outcome
    value: float | None
    interval: tuple[float, float] | None
    text: str

    def to_json(self) -> dict[str, Any]:
        """As results.json holds it."""
        return {
            "id": self.id,
            "outcome": self.outcome,
            "value": None if self.value is None else round(self.value, 6),
            "interval": self.interval and [round(end, 6) for end in self.interval],
            "text": self.text,
        }


@dataclasses.dataclass(frozen=True)
class Decision:
    """What the gate decided; blessed only if no rule failed."""

    rules: tuple[RuleOutcome, ...]

    @property
    def blessed(self) -> bool:
        return all(rule.outcome != "fail" for rule in self.rules)

    def to_json(self) -> dict[str, Any]:
        """As results.json holds it."""
        return {"blessed": self.blessed, "rules": [rule.to_json() for rule in self.rules]}
