"""Tests of DataCheck's executor: what it writes, and what drift does to the run."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_metadata.proto.v0 import anomalies_pb2, statistics_pb2
from tfx.types.standard_artifacts import ExampleAnomalies, Examples, PushedModel

from components.artifacts.types import DataCheckResult
from components.audio.params import AudioParams
from components.audio.spectrogram.stored import to_stored
from components.common.errors import DataError
from components.common.model_contract import TRAINING_STATISTICS
from components.data_check import statistics
from components.data_check.executor import Executor
from components.examples.writer import Clip, serialize

PARAMS = AudioParams(
    sample_rate_hz=8000, fft_samples=256, hop_samples=128, n_mels=16, clip_seconds=0.5
)
GENRES = ["Folk", "Rock"]
SONGS = 60


def _examples(folder: pathlib.Path, level_db: float) -> Any:
    rng = np.random.default_rng(0)
    for split, songs in (("train", SONGS), ("validation", 2), ("test", 2)):
        (folder / f"Split-{split}").mkdir(parents=True)
        with tf.io.TFRecordWriter(str(folder / f"Split-{split}" / "data")) as out:
            for song in range(songs):
                level = np.clip(rng.normal(level_db, 3), -80, 0)
                mel = to_stored(np.full((PARAMS.n_mels, PARAMS.frames), level))
                label = song % 2
                clip = Clip(f"{split} {song}", "", GENRES[label], label, 0, 0.0, mel)
                out.write(serialize(clip, PARAMS))
    examples = Examples()
    examples.uri = str(folder)
    examples.set_string_custom_property("audio_hash", PARAMS.digest())
    return examples


def _serving(folder: pathlib.Path, songs: bytes | None, audio: str = "") -> Any:
    (folder / "assets").mkdir(parents=True)
    (folder / "assets.extra").mkdir()
    for name, content in {
        "genres": GENRES,
        "audio_params": {"digest": audio or PARAMS.digest(), "params": {}},
        "model_card": {"model_digest": "d"},
    }.items():
        (folder / "assets" / f"{name}.json").write_text(json.dumps(content))
    if songs is not None:
        (folder / TRAINING_STATISTICS).write_bytes(songs)
    pushed = PushedModel()
    pushed.uri = str(folder)
    pushed.set_string_custom_property("pushed_version", "17")
    return pushed


def _check(
    folder: pathlib.Path,
    *,
    level_db: float = -40,
    serving: Any = None,
    known: int = 1,
    **settings: Any,
) -> tuple[dict[str, Any], bytes]:
    """Run it; return the drift in check.json, and the stored statistics."""
    anomalies, result = ExampleAnomalies(), DataCheckResult()
    anomalies.uri, result.uri = str(folder / "anomalies"), str(folder / "result")
    for split in ("train", "validation", "test"):
        place = folder / "anomalies" / f"Split-{split}"
        place.mkdir(parents=True)
        (place / "SchemaDiff.pb").write_bytes(anomalies_pb2.Anomalies().SerializeToString())
    chosen = {"drift": "warn", "drift_divergence": 0.1, "drift_share": 0.05, **settings}
    Executor().Do(
        {
            "examples": [_examples(folder / "examples", level_db)],
            "anomalies": [anomalies],
            "serving_model": [serving] if serving else [],
        },
        {"result": [result]},
        {
            "audio": json.dumps(PARAMS.to_json()),
            "genres": json.dumps(GENRES),
            "leaky": 0,
            "artists_apart": 0,
            "settings": json.dumps(chosen),
            "resolves_serving": known,
        },
    )
    found = json.loads((folder / "result" / "check.json").read_text())
    assert found["tracks"] == {"train": SONGS, "validation": 2, "test": 2}
    return found["drift"], (folder / "result" / "training_statistics.pb").read_bytes()


def test_the_first_run_has_nothing_to_compare_with_and_says_so(tmp_path: pathlib.Path) -> None:
    found, songs = _check(tmp_path)
    assert found["outcome"] == "unknown"
    assert found["text"] == "no model serves yet, so there is nothing to compare with"
    stored = statistics_pb2.DatasetFeatureStatisticsList.FromString(songs)
    assert statistics.songs_in(stored) == SONGS
    assert statistics.genre_counts(stored) == {"Folk": SONGS / 2, "Rock": SONGS / 2}


def test_the_next_run_is_compared_with_the_songs_of_the_serving_model(
    tmp_path: pathlib.Path,
) -> None:
    _, songs = _check(tmp_path / "1")
    serving = _serving(tmp_path / "serving", songs)
    same, _ = _check(tmp_path / "2", serving=serving)
    assert (same["outcome"], same["version"], same["songs_before"]) == ("same", "17", SONGS)
    other, _ = _check(tmp_path / "3", level_db=-20, serving=serving)
    assert other["outcome"] == "drifted"
    assert {one["feature"] for one in other["measurements"] if one["drifted"]} == {
        *statistics.NUMBERS
    }
    with pytest.raises(DataError, match=r"drifted, so nothing was trained: .*version 17") as caught:
        _check(tmp_path / "4", level_db=-20, serving=serving, drift="stop")
    assert 'data_check.drift = "warn"' in str(caught.value)
    off, _ = _check(tmp_path / "5", level_db=-20, serving=serving, drift="off")
    assert off["outcome"] == "off"


@pytest.mark.parametrize("songs", [None, b"\xff\xff\xff"])
def test_a_version_without_readable_statistics_is_no_reason_to_stop(
    tmp_path: pathlib.Path, songs: bytes | None
) -> None:
    serving = _serving(tmp_path / "serving", songs)
    found, _ = _check(tmp_path / "run", serving=serving, drift="stop")
    assert found["text"] == "version 17 holds no readable statistics of its songs"


def test_a_pipeline_that_cannot_look_up_the_serving_model_says_so(tmp_path: pathlib.Path) -> None:
    found, _ = _check(tmp_path, known=0)
    assert found["text"] == "this pipeline cannot look up the serving model"


def test_a_serving_model_with_other_audio_parameters_is_compared_by_genre_alone(
    tmp_path: pathlib.Path,
) -> None:
    _, songs = _check(tmp_path / "1")
    serving = _serving(tmp_path / "serving", songs, audio="0" * 16)
    found, _ = _check(tmp_path / "2", level_db=-20, serving=serving)
    assert found["outcome"] == "same"
    assert [one["feature"] for one in found["measurements"]] == ["genre"]
