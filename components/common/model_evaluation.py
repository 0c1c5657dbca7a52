"""Evaluation of a pushed model that the model itself tells: its text's one writer and one reader.

The output `evaluation` of the signature `describe` is this text, so that clients of any server of
the protocol learn a model's accuracy without its files. It is empty for a model that was not
pushed. It depends on the candidate and the gate alone, not on the time of the push: a candidate
that is pushed again tells the same.

    {"test": {"tracks": 800, "track_accuracy": {"value": 0.56, "low": 0.52, "high": 0.6}},
     "gate": {"blessed": true, "rules": [{"id": "...", "outcome": "pass", "text": "..."}]}}

Readers ignore further keys, and treat the content as untrusted, since a server may be any program.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from components.common.escape import printable

# The gate has about ten rules with a sentence each. TensorFlow Serving returns the text once for
# each row of a request to `describe`.
MAX_BYTES = 16 << 10
_MAX_RULES, _MAX_CHARACTERS = 100, 2000
_MAX_TRACKS = 10**9
_OUTCOMES = ("pass", "fail", "off")


@dataclasses.dataclass(frozen=True)
class ToldRule:
    """Outcome of one of the gate's rules: its name, "pass", "fail" or "off", and the reason."""

    id: str
    outcome: str
    text: str


@dataclasses.dataclass(frozen=True)
class ModelEvaluation:
    """Results of a model on its run's test split, and the gate's decision.

    Attributes:
      accuracy, low, high: share of tracks whose genre is predicted, with its 95 % interval.
      tracks: number of test tracks.
      blessed: the gate's decision.
      rules: outcomes of its rules.
    """

    accuracy: float
    low: float
    high: float
    tracks: int
    blessed: bool
    rules: tuple[ToldRule, ...]

    def to_text(self) -> str:
        """Return the text, of at most MAX_BYTES; without the rules if it would be longer."""
        rules = [
            {"id": one.id, "outcome": one.outcome, "text": one.text[:_MAX_CHARACTERS]}
            for one in self.rules
        ]
        text = self._text(rules)
        return text if len(text.encode()) <= MAX_BYTES else self._text([])

    def _text(self, rules: list[dict[str, str]]) -> str:
        accuracy = {"value": self.accuracy, "low": self.low, "high": self.high}
        values = {
            "test": {"tracks": self.tracks, "track_accuracy": accuracy},
            "gate": {"blessed": self.blessed, "rules": rules},
        }
        return json.dumps(values, sort_keys=True, ensure_ascii=False, allow_nan=False)


def parse_evaluation(text: str) -> ModelEvaluation | None:
    """Return the evaluation, or None for "".

    Unprintable characters of its texts are escaped.

    Raises:
      ValueError: the text is too long, not JSON, or a value is missing or out of range.
    """
    if not text:
        return None
    if len(text.encode(errors="replace")) > MAX_BYTES:
        raise ValueError(f"longer than {MAX_BYTES} bytes")
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError("not JSON") from error
    test, gate = _object(values, "test"), _object(values, "gate")
    accuracy = _object(test, "track_accuracy")
    value, low, high = (_share(accuracy, name) for name in ("value", "low", "high"))
    if not low <= high:
        raise ValueError("the interval ends before it begins")
    tracks, blessed, rules = test.get("tracks"), gate.get("blessed"), gate.get("rules")
    if type(tracks) is not int or not 1 <= tracks <= _MAX_TRACKS:
        raise ValueError("tracks is not a number of tracks")
    if not isinstance(blessed, bool):
        raise ValueError("blessed is neither true nor false")
    if not isinstance(rules, list) or len(rules) > _MAX_RULES:
        raise ValueError(f"rules is not a list of at most {_MAX_RULES}")
    return ModelEvaluation(value, low, high, tracks, blessed, tuple(map(_rule, rules)))


def _rule(values: object) -> ToldRule:
    outcome = _string(values, "outcome")
    if outcome not in _OUTCOMES:
        raise ValueError(f"the outcome of a rule is not one of {', '.join(_OUTCOMES)}")
    return ToldRule(_string(values, "id"), outcome, _string(values, "text"))


def _object(values: object, name: str) -> Mapping[str, Any]:
    found = values.get(name) if isinstance(values, dict) else None
    if not isinstance(found, dict):
        raise ValueError(f"there is no object {name}")
    return found


def _share(values: Mapping[str, Any], name: str) -> float:
    share = values.get(name)
    # NaN, which Python's JSON reader takes, is in no range.
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= 1:
        raise ValueError(f"{name} is not a share from 0 to 1")
    return float(share)


def _string(values: object, name: str) -> str:
    text = values.get(name) if isinstance(values, dict) else None
    if not isinstance(text, str) or len(text) > _MAX_CHARACTERS:
        raise ValueError(f"{name} of a rule is not a text of at most {_MAX_CHARACTERS} characters")
    return printable(text)
