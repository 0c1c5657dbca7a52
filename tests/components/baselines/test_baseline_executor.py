"""Tests of BaselineTrainer's executor on example files: outputs and rejected input."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from components.artifacts.base_executor import Parameters
from components.artifacts.types import BaselineModels, Predictions
from components.audio.params import AudioParams
from components.audio.spectrogram.stored import to_stored
from components.baselines import executor, reading, store
from components.baselines.settings import BASELINES, BaselineSettings
from components.common.errors import DataError
from components.examples.writer import Clip, serialize
from components.predictions import table
from tests.components.baselines.baseline_toys import GENRES, toy
from tests.components.baselines.test_baseline_models import QUICK

PARAMS = AudioParams(
    sample_rate_hz=4000, fft_samples=256, hop_samples=128, n_mels=16, clip_seconds=0.5
)
CLIPS = {"train": 60, "validation": 12, "test": 15}
CLIPS_PER_TRACK = 3


def _write(folder: pathlib.Path, split: str, clips: int, *, loud_db: float = 0.0) -> None:
    """Write two shards of clips, three for each track."""
    mel_db, labels = toy(clips // 3, seed=len(split), bands=PARAMS.n_mels, frames=PARAMS.frames)
    order = np.argsort(labels, kind="stable")  # so that a track is of one genre
    (folder / f"Split-{split}").mkdir(parents=True)
    for shard, members in enumerate(np.array_split(order, 2)):
        path = folder / f"Split-{split}" / f"part-{shard:05d}-of-00002.tfrecord"
        with tf.io.TFRecordWriter(str(path)) as writer:
            for number in members:
                place = int(np.flatnonzero(order == number)[0])
                track = place // CLIPS_PER_TRACK
                clip = Clip(
                    track_id=f"{split}-ü{track}",
                    artist_id=f"artist {track % 2}",
                    genre=GENRES[labels[number]],
                    label=int(labels[number]),
                    clip_index=place % CLIPS_PER_TRACK,
                    clip_start_s=0.0,
                    mel_db=to_stored(mel_db[number] + loud_db),
                )
                writer.write(serialize(clip, PARAMS))


def _examples(folder: pathlib.Path, audio_hash: str = PARAMS.digest()) -> Any:
    from tfx.types import artifact_utils, standard_artifacts

    artifact = standard_artifacts.Examples()
    artifact.uri = str(folder)
    artifact.split_names = artifact_utils.encode_split_names(list(CLIPS))
    artifact.set_string_custom_property("audio_hash", audio_hash)
    return artifact


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Any:
    root = tmp_path_factory.mktemp("examples")
    for split, clips in CLIPS.items():
        _write(root, split, clips)
    return _examples(root)


def _do(
    examples: Any,
    folder: pathlib.Path,
    settings: BaselineSettings = QUICK,
    genres: tuple[str, ...] = GENRES,
) -> tuple[str, str]:
    outputs = {"baselines": BaselineModels(), "predictions": Predictions()}
    for key, artifact in outputs.items():
        artifact.uri = str(folder / key)
    executor.Executor().Do(
        {"examples": [examples]},
        {key: [value] for key, value in outputs.items()},
        {
            "settings": json.dumps(dataclasses.asdict(settings)),
            "audio": json.dumps(PARAMS.to_json()),
            "genres": json.dumps(list(genres)),
            "audio_hash": PARAMS.digest(),
            "code_digest": "0123456789abcdef",
        },
    )
    assert outputs["baselines"].get_string_custom_property("audio_hash") == PARAMS.digest()
    return outputs["baselines"].uri, outputs["predictions"].uri


def test_it_writes_the_models_and_their_predictions(
    examples: Any, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[dict[str, Any]] = []
    monkeypatch.setattr(executor.progress, "report", lambda event, **fields: heard.append(fields))
    models, predictions = _do(examples, tmp_path)
    description = store.describe(models)
    assert description["clips"] == CLIPS
    assert description["audio_hash"] == PARAMS.digest()
    assert description["code_digest"] == "0123456789abcdef"

    rows = table.read_table(predictions)
    assert list(rows.columns) == [*table.KEYS, *(f"p_{genre}" for genre in GENRES)]
    assert list(rows["model"].unique()) == list(BASELINES)
    for (_, split), found in rows.groupby(["model", "split"]):
        # Every clip once, under its own name.
        assert len(found) == CLIPS[split]
        keys = list(zip(found["track_id"], found["clip_index"], strict=True))
        assert keys == sorted(
            (f"{split}-ü{place // 3}", place % 3) for place in range(CLIPS[split])
        )
    # Answers stand with the clip that they are for.
    logistic = rows[rows["model"] == "logistic"]
    probabilities = logistic[[f"p_{genre}" for genre in GENRES]].to_numpy()
    assert (probabilities.argmax(axis=1) == logistic["label"]).mean() > 0.9

    assert {event["stage"] for event in heard} == {"baselines"}
    assert [event["done"] for event in heard] == sorted(event["done"] for event in heard)
    assert set(BASELINES) <= {event["detail"] for event in heard}
    assert heard[-1]["done"] == heard[-1]["total"]


def test_validation_and_test_clips_change_no_model(examples: Any, tmp_path: pathlib.Path) -> None:
    """Other held-out clips give the same files, as a fit on all splits would not."""
    root = tmp_path / "examples"
    _write(root, "train", CLIPS["train"])
    for split in ("validation", "test"):
        _write(root, split, CLIPS[split] - 3, loud_db=30)
    settings = dataclasses.replace(QUICK, models=("knn", "logistic", "xgboost"))
    one = store.describe(_do(examples, tmp_path / "one", settings)[0])
    other = store.describe(_do(_examples(root), tmp_path / "other", settings)[0])
    assert one["clips"] != other["clips"]
    assert one["files"] == other["files"]
    assert one["pca"] == other["pca"]


def test_what_does_not_fit_into_memory_is_read_again_and_gives_the_same(
    examples: Any, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = reading.read_split(examples.uri, "train", PARAMS, held_bytes=1 << 30)
    streamed = reading.read_split(examples.uri, "train", PARAMS, held_bytes=1000)
    assert held.stored is not None
    assert streamed.stored is None
    for one, other in zip(held.blocks(), streamed.blocks(), strict=True):
        np.testing.assert_array_equal(one, other)
    settings = dataclasses.replace(QUICK, models=("logistic",))
    first = store.describe(_do(examples, tmp_path / "a", settings)[0])
    monkeypatch.setattr(executor, "cache_bytes", lambda: 0)
    assert store.describe(_do(examples, tmp_path / "b", settings)[0])["files"] == first["files"]


def test_examples_of_other_parameters_are_told(examples: Any, tmp_path: pathlib.Path) -> None:
    with pytest.raises(DataError, match=r"audio parameters 0000.*must not be mixed"):
        _do(_examples(pathlib.Path(examples.uri), "0000"), tmp_path)


def test_a_genre_that_is_not_in_the_examples_is_told(examples: Any, tmp_path: pathlib.Path) -> None:
    with pytest.raises(DataError, match="no clip of 'rumba'"):
        _do(examples, tmp_path, genres=(*GENRES, "rumba"))
    with pytest.raises(DataError, match="label 2, but there are 2 genres"):
        _do(examples, tmp_path, genres=GENRES[:2])


def test_a_split_without_clips_is_told(tmp_path: pathlib.Path) -> None:
    for split, clips in CLIPS.items():
        _write(tmp_path / "examples", split, clips)
    for path in (tmp_path / "examples" / "Split-test").iterdir():
        path.write_bytes(b"")
    settings = dataclasses.replace(QUICK, models=("dummy",))
    with pytest.raises(DataError, match="the test split has no clips"):
        _do(_examples(tmp_path / "examples"), tmp_path, settings)


def test_a_damaged_file_is_told_by_its_name(tmp_path: pathlib.Path) -> None:
    _write(tmp_path, "train", 60)
    path = sorted((tmp_path / "Split-train").iterdir())[1]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match=path.name):
        reading.read_split(str(tmp_path), "train", PARAMS)


def test_the_node_s_parameters_hold_what_decides_its_outputs() -> None:
    from tfx import types
    from tfx.types import standard_artifacts

    from components.baselines.component import BaselineTrainer

    def parameters(settings: BaselineSettings) -> dict[str, Any]:
        node = BaselineTrainer(
            examples=types.Channel(type=standard_artifacts.Examples),
            settings=settings,
            audio=PARAMS,
            genres=GENRES,
        )
        assert set(node.outputs) == {"baselines", "predictions"}
        return dict(node.exec_properties)

    one = parameters(QUICK)
    task = executor.BaselineTask.parse(Parameters(one))
    assert (task.settings, task.audio, task.genres) == (QUICK, PARAMS, GENRES)
    assert one["audio_hash"] == PARAMS.digest()
    assert parameters(dataclasses.replace(QUICK, seed=7)) != one
    with pytest.raises(ValueError, match=r"baselines\.models is empty"):
        parameters(dataclasses.replace(QUICK, models=()))
