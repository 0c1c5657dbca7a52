"""The average of exported networks as a served model."""

from __future__ import annotations

import hashlib
import json
import pathlib
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.audio.params import AudioParams
from components.common.errors import DataError
from components.ensemble.export import average_digest, export_average
from components.examples.writer import Clip, serialize
from components.export.assets import read_seen_tracks, seen_tracks_of, track_digest
from components.trainer.export import export_saved_model

PARAMS = AudioParams(
    sample_rate_hz=8000, fft_samples=256, hop_samples=128, n_mels=16, clip_seconds=0.25
)
GENRES = ("Folk", "Pop", "Rock")
SEEN = {
    "a": {"train": ["t1"], "validation": ["t2"]},
    "b": {"train": ["t1", "t3"], "validation": []},
}


def _network(seed: int) -> keras.Model:
    keras.utils.set_random_seed(seed)
    mel_db = keras.Input((PARAMS.n_mels, PARAMS.frames), name="mel_db")
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 40, offset=1)(mel_db))
    x = keras.layers.Dense(8, activation="relu")(keras.layers.BatchNormalization()(x))
    return keras.Model(mel_db, keras.layers.Dense(len(GENRES), activation="softmax")(x))


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("members")
    for number, name in enumerate(("a", "b")):
        export_saved_model(
            _network(number),
            str(root / name),
            params=PARAMS,
            genres=GENRES,
            model_card={
                "architecture": name,
                "parameters": 10 + number,
                "training_inputs": f"{number:064x}",
            },
            seen=seen_tracks_of(SEEN[name]),
        )
    return {name: str(root / name) for name in ("a", "b")}


@pytest.fixture(scope="module")
def average(members: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("average") / "model"
    export_average(
        members,
        str(path),
        name="ensemble_networks",
        genres=GENRES,
        model_card={"synthetic": True},
    )
    return path


def _inputs() -> dict[str, dict[str, Any]]:
    rng = np.random.default_rng(3)
    waveform = rng.uniform(-0.5, 0.5, (2, 3 * PARAMS.clip_samples)).astype(np.float32)
    pcm = tf.audio.encode_wav(waveform[0][:, None], PARAMS.sample_rate_hz)
    steps = rng.integers(0, 80 * 512, (5, PARAMS.n_mels, PARAMS.frames)).astype(np.uint16)
    examples = [
        serialize(Clip(f"t{i}", "", "Folk", 0, 0, 0.0, mel), PARAMS) for i, mel in enumerate(steps)
    ]
    return {
        "serving_default": {"waveform": tf.constant(waveform)},
        "serving_wav": {"audio": tf.stack([pcm])},
        "serving_examples": {"examples": tf.constant(examples)},
    }


@pytest.mark.parametrize("signature", ["serving_default", "serving_wav", "serving_examples"])
def test_its_answers_are_the_mean_of_its_members(
    members: dict[str, str], average: pathlib.Path, signature: str
) -> None:
    inputs = _inputs()[signature]
    each = [
        tf.saved_model.load(path).signatures[signature](**inputs)["probabilities"].numpy()
        for path in members.values()
    ]
    assert np.abs(each[0] - each[1]).max() > 0.01
    answer = tf.saved_model.load(str(average)).signatures[signature](**inputs)
    np.testing.assert_allclose(answer["probabilities"].numpy(), np.mean(each, axis=0), atol=1e-6)
    assert answer["genres"].numpy()[0].tolist() == [genre.encode() for genre in GENRES]


def test_it_describes_itself_and_its_members(
    members: dict[str, str], average: pathlib.Path
) -> None:
    model = tf.saved_model.load(str(average))
    described = model.signatures["describe"](query=tf.constant([""]))
    card = json.loads(described["model_card"].numpy()[0])
    assert card["architecture"] == "ensemble_networks"
    assert card["synthetic"] is True
    assert card["parameters"] == 21
    own = {
        name: json.loads(pathlib.Path(path, "assets/model_card.json").read_text())
        for name, path in members.items()
    }
    assert card["members"] == own
    digests = [one["model_digest"] for one in own.values()]
    assert card["model_digest"] == average_digest(digests[::-1], PARAMS, GENRES)
    assert card["model_digest"] != average_digest([*digests, digests[0]], PARAMS, GENRES)
    inputs = sorted(one["training_inputs"] for one in own.values())
    text = json.dumps(["average", inputs])
    assert card["training_inputs"] == hashlib.sha256(text.encode()).hexdigest()


def test_it_has_seen_what_its_members_have_seen(average: pathlib.Path) -> None:
    assert read_seen_tracks(str(average)) == {track_digest(name) for name in ("t1", "t2", "t3")}


def test_it_can_be_a_member_itself(
    members: dict[str, str], average: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    both = {"a": members["a"], "average": str(average)}
    export_average(both, str(tmp_path / "m"), name="more", genres=GENRES, model_card={})
    inputs = _inputs()["serving_examples"]
    answers = [
        tf.saved_model.load(path).signatures["serving_examples"](**inputs)["probabilities"].numpy()
        for path in (*both.values(), str(tmp_path / "m"))
    ]
    np.testing.assert_allclose(answers[2], (answers[0] + answers[1]) / 2, atol=1e-6)


def test_members_that_do_not_fit_together_are_refused(
    members: dict[str, str], tmp_path: pathlib.Path
) -> None:
    def attempt(saved_models: dict[str, str], genres: tuple[str, ...] = GENRES) -> None:
        export_average(saved_models, str(tmp_path / "m"), name="x", genres=genres, model_card={})

    with pytest.raises(DataError, match="other genres"):
        attempt(members, ("Folk", "Rock", "Pop"))
    with pytest.raises(ValueError, match="two members"):
        attempt({"a": members["a"]})
    other = AudioParams(
        sample_rate_hz=8000, fft_samples=256, hop_samples=128, n_mels=16, clip_seconds=0.5
    )
    mel_db = keras.Input((other.n_mels, other.frames))
    long = keras.Model(
        mel_db, keras.layers.Dense(3, activation="softmax")(keras.layers.Flatten()(mel_db))
    )
    path = str(tmp_path / "long")
    export_saved_model(
        long, path, params=other, genres=GENRES, model_card={"parameters": 1}, seen=None
    )
    with pytest.raises(DataError, match="different audio parameters"):
        attempt({**members, "long": path})
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="genres\\.json: missing"):
        attempt({**members, "empty": str(tmp_path / "empty")})
    assert not (tmp_path / "m").exists()
