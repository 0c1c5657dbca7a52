"""The gate's rules, each with its outcome in words. No TFX.

On the test split the gate may only refuse: what the candidate is was chosen on validation.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from components.gate.settings import GateSettings
from components.predictions.metrics import Interval


@dataclasses.dataclass(frozen=True)
class RuleOutcome:
    """One rule: its id, how it came out, the number it looked at, and why in words."""

    id: str
    outcome: Literal["pass", "fail", "off"]
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


def absolute_floor(settings: GateSettings, track_accuracy: Interval, genres: int) -> RuleOutcome:
    """The candidate's test track accuracy must reach `gate.floor`, and be better than
    guessing among so many genres; a floor of 0 switches both off."""
    chance = 1 / genres
    shown = f"{track_accuracy.value:.1%} of test tracks are right"
    if settings.floor == 0:
        outcome: Literal["pass", "fail", "off"] = "off"
        text = f"no floor is set (gate.floor = 0); {shown}"
    elif track_accuracy.value <= chance:
        outcome, text = "fail", f"only {shown}; guessing reaches {chance:.1%}"
    elif track_accuracy.value >= settings.floor:
        outcome, text = "pass", f"{shown}, the floor is {settings.floor:.1%}"
    else:
        outcome, text = "fail", f"only {shown}, the floor is {settings.floor:.1%}"
    return RuleOutcome(
        "absolute_floor",
        outcome,
        track_accuracy.value,
        (track_accuracy.low, track_accuracy.high),
        text,
    )


def already_serving(candidate_digest: str, serving_digest: str | None, version: str) -> RuleOutcome:
    """A candidate that is the very model that serves is not pushed again.

    Args:
      candidate_digest: digest of the candidate's SavedModel.
      serving_digest: of the last pushed one; None when nothing was pushed.
      version: the last pushed version, for the text.
    """
    if serving_digest is None:
        return RuleOutcome("already_serving", "pass", None, None, "no model has been pushed yet")
    if candidate_digest == serving_digest:
        return RuleOutcome(
            "already_serving", "fail", None, None, f"version {version} is this very model: it stays"
        )
    return RuleOutcome(
        "already_serving", "pass", None, None, f"differs from version {version}, which serves now"
    )
