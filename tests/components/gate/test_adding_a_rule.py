"""A rule is added by a function and its line in RULES."""

from __future__ import annotations

import pandas as pd
import pytest

from components.ensemble.members import ALL
from components.gate import rules
from components.gate.decide import decide
from components.gate.outcome import Decision, RuleOutcome
from components.gate.scores import read_scores
from components.gate.settings import GateSettings
from tests.components.gate import gate_inputs as made

MODELS = ("cnn_small", "svm", ALL)


def enough_tracks(found: rules.Evidence) -> RuleOutcome:
    """Check that every genre has at least ten test tracks."""
    fewest = min(found.tracks.values())
    outcome = "pass" if fewest >= 10 else "fail"
    return RuleOutcome("enough_tracks", outcome, None, None, f"the fewest tracks are {fewest}")


def _decide(tracks: int) -> Decision:
    listed = made.tracks(tracks)
    wrong = {"svm": [f"t{i:03d}" for i in range(0, tracks, 3)]}
    rows = pd.concat([made.predictions_of(m, listed, wrong.get(m, [])) for m in MODELS])
    return decide(
        GateSettings(resamples=1000),
        made.GENRES,
        read_scores(rows, made.clips_of(listed), made.GENRES, MODELS),
        "cnn_small",
        best_baseline="svm",
        against_serving=None,
        audio_hashes={"candidate": "a", "examples": "a"},
        candidate_digest="d",
        serving_digest=None,
        serving_version="",
    )


def test_a_rule_in_the_table_is_applied_and_can_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _decide(27).blessed
    monkeypatch.setattr(rules, "RULES", (*rules.RULES, enough_tracks))
    refused, blessed = _decide(27), _decide(60)
    assert [rule.id for rule in refused.rules if rule.outcome == "fail"] == ["enough_tracks"]
    assert refused.rules[-1].text == "the fewest tracks are 9"
    assert not refused.blessed
    assert blessed.rules[-1].outcome == "pass"
    assert blessed.blessed
