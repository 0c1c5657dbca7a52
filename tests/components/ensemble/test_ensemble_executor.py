"""Executor of the Ensembler on exported networks: its table, candidate, model and errors."""

from __future__ import annotations

import json
import pathlib
import shutil
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from components.artifacts.types import BaselineModels, Predictions
from components.audio.params import AudioParams
from components.audio.spectrogram.stored import to_stored
from components.common.errors import DataError
from components.ensemble import executor
from components.examples.writer import Clip, serialize
from components.export.assets import read_seen_tracks, seen_tracks_of, track_digest
from components.predictions import table
from components.trainer.export import export_saved_model

PARAMS = AudioParams(
    sample_rate_hz=4000, fft_samples=256, hop_samples=128, n_mels=12, clip_seconds=0.25
)
GENRES = ("Folk", "Pop", "Rock")
# Probabilities of each network for a clip of each genre. Each network is wrong about one genre,
# and their mean about none.
NETWORKS = {
    "cnn_small": [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.46, 0.44]],
    "ffnn": [[0.44, 0.46, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]],
}
TRACKS = 6


def _network(answers: list[list[float]]) -> keras.Model:
    """Return a network that tells the genre by the loudest third of the bands."""
    mel_db = keras.Input((PARAMS.n_mels, PARAMS.frames), name="mel_db")
    loud = keras.ops.mean(keras.layers.Reshape((3, -1))(mel_db), axis=2)
    logits = keras.layers.Dense(3, activation="softmax", name="answer")
    model = keras.Model(mel_db, logits(loud))
    # 0 dB in one third and -80 in the others: one column of the kernel counts 80 times less.
    kernel = np.log(np.asarray(answers)) / 80
    model.get_layer("answer").set_weights([kernel, kernel.sum(axis=0) * 80])
    return model


def _write_examples(root: pathlib.Path) -> None:
    for split in ("validation", "test"):
        folder = root / f"Split-{split}"
        folder.mkdir(parents=True)
        with tf.io.TFRecordWriter(str(folder / "part-00000-of-00001.tfrecord")) as writer:
            for track in range(TRACKS):
                for clip in range(2):
                    mel_db = np.full((3, PARAMS.n_mels // 3, PARAMS.frames), -80.0, np.float32)
                    mel_db[track % 3] = 0.0
                    stored = to_stored(mel_db.reshape(PARAMS.n_mels, PARAMS.frames))
                    name, genre = f"{split}{track}", track % 3
                    made = Clip(name, "", GENRES[genre], genre, clip, 0.0, stored)
                    writer.write(serialize(made, PARAMS))


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    from tfx.types import standard_artifacts
    from tfx.utils import path_utils

    root = tmp_path_factory.mktemp("ensembler")
    found: dict[str, Any] = {"examples": standard_artifacts.Examples()}
    found["examples"].uri = str(root / "examples")
    _write_examples(root / "examples")
    for number, (name, answers) in enumerate(NETWORKS.items()):
        model, run = standard_artifacts.Model(), standard_artifacts.ModelRun()
        model.uri, run.uri = str(root / name), str(root / f"run_{name}")
        export_saved_model(
            _network(answers),
            path_utils.serving_model_dir(model.uri),
            params=PARAMS,
            genres=GENRES,
            model_card={"architecture": name, "parameters": 12},
            seen=seen_tracks_of({"train": [f"t{number}"], "validation": ["v"]}),
        )
        (root / f"run_{name}").mkdir()
        (root / f"run_{name}" / "history.json").write_text(
            json.dumps({"parameters": 12, "train_seconds": 1.5})
        )
        found |= {f"model_{name}": model, f"run_{name}": run}
    return found


def _baselines(root: pathlib.Path, *, genres: tuple[str, ...] = GENRES) -> dict[str, Any]:
    """Write a dummy and an SVM that is always right; return their artifacts."""
    models, predictions = BaselineModels(), Predictions()
    models.uri, predictions.uri = str(root / "b"), str(root / "p")
    (root / "b").mkdir(parents=True)
    values = {
        "genres": list(genres),
        "audio_hash": PARAMS.digest(),
        "models": {name: {"train_seconds": 0.5, "settings": {}} for name in ("dummy", "svm")},
    }
    (root / "b" / "baselines.json").write_text(json.dumps(values))
    rows = []
    for split in ("validation", "test"):
        clips = pd.DataFrame(
            [
                {"track_id": f"{split}{t}", "artist_id": "", "clip_index": c, "label": t % 3}
                for t in range(TRACKS)
                for c in range(2)
            ]
        )
        right = np.eye(3, dtype=np.float32)[clips["label"]]
        for name, made in (("svm", right), ("dummy", np.full_like(right, 1 / 3))):
            rows.append(table.make_table(name, split, clips, made, GENRES))
    table.write_table(pd.concat(rows, ignore_index=True), predictions.uri)
    return {"baselines": models, "baseline_predictions": predictions}


def _do(
    inputs: dict[str, Any], root: pathlib.Path, *, candidate: bool = True
) -> tuple[pd.DataFrame, dict[str, Any], dict[str, Any]]:
    """Run the executor; return the table, selection.json and the output artifacts."""
    from tfx.types import standard_artifacts

    outputs = {
        "model": standard_artifacts.Model(),
        "average": standard_artifacts.Model(),
        "predictions": Predictions(),
    }
    for key, artifact in outputs.items():
        artifact.uri = str(root / key)
    executor.Executor().Do(
        {key: [value] for key, value in inputs.items()},
        {key: [value] for key, value in outputs.items()},
        {
            "genres": json.dumps(list(GENRES)),
            "audio_hash": PARAMS.digest(),
            "ensemble": json.dumps({"candidate": candidate}),
            "synthetic": 1,
            "code_digest": "0123456789abcdef",
        },
    )
    selection = json.loads((root / "predictions" / "selection.json").read_text())
    return table.read_table(outputs["predictions"].uri), selection, outputs


def _card(model: Any) -> dict[str, Any]:
    from tfx.utils import path_utils

    path = pathlib.Path(path_utils.serving_model_dir(model.uri), "assets", "model_card.json")
    return dict(json.loads(path.read_text()))


def test_the_mean_of_the_networks_becomes_the_candidate_where_it_is_better(
    inputs: dict[str, Any], tmp_path: pathlib.Path
) -> None:
    from tfx.utils import path_utils

    _, selection, outputs = _do(inputs, tmp_path)
    assert selection["validation_track_accuracy"] == pytest.approx(
        {
            "cnn_small": 2 / 3,
            "ffnn": 2 / 3,
            "ensemble_networks": 1,
            "ensemble_all": 1,
            "ensemble_weighted": 1,
        }
    )
    assert selection["candidate"] == "ensemble_networks"
    assert outputs["model"].get_string_custom_property("architecture") == "ensemble_networks"
    card = _card(outputs["model"])
    assert card == _card(outputs["average"])
    assert card["model_digest"] == selection["candidate_digest"]
    assert card["synthetic"] is True
    assert selection["parameters"]["ensemble_networks"] == 24
    assert selection["best_baseline"] is None
    saved_model = path_utils.serving_model_dir(outputs["model"].uri)
    assert read_seen_tracks(saved_model) == {track_digest(name) for name in ("t0", "t1", "v")}


def test_the_candidates_own_answers_are_its_rows(
    inputs: dict[str, Any], tmp_path: pathlib.Path
) -> None:
    """The exported average returns the probabilities of its rows in the table."""
    from tfx.utils import path_utils

    from components.predictions.predict import predict_split

    rows, _, outputs = _do(inputs, tmp_path)
    clips, probabilities = predict_split(
        path_utils.serving_model_dir(outputs["model"].uri),
        inputs["examples"].uri,
        "test",
        lambda _: None,
    )
    served = table.make_table("ensemble_networks", "test", clips, probabilities, GENRES)
    mine = rows[(rows["model"] == "ensemble_networks") & (rows["split"] == "test")]
    pd.testing.assert_frame_equal(mine.reset_index(drop=True), served, atol=1e-6)
    expected = np.mean([NETWORKS["cnn_small"], NETWORKS["ffnn"]], axis=0)[mine["label"]]
    columns = table.probability_columns(GENRES)
    np.testing.assert_allclose(mine[columns].to_numpy(), expected, atol=1e-3)


def test_the_mean_is_only_measured_where_the_settings_say_so(
    inputs: dict[str, Any], tmp_path: pathlib.Path
) -> None:
    rows, selection, outputs = _do(inputs, tmp_path, candidate=False)
    assert selection["candidate"] == "cnn_small"
    assert _card(outputs["model"])["architecture"] == "cnn_small"
    assert "ensemble_networks" in set(rows["model"])
    assert _card(outputs["average"])["architecture"] == "ensemble_networks"


def test_baselines_join_the_table_and_the_averages_but_never_serve(
    inputs: dict[str, Any], tmp_path: pathlib.Path
) -> None:
    given = {**inputs, **_baselines(tmp_path / "baselines")}
    rows, selection, _ = _do(given, tmp_path / "out", candidate=False)
    assert set(rows["model"]) == set(selection["kinds"]) >= {"svm", "dummy", "ensemble_all"}
    assert selection["candidate"] in NETWORKS  # although the svm is always right
    assert selection["best_baseline"] == "svm"
    assert selection["members"]["ensemble_all"] == ["cnn_small", "ffnn", "svm"]
    assert selection["weights"]["svm"] == pytest.approx(1, abs=1e-3)
    assert selection["train_seconds"]["svm"] == 0.5
    assert (rows.groupby(["model", "split"]).size() == 2 * TRACKS).all()


def test_one_network_has_no_mean(inputs: dict[str, Any], tmp_path: pathlib.Path) -> None:
    alone = {key: value for key, value in inputs.items() if "ffnn" not in key}
    rows, selection, outputs = _do(alone, tmp_path)
    assert set(rows["model"]) == {"cnn_small"}
    assert selection["members"] == {}
    assert list(pathlib.Path(outputs["average"].uri).iterdir()) == []


def test_models_and_baselines_of_other_data_are_refused(
    inputs: dict[str, Any], tmp_path: pathlib.Path
) -> None:
    foreign = _baselines(tmp_path / "a", genres=("Folk", "Rock", "Pop"))
    with pytest.raises(DataError, match="other genres"):
        _do({**inputs, **foreign}, tmp_path / "o1")
    mixed = _baselines(tmp_path / "b")
    rows = table.read_table(mixed["baseline_predictions"].uri)
    shutil.rmtree(mixed["baseline_predictions"].uri)
    table.write_table(rows[rows["track_id"] != "test0"], mixed["baseline_predictions"].uri)
    with pytest.raises(DataError, match="different runs"):
        _do({**inputs, **mixed}, tmp_path / "o2")
