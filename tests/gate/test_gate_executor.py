"""GenreGate's executor on artifacts made by hand: what it blesses, refuses, and will not read."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from typing import Any

import pandas as pd
import pytest
from tfx.types import standard_artifacts

from components.artifacts import BaselineModels, Predictions
from components.gate.executor import Executor
from components.gate.scores import split_digest
from components.gate.settings import GateSettings
from components.predictions import table
from tests.gate import gate_inputs as made

IDS = (
    "absolute_floor", "beats_baseline", "holds_ensemble", "holds_serving", "genre_recall",
    "audio_hash", "already_serving",
)  # fmt: skip
TRACKS = made.tracks(30)
BAD_BASELINE = [track.track_id for track in TRACKS[::2]]


@dataclasses.dataclass
class Inputs:
    """A run that is blessed, until a test changes something of it."""

    folder: pathlib.Path
    table: pd.DataFrame
    selection: dict[str, Any]
    baselines: dict[str, Any] | None
    serving: pathlib.Path | None = None
    examples_hash: str = made.AUDIO
    architecture: str = "cnn_small"

    def decide(self, **settings: Any) -> tuple[dict[str, Any], Any]:
        """Runs the executor; returns decision.json and the blessing artifact."""
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
            {"gate": json.dumps(dataclasses.asdict(gate)), "genres": json.dumps(made.GENRES)},
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
