"""All rules together, on predictions tables without files."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from components.ensemble.members import ALL
from components.gate.decide import decide
from components.gate.outcome import Decision, RuleOutcome
from components.gate.scores import Scores, read_scores, split_digest
from components.gate.settings import GateSettings
from tests.components.gate import gate_inputs as made

MODELS = ("cnn_small", "svm", ALL)


def _scores(tracks: list[made.Track], wrong: dict[str, list[str]], *, shuffled: int = 0) -> Scores:
    parts = [made.predictions_of(model, tracks, wrong.get(model, [])) for model in MODELS]
    rows, clips = pd.concat(parts), made.clips_of(tracks)
    if shuffled:
        rows = rows.sample(frac=1, random_state=shuffled)
        clips = clips.sample(frac=1, random_state=shuffled + 1)
    return read_scores(rows, clips, made.GENRES, MODELS)


def _decide(scores: Scores, **settings: Any) -> Decision:
    return decide(
        GateSettings(**{"resamples": 1000, **settings}),
        made.GENRES,
        scores,
        "cnn_small",
        best_baseline="svm",
        against_serving=None,
        audio_hashes={"candidate": "a", "examples": "a"},
        candidate_digest="d",
        serving_digest=None,
        serving_version="",
    )


def _rule(decision: Decision, name: str) -> RuleOutcome:
    (found,) = [rule for rule in decision.rules if rule.id == name]
    return found


WRONG = {"svm": [f"t{i:03d}" for i in range(0, 60, 3)]}  # all of its Folk


def test_the_order_of_rows_and_clips_decides_nothing() -> None:
    tracks = made.tracks(60, artist_size=3)
    first = _decide(_scores(tracks, WRONG)).to_json()
    for seed in (1, 2):
        assert _decide(_scores(tracks, WRONG, shuffled=seed)).to_json() == first


def test_tracks_of_the_same_artists_are_less_evidence_than_as_many_of_others() -> None:
    wrong = {"svm": [f"t{i:03d}" for i in range(30)]}
    alone = _rule(_decide(_scores(made.tracks(60), wrong)), "beats_baseline")
    shared = _rule(_decide(_scores(made.tracks(60, artist_size=6), wrong)), "beats_baseline")
    assert shared.value == alone.value == 0.5
    assert alone.interval is not None
    assert shared.interval is not None
    assert shared.interval[1] - shared.interval[0] > 1.5 * (alone.interval[1] - alone.interval[0])
    assert "(10 artists)" in shared.text
    assert "artists" not in alone.text


def test_of_one_artist_nothing_is_sure_and_so_nothing_is_blessed() -> None:
    scores = _scores(made.tracks(60, artist_size=60), WRONG)
    rule = _rule(_decide(scores), "beats_baseline")
    assert rule.interval == (-1, 1)
    assert rule.outcome == "fail"


def test_a_candidate_that_ties_everywhere_is_refused_as_guessing() -> None:
    tracks = made.tracks(30)
    tie = made.predictions_of("cnn_small", tracks)
    tie[[f"p_{genre}" for genre in made.GENRES]] = 1 / 3
    rows = pd.concat([tie, *(made.predictions_of(model, tracks) for model in MODELS[1:])])
    decision = _decide(read_scores(rows, made.clips_of(tracks), made.GENRES, MODELS))
    floor = _rule(decision, "absolute_floor")
    assert floor.outcome == "fail"
    assert floor.value == pytest.approx(1 / 3)
    assert "guessing" in floor.text
    # No genre is favoured because it is the first.
    assert _rule(decision, "genre_recall").value == pytest.approx(1 / 3)


def test_equal_models_are_not_told_apart() -> None:
    rule = _rule(_decide(_scores(made.tracks(30), {})), "beats_baseline")
    assert (rule.value, rule.outcome) == (0, "fail")
    assert rule.interval is not None
    assert rule.interval[0] < 0 < rule.interval[1]


def test_a_genre_without_test_tracks_is_refused() -> None:
    tracks = [track for track in made.tracks(60) if track.label != 1]
    rule = _rule(_decide(_scores(tracks, WRONG)), "genre_recall")
    assert rule.outcome == "fail"
    assert "recall is unknown for Pop, without test tracks" in rule.text
    assert _rule(_decide(_scores(tracks, WRONG), recall_floor=0.0), "genre_recall").outcome == "off"


def test_the_digest_of_a_split_tells_splits_apart_and_no_orders() -> None:
    first = split_digest(["a", "b"])
    assert len(first) == 16
    assert int(first, 16) >= 0
    assert split_digest(["b", "a"]) == first
    assert len({first, split_digest(["a"]), split_digest(["a,b"]), split_digest(["ab"])}) == 4
