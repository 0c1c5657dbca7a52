"""Executor of GenreGate on artifacts made by hand: blessings, refusals and errors."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from typing import Any

import pandas as pd
import pytest
from tfx.types import standard_artifacts

from components.artifacts.types import BaselineModels, Predictions
from components.common.errors import DataError
from components.gate.executor import Executor
from components.gate.scores import split_digest
from components.gate.settings import GateSettings
from components.predictions import table
from tests.components.gate import gate_inputs as made

IDS = (
    "absolute_floor", "beats_baseline", "holds_ensemble", "holds_serving", "genre_recall",
    "audio_hash", "already_serving",
)  # fmt: skip
TRACKS = made.tracks(30)
BAD_BASELINE = [track.track_id for track in TRACKS[::2]]


@dataclasses.dataclass
class Inputs:
    """Inputs of a run that is blessed unless a test changes one of them."""

    folder: pathlib.Path
    table: pd.DataFrame
    selection: dict[str, Any]
    baselines: dict[str, Any] | None
    serving: pathlib.Path | None = None
    examples_hash: str = made.AUDIO
    architecture: str = "cnn_small"
    parameters: dict[str, Any] = dataclasses.field(default_factory=dict)

    def decide(self, **settings: Any) -> tuple[dict[str, Any], Any]:
        """Run the executor; return decision.json and the blessing artifact."""
        examples = standard_artifacts.Examples()
        examples.uri = str(self.folder / "examples")
        examples.set_string_custom_property("audio_hash", self.examples_hash)
        predictions = Predictions()
        predictions.uri = str(self.folder / "predictions")
        table.write_table(self.table, predictions.uri)
        (self.folder / "predictions" / "selection.json").write_text(json.dumps(self.selection))
        model = standard_artifacts.Model()
        model.uri, model.id = str(self.folder / "model"), 17
        model.set_string_custom_property("architecture", self.architecture)
        inputs: dict[str, list[Any]] = {
            "model": [model],
            "predictions": [predictions],
            "evaluation": [standard_artifacts.ModelEvaluation()],
            "examples": [examples],
        }
        if self.baselines is not None:
            baselines = BaselineModels()
            baselines.uri = str(self.folder / "baselines")
            pathlib.Path(baselines.uri).mkdir(exist_ok=True)
            (self.folder / "baselines" / "baselines.json").write_text(json.dumps(self.baselines))
            inputs["baselines"] = [baselines]
        if self.serving:
            pushed = standard_artifacts.PushedModel()
            pushed.uri = str(self.serving)
            pushed.set_string_custom_property("pushed_version", "1700000000")
            inputs["serving_model"] = [pushed]
        blessing = standard_artifacts.ModelBlessing()
        blessing.uri = str(self.folder / "blessing")
        gate = GateSettings(**{"resamples": 1000, **settings})
        Executor().Do(
            inputs,
            {"blessing": [blessing]},
            {
                "gate": json.dumps(dataclasses.asdict(gate)),
                "genres": json.dumps(made.GENRES),
                "store": str(self.folder / "cache"),
                "decode_limits": "null",
                **self.parameters,
            },
        )
        return json.loads(pathlib.Path(blessing.uri, "decision.json").read_text()), blessing


@pytest.fixture
def inputs(tmp_path: pathlib.Path) -> Inputs:
    made.write_examples(tmp_path / "examples", TRACKS)
    made.write_assets(tmp_path / "model" / "Format-Serving")
    parts = [
        made.predictions_of("cnn_small", TRACKS, ["t001", "t005"]),
        made.predictions_of("svm", TRACKS, BAD_BASELINE),
        made.predictions_of("ensemble_all", TRACKS, ["t001", "t005", "t006"]),
        made.predictions_of("cnn_small", made.tracks(3), split="validation"),
    ]
    return Inputs(
        tmp_path, pd.concat(parts, ignore_index=True), made.selection(), {"audio_hash": made.AUDIO}
    )


def _outcomes(decision: dict[str, Any]) -> dict[str, str]:
    return {rule["id"]: rule["outcome"] for rule in decision["rules"]}


def _text(decision: dict[str, Any], rule: str) -> str:
    (text,) = [r["text"] for r in decision["rules"] if r["id"] == rule]
    return str(text)


def test_a_candidate_that_holds_every_rule_is_blessed(inputs: Inputs) -> None:
    decision, blessing = inputs.decide()
    assert tuple(_outcomes(decision)) == IDS
    assert set(_outcomes(decision).values()) == {"pass"}
    assert decision["blessed"] is True
    assert decision["candidate"] == "cnn_small"
    assert decision["candidate_digest"] == "candidate-digest"
    assert decision["test_digest"] == split_digest(t.track_id for t in TRACKS)
    assert blessing.get_int_custom_property("blessed") == 1
    assert blessing.get_int_custom_property("current_model_id") == 17
    assert blessing.get_string_custom_property("current_model").endswith("model")
    assert blessing.get_string_custom_property("test_digest") == decision["test_digest"]
    assert blessing.get_string_custom_property("candidate_digest") == "candidate-digest"
    assert (pathlib.Path(blessing.uri) / "BLESSED").exists()
    # 28 of 30 against 15 of 30, worked out by hand.
    beats = next(rule for rule in decision["rules"] if rule["id"] == "beats_baseline")
    assert beats["value"] == pytest.approx(13 / 30, abs=1e-6)
    assert beats["interval"][0] < 13 / 30 < beats["interval"][1]


def test_a_candidate_that_a_baseline_matches_is_refused_and_the_reasons_are_given(
    inputs: Inputs,
) -> None:
    inputs.table = pd.concat(
        [
            made.predictions_of("cnn_small", TRACKS, BAD_BASELINE[:10]),
            made.predictions_of("svm", TRACKS, BAD_BASELINE[:11]),
            made.predictions_of("ensemble_all", TRACKS, []),
        ],
        ignore_index=True,
    )
    decision, blessing = inputs.decide(recall_floor=0.7)
    assert decision["blessed"] is False
    assert _outcomes(decision) == {
        **dict.fromkeys(IDS, "pass"),
        "beats_baseline": "fail",
        "holds_ensemble": "fail",
        "genre_recall": "fail",
    }
    assert blessing.get_int_custom_property("blessed") == 0
    assert (pathlib.Path(blessing.uri) / "NOT_BLESSED").exists()
    assert not (pathlib.Path(blessing.uri) / "BLESSED").exists()
    assert "best baseline (svm): +3.3 points" in _text(decision, "beats_baseline")
    assert "gate.baseline_margin" in _text(decision, "beats_baseline")
    assert "-33.3 points" in _text(decision, "holds_ensemble")


def test_every_rule_of_policy_can_be_switched_off_and_says_so(inputs: Inputs) -> None:
    bad = made.predictions_of("cnn_small", TRACKS, [track.track_id for track in TRACKS])
    others = inputs.table[inputs.table["model"] != "cnn_small"]
    inputs.table = pd.concat([bad, others], ignore_index=True)
    inputs.serving = made.write_oracle(inputs.folder / "serving", TRACKS, outputs=5)
    assert inputs.decide()[0]["blessed"] is False
    decision, _ = inputs.decide(
        floor=0.0, beats_baseline=False, holds_ensemble=False, holds_serving=False, recall_floor=0.0
    )
    assert decision["blessed"] is True
    off = {rule["id"]: rule["text"] for rule in decision["rules"] if rule["outcome"] == "off"}
    assert tuple(off) == IDS[:5]
    for rule, setting in (
        ("absolute_floor", "gate.floor = 0"),
        ("beats_baseline", "gate.beats_baseline = false"),
        ("holds_ensemble", "gate.holds_ensemble = false"),
        ("holds_serving", "gate.holds_serving = false"),
        ("genre_recall", "gate.recall_floor = 0"),
    ):
        assert setting in off[rule]


def test_without_baselines_their_rule_fails_and_says_what_switches_it_off(inputs: Inputs) -> None:
    inputs.selection["best_baseline"] = None
    del inputs.selection["kinds"]["svm"]
    inputs.table = inputs.table[inputs.table["model"] != "svm"]
    inputs.baselines = None
    decision, _ = inputs.decide()
    assert _outcomes(decision)["beats_baseline"] == "fail"
    assert "no baselines were trained" in _text(decision, "beats_baseline")
    assert "gate.beats_baseline = false" in _text(decision, "beats_baseline")
    assert inputs.decide(beats_baseline=False)[0]["blessed"] is True


def test_without_an_average_of_all_models_its_rule_fails(inputs: Inputs) -> None:
    del inputs.selection["kinds"]["ensemble_all"]
    inputs.table = inputs.table[inputs.table["model"] != "ensemble_all"]
    decision, _ = inputs.decide()
    assert _outcomes(decision)["holds_ensemble"] == "fail"
    assert "gate.holds_ensemble = false" in _text(decision, "holds_ensemble")
    assert inputs.decide(holds_ensemble=False)[0]["blessed"] is True


@pytest.mark.parametrize("what", ["examples", "predictions", "baselines", "candidate"])
def test_artifacts_of_other_audio_parameters_are_refused(inputs: Inputs, what: str) -> None:
    if what == "examples":
        inputs.examples_hash = "beef"
    elif what == "predictions":
        inputs.selection["audio_hash"] = "beef"
    elif what == "baselines":
        inputs.baselines = {"audio_hash": "beef"}
    else:
        folder = inputs.folder / "model" / "Format-Serving"
        made.write_assets(folder, audio_params={"digest": "beef"})
    decision, _ = inputs.decide()
    assert decision["blessed"] is False
    assert _outcomes(decision)["audio_hash"] == "fail"
    assert f"{what} beef" in _text(decision, "audio_hash")


def test_the_model_that_serves_is_compared_with_on_tracks_that_it_never_saw(
    inputs: Inputs,
) -> None:
    # It has seen ten test tracks, is right on all of those, and on 12 of the 20 others.
    seen = [track.track_id for track in TRACKS[:10]]
    wrong = [track.track_id for track in TRACKS[10:18]]
    inputs.serving = made.write_oracle(
        inputs.folder / "serving", TRACKS, wrong, seen_tracks=made.seen(seen[:5], seen[5:])
    )
    decision, _ = inputs.decide()
    (rule,) = [rule for rule in decision["rules"] if rule["id"] == "holds_serving"]
    # The candidate is wrong on t001 and t005 alone, which are not compared on.
    assert rule["value"] == pytest.approx(1.0 - 12 / 20)
    assert rule["outcome"] == "pass"
    assert "100.0% of 20 test tracks are correct, 60.0% with the serving model" in rule["text"]
    assert "version 1700000000" in rule["text"]
    assert "has seen the other 10" in rule["text"]
    assert "1700000000" in _text(decision, "already_serving")


def test_a_candidate_that_is_worse_than_the_model_that_serves_is_refused(inputs: Inputs) -> None:
    inputs.serving = made.write_oracle(inputs.folder / "serving", TRACKS)
    decision, _ = inputs.decide()
    # Two of 30 less.
    assert _outcomes(decision)["holds_serving"] == "fail"
    assert "-6.7 points" in _text(decision, "holds_serving")
    assert inputs.decide(serving_tolerance=2 / 30)[0]["blessed"] is True


def test_the_candidate_that_serves_already_holds_against_itself_and_is_not_pushed(
    inputs: Inputs,
) -> None:
    inputs.serving = made.write_oracle(inputs.folder / "serving", TRACKS, digest="candidate-digest")
    decision, _ = inputs.decide()
    failed = [rule for rule, outcome in _outcomes(decision).items() if outcome == "fail"]
    assert failed == ["already_serving"]
    assert "+0.0 points" in _text(decision, "holds_serving")


EVERY_TRACK = made.seen([track.track_id for track in TRACKS], [])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"seen_tracks": None}, "so the tracks that this model was trained on are unknown"),
        ({"seen_tracks": {"train": 5}}, "no list of track digests for train"),
        ({"seen_tracks": EVERY_TRACK}, "on all 30 test tracks"),
        ({"genres": None}, "genres.json"),
        ({"model_card": None}, "model_card.json"),
        ({"audio_params": {"digest": "beef"}}, "no signature serving_default"),
        ({"genres": ["Pop", "Folk", "Rock"]}, "other genres (Pop, Folk, Rock)"),
        ({"genres": ["Folk", "Pop"]}, "other genres (Folk, Pop)"),
        ({"signature": "serving_default"}, "no signature serving_examples"),
        ({"outputs": 5}, "not 3 probabilities a row"),
        ({"fill": float("nan")}, "cannot predict these examples"),
        ({"fill": 0.5}, "cannot predict these examples"),
    ],
)
def test_a_model_that_serves_and_cannot_be_compared_with_never_passes_in_silence(
    inputs: Inputs, changes: dict[str, Any], reason: str
) -> None:
    inputs.serving = made.write_oracle(inputs.folder / "serving", TRACKS, **changes)
    decision, _ = inputs.decide()
    assert decision["blessed"] is False
    failed = [rule for rule, outcome in _outcomes(decision).items() if outcome == "fail"]
    assert failed == ["holds_serving"]
    text = _text(decision, "holds_serving")
    assert reason in text
    assert "Set gate.holds_serving = false to disable this rule" in text
    assert inputs.decide(holds_serving=False)[0]["blessed"] is True


def test_where_nothing_can_look_for_the_model_that_serves_its_rules_say_so(
    inputs: Inputs,
) -> None:
    inputs.parameters = {"serving": "unknown"}
    decision, _ = inputs.decide(holds_serving=False)
    assert decision["blessed"] is True
    for rule in ("holds_serving", "already_serving"):
        assert _outcomes(decision)[rule] == "off"
        assert "this pipeline cannot look up the serving model" in _text(decision, rule)
    assert _outcomes(inputs.decide(holds_serving=True)[0])["holds_serving"] == "fail"


def test_a_model_that_serves_and_is_damaged_is_a_reason_and_no_crash(inputs: Inputs) -> None:
    inputs.serving = made.write_oracle(inputs.folder / "serving", TRACKS)
    (inputs.serving / "saved_model.pb").write_bytes(b"\xff\xff no model")
    assert "has no readable saved_model.pb" in _text(inputs.decide()[0], "holds_serving")
    (inputs.serving / "saved_model.pb").unlink()
    assert "has no readable saved_model.pb" in _text(inputs.decide()[0], "holds_serving")


def _candidate_rows(rows: pd.DataFrame) -> Any:
    return (rows["model"] == "cnn_small") & (rows["split"] == "test")


def test_predictions_that_are_no_probabilities_end_the_run(inputs: Inputs) -> None:
    column = "p_Pop"
    for value in (float("nan"), float("inf"), -0.1, 0.9):
        changed = inputs.table.copy()
        changed.loc[len(changed) - 1, column] = value  # of the validation split even
        with pytest.raises(DataError, match="not probabilities"):
            dataclasses.replace(inputs, table=changed).decide()


@pytest.mark.parametrize(
    "change",
    [
        "digest",
        "architecture",
        "genres",
        "columns",
        "tracks",
        "fewer",
        "clips",
        "labels",
        "artists",
    ],
)
def test_predictions_of_another_run_end_the_run(inputs: Inputs, change: str) -> None:
    rows = inputs.table
    mine = _candidate_rows(rows)
    if change == "digest":
        inputs.selection["candidate_digest"] = "of another model"
    elif change == "architecture":
        inputs.architecture = "crnn"
    elif change == "genres":
        inputs.selection["genres"] = ["Folk", "Rock", "Pop"]
    elif change == "columns":
        inputs.table = rows.rename(columns={"p_Pop": "p_Jazz"})
    elif change == "tracks":
        inputs.table = rows.assign(
            track_id=rows["track_id"].where(~mine, "other-" + rows["track_id"])
        )
    elif change == "fewer":
        inputs.table = rows[~(mine & (rows["track_id"] == "t004"))]
    elif change == "clips":
        inputs.table = rows.assign(clip_index=rows["clip_index"].where(~mine, 0))
    elif change == "labels":
        inputs.table = rows.assign(label=rows["label"].where(~mine, 1))
    else:
        inputs.table = rows.assign(artist_id=rows["artist_id"].where(~mine, "somebody"))
    other_model = change in ("digest", "architecture")
    expected = "predictions chose cnn_small" if other_model else "rerun the pipeline"
    with pytest.raises(DataError, match=expected):
        inputs.decide()


@pytest.mark.parametrize("model", ["svm", "ensemble_all"])
def test_whom_to_compare_with_must_be_of_the_same_clips_too(inputs: Inputs, model: str) -> None:
    rows = inputs.table
    kept = ~((rows["model"] == model) & (rows["track_id"] == "t004"))
    with pytest.raises(DataError, match=f"predictions of {model} are not of this run's test clips"):
        dataclasses.replace(inputs, table=rows[kept]).decide()
    with pytest.raises(DataError, match=f"no test rows of {model}"):
        dataclasses.replace(inputs, table=rows[rows["model"] != model]).decide()


def test_a_selection_of_an_older_version_or_damaged_ends_the_run(inputs: Inputs) -> None:
    for changed in ([], {}, {"candidate": "cnn_small"}, made.selection(best_baseline="knn")):
        with pytest.raises(DataError, match=r"selection\.json"):
            dataclasses.replace(inputs, selection=changed).decide()


def test_a_retried_gate_leaves_nothing_of_the_attempt_before(inputs: Inputs) -> None:
    old = inputs.folder / "blessing"
    old.mkdir()
    (old / "BLESSED").write_text("")
    inputs.decide(floor=1.0)
    assert sorted(path.name for path in old.iterdir()) == ["NOT_BLESSED", "decision.json"]


def test_hostile_names_are_shown_inert(inputs: Inputs) -> None:
    evil = "svm\x1b[2J\n"
    inputs.selection["best_baseline"] = evil
    inputs.selection["kinds"][evil] = "baseline"
    inputs.table = inputs.table.replace({"model": {"svm": evil}})
    text = _text(inputs.decide()[0], "beats_baseline")
    assert "svm\\x1b[2J\\x0a" in text
    assert text.isprintable()
