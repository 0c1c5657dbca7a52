"""Tests of the Trainer's function, from example files to a SavedModel and its history."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from components.audio.params import AudioParams
from components.audio.spectrogram.stored import to_stored
from components.common import resources
from components.common.errors import DataError
from components.examples import reader
from components.examples.writer import Clip, serialize
from components.models import registry
from components.models.settings import ModelSettings
from components.trainer import curves, data, run_fn
from components.trainer.resolved import resolve
from components.trainer.settings import TrainingSettings
from components.trainer.task import TrainingTask

pytestmark = pytest.mark.memory

PARAMS = AudioParams(
    sample_rate_hz=4000, fft_samples=256, hop_samples=128, n_mels=16, clip_seconds=0.5
)
GENRES = ("blues", "jazz", "polka")
DATA = {"dataset": {"kind": "folder"}, "split": {"policy": "by_track", "seed": 5}}


def _write(folder: pathlib.Path, labels: list[int]) -> list[str]:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(len(labels))
    with tf.io.TFRecordWriter(str(folder / "part-00000-of-00001.tfrecord")) as writer:
        for number, label in enumerate(labels):
            mel_db = rng.uniform(-70, -50, (PARAMS.n_mels, PARAMS.frames))
            mel_db[2 + 5 * (label % 3)] += 40
            clip = Clip(
                track_id=str(number),
                artist_id="",
                genre=GENRES[label % 3],
                label=label,
                clip_index=0,
                clip_start_s=0.0,
                mel_db=to_stored(mel_db),
            )
            writer.write(serialize(clip, PARAMS))
    return [f"{folder}/*"]


def _config(architecture: str = "ffnn", **model: Any) -> dict[str, Any]:
    training = TrainingSettings(epochs=3, fine_tune_epochs=1, batch_size=8)
    task = TrainingTask(
        architecture=architecture,
        model=ModelSettings(**model),
        training=training,
        audio=PARAMS,
        genres=GENRES,
        code_digest="0123456789abcdef",
        weights_digest="",
        data=DATA,
    )
    return task.to_json()


def _fn_args(
    folder: pathlib.Path,
    config: dict[str, Any],
    *,
    train: list[int] | None = None,
    validation: list[int] | None = None,
) -> Any:
    return types.SimpleNamespace(
        train_files=_write(folder / "Split-train", [0, 1, 2] * 8 if train is None else train),
        eval_files=_write(
            folder / "Split-validation", [0, 1, 2] if validation is None else validation
        ),
        serving_model_dir=str(folder / "model" / "Format-Serving"),
        model_run_dir=str(folder / "model_run"),
        custom_config=config,
        hyperparameters=None,
    )


def _history(fn_args: Any) -> dict[str, Any]:
    found = json.loads(pathlib.Path(fn_args.model_run_dir, "history.json").read_text())
    files = {path.name for path in pathlib.Path(fn_args.model_run_dir).iterdir()}
    phases = {phase["phase"] for phase in found["phases"]}
    assert files - {"base.weights.h5"} == {"history.json", "curves.png", *phases}
    return found


@dataclasses.dataclass(frozen=True)
class Finished:
    """Finished training, with the places that it was given by variables."""

    fn_args: Any
    checkpoints: pathlib.Path
    curves: pathlib.Path
    events: pathlib.Path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Train once, with every variable set, where an interrupted try left files."""
    folder = tmp_path_factory.mktemp("finished")
    fn_args = _fn_args(folder, _config())
    for directory in (fn_args.serving_model_dir, fn_args.model_run_dir):
        leftover = pathlib.Path(directory, "leftover")
        leftover.parent.mkdir(parents=True)
        leftover.write_text("half")
    made = Finished(fn_args, folder / "checkpoints", folder / "curves", folder / "events.jsonl")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(run_fn.CHECKPOINTS_VARIABLE, str(made.checkpoints))
        patch.setenv("GENREFLOW_CURVES", str(made.curves))
        patch.setenv("GENREFLOW_EVENT_FILE", str(made.events))
        run_fn.run_fn(fn_args)
    return made


def test_it_writes_a_model_and_its_history(finished: Finished) -> None:
    fn_args = finished.fn_args
    history = _history(fn_args)
    assert history["schema_version"] == 1
    assert history["architecture"] == "ffnn"
    pixels = PARAMS.n_mels * PARAMS.frames
    assert history["parameters"] == (pixels + 1) * 512 + 513 * 256 + 257 * 3
    assert history["train_seconds"] > 0
    assert history["clips"] == {"train": 24, "validation": 3}
    assert [epoch["epoch"] for epoch in history["epochs"]] == [1, 2, 3]
    assert set(history["epochs"][0]) == {
        "phase", "epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate",
        "seconds",
    }  # fmt: skip
    assert [phase["phase"] for phase in history["phases"]] == ["train"]
    assert history["settings"]["batch_size"] == 8
    assert history["tuned"] == {}
    assert history["genres"] == list(GENRES)
    assert set(history["versions"]) == {
        "genreflow", "python", "keras", "backend", "tfx", "tensorflow", "numpy",
    }  # fmt: skip

    model = tf.saved_model.load(fn_args.serving_model_dir)
    (serialized,) = reader.blocks(reader.find(fn_args.eval_files))
    answer = model.signatures["serving_examples"](serialized)
    assert answer["probabilities"].shape == (3, 3)
    card = json.loads(
        (pathlib.Path(fn_args.serving_model_dir) / "assets/model_card.json").read_text()
    )
    assert card["architecture"] == "ffnn"
    assert card["synthetic"] is False
    assert len(card["training_inputs"]) == 64
    assert card["train_clips_per_genre"] == {"blues": 8, "jazz": 8, "polka": 8}
    best = min(history["epochs"], key=lambda epoch: epoch["val_loss"])
    assert card["kept"] == {"phase": "train", "epoch": best["epoch"]}
    assert card["validation"]["clip_accuracy"] == best["val_accuracy"]
    seen = json.loads(
        (pathlib.Path(fn_args.serving_model_dir) / "assets/seen_tracks.json").read_text()
    )
    assert seen == {
        split: sorted(hashlib.sha256(str(n).encode()).hexdigest()[:16] for n in range(count))
        for split, count in history["clips"].items()
    }
    # What it takes to make the same model again.
    assert card["settings"] == history["settings"]
    assert card["settings"]["seed"] == 0
    assert card["data"] == {**DATA, "audio": PARAMS.to_json()}
    assert card["versions"] == history["versions"]
    described = model.signatures["describe"](query=tf.constant([""]))
    assert json.loads(described["model_card"].numpy()[0]) == card


def test_what_a_tuner_found_is_what_it_trains_with_and_says(tmp_path: pathlib.Path) -> None:
    fn_args = _fn_args(tmp_path, _config(epochs=1))
    found = {"learning_rate": 0.002, "batch_size": 4, "dropout": 0.15}
    fn_args.hyperparameters = {"space": [], "values": found}
    run_fn.run_fn(fn_args)
    history = _history(fn_args)
    assert history["tuned"] == found
    assert {name: history["settings"][name] for name in found} == found
    card = pathlib.Path(fn_args.serving_model_dir, "assets/model_card.json").read_text()
    assert json.loads(card)["tuned"] == found
    assert json.loads(card)["settings"]["batch_size"] == 4

    fn_args.hyperparameters = {"values": {"epochs": 3}}
    with pytest.raises(ValueError, match="epochs = 3"):
        run_fn.run_fn(fn_args)


def _base_weights(fn_args: Any) -> pathlib.Path:
    return pathlib.Path(fn_args.model_run_dir, "base.weights.h5")


def test_a_base_that_was_trained_is_trained_on_in_two_phases(tmp_path: pathlib.Path) -> None:
    scratch = _fn_args(tmp_path / "a", _config("vgg16", image_size=32, epochs=1))
    run_fn.run_fn(scratch)
    assert [phase["phase"] for phase in _history(scratch)["phases"]] == ["train"]

    again = {"weights": str(_base_weights(scratch)), "image_size": 32, "epochs": 1}
    transfer = _fn_args(tmp_path / "b", _config("vgg16", max_train_clips=6, batch_size=6, **again))
    run_fn.run_fn(transfer)
    history = _history(transfer)
    assert [phase["phase"] for phase in history["phases"]] == ["head", "fine_tune"]
    assert history["clips"] == {"train": 6, "validation": 3}
    assert history["settings"]["weights"] == str(_base_weights(scratch))
    assert _base_weights(transfer).is_file()
    card = pathlib.Path(transfer.serving_model_dir, "assets/model_card.json").read_text()
    assert json.loads(card)["settings"]["weights"] == "base.weights.h5"
    assert str(tmp_path) not in card


def test_a_state_is_kept_while_training_and_gone_after_it(
    finished: Finished, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(finished.checkpoints.iterdir()) == []
    checkpoints = tmp_path / "checkpoints"
    monkeypatch.setenv(run_fn.CHECKPOINTS_VARIABLE, str(checkpoints))

    def full(*_arguments: Any, **_options: Any) -> None:
        raise OSError("the disk is full")

    broken = _fn_args(tmp_path / "b", _config())
    with monkeypatch.context() as patch:
        patch.setattr(run_fn, "export_saved_model", full)
        with pytest.raises(OSError, match="full"):
            run_fn.run_fn(broken)
    (kept,) = checkpoints.iterdir()
    assert kept.name.startswith("ffnn-")
    # The same training resumes from it, whatever its path is; another one does not.
    other = _config()
    other["training"]["seed"] = 1
    other_args = _fn_args(tmp_path / "c", other)
    run_fn.run_fn(other_args)
    assert kept.is_file()
    resumed = _fn_args(tmp_path / "d", _config())
    run_fn.run_fn(resumed)
    assert list(checkpoints.iterdir()) == []
    found = _history(resumed)
    assert found["resumed_epochs"] == 3
    assert _history(other_args)["resumed_epochs"] == 0
    expected = _history(finished.fn_args)
    assert [epoch["val_loss"] for epoch in found["epochs"]] == [
        epoch["val_loss"] for epoch in expected["epochs"]
    ]


def _scalars(folder: pathlib.Path) -> dict[str, list[tuple[int, float]]]:
    """Return the steps and values of each curve that TensorBoard finds in a run."""
    reader = EventAccumulator(str(folder))
    reader.Reload()
    return {
        tag: [(event.step, event.value) for event in reader.Scalars(tag)]
        for tag in reader.Tags()["scalars"]
    }


def test_the_curves_are_those_of_the_history(finished: Finished) -> None:
    history = _history(finished.fn_args)
    epochs = history["epochs"]
    run = pathlib.Path(finished.fn_args.model_run_dir)
    for folder in (finished.curves / "ffnn" / "train", run / "train"):
        assert _scalars(folder) == {
            name: [(step, pytest.approx(epoch[name])) for step, epoch in enumerate(epochs, start=1)]
            for name in ("loss", "val_loss", "accuracy", "val_accuracy", "learning_rate")
        }
    assert (run / "curves.png").read_bytes() == curves.plot(history)


def test_too_many_clips_for_memory_are_streamed(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "cache_bytes", lambda: 27 * PARAMS.mel_bytes - 1)
    monkeypatch.setattr(data, "load", None)
    fn_args = _fn_args(tmp_path, _config())
    run_fn.run_fn(fn_args)
    history = _history(fn_args)
    assert len(history["epochs"]) == 3
    assert history["input"] == "stream"
    assert history["clips"] == {"train": 24, "validation": 3}


@pytest.mark.parametrize("kept_bytes", [0, resources.MAX_CACHE_BYTES])
def test_the_same_seed_gives_the_same_history(
    finished: Finished, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, kept_bytes: int
) -> None:
    monkeypatch.setattr(resources, "cache_bytes", lambda: kept_bytes)
    histories = [_history(finished.fn_args)] if kept_bytes else []
    for name in ("a", "b")[len(histories) :]:
        fn_args = _fn_args(tmp_path / name, _config())
        run_fn.run_fn(fn_args)
        tf.random.uniform([])
        histories.append(_history(fn_args))
    for history in histories:
        assert history["input"] == ("memory" if kept_bytes else "stream")
        for epoch in history["epochs"]:
            del epoch["seconds"]
    assert histories[0]["epochs"] == histories[1]["epochs"]


@pytest.mark.parametrize("split", ["train", "validation"])
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:-5], "part-00000.*truncated"),
        (lambda content: b"", "0 clips instead of"),
        (None, "part-00000.*the file is missing"),
    ],
)
def test_a_file_damaged_while_training_streams_is_told_in_words(
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    split: str,
    damage: Callable[[bytes], bytes] | None,
    message: str,
) -> None:
    monkeypatch.setattr(resources, "cache_bytes", lambda: 0)
    fn_args = _fn_args(tmp_path, _config())
    (file,) = (tmp_path / f"Split-{split}").iterdir()

    def report(*_: Any, **fields: Any) -> None:
        if fields["epoch"] == 2 and file.exists():
            if damage is None:
                file.unlink()
            else:
                file.write_bytes(damage(file.read_bytes()))

    monkeypatch.setattr(run_fn.progress, "report", report)
    with pytest.raises(DataError, match=message):
        run_fn.run_fn(fn_args)
    assert _nothing_written(fn_args)


def test_an_error_of_the_network_is_not_blamed_on_files(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "cache_bytes", lambda: 0)

    def train(*_: Any, **__: Any) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, "no memory left")

    monkeypatch.setattr(run_fn, "train", train)
    with pytest.raises(tf.errors.ResourceExhaustedError, match="no memory left"):
        run_fn.run_fn(_fn_args(tmp_path, _config()))


def test_what_an_interrupted_try_left_is_replaced(finished: Finished) -> None:
    assert not pathlib.Path(finished.fn_args.serving_model_dir, "leftover").exists()
    _history(finished.fn_args)  # which knows every file


def test_progress_goes_to_the_event_file(finished: Finished) -> None:
    lines = [json.loads(line) for line in finished.events.read_text().splitlines()]
    assert {(line["event"], line["architecture"]) for line in lines} == {("training", "ffnn")}
    assert [line["epoch"] for line in lines if "val_loss" in line] == [1, 2, 3]


def _nothing_written(fn_args: Any) -> bool:
    return not any(
        pathlib.Path(directory).exists()
        for directory in (fn_args.serving_model_dir, fn_args.model_run_dir)
    )


@pytest.mark.parametrize("split", ["train", "validation"])
def test_an_empty_split_is_told_in_words(tmp_path: pathlib.Path, split: str) -> None:
    fn_args = _fn_args(tmp_path, _config(), **{split: []})  # type: ignore[arg-type]
    with pytest.raises(DataError, match=f"the {split} split has no clips"):
        run_fn.run_fn(fn_args)
    assert _nothing_written(fn_args)


def test_a_genre_without_training_clips_is_named(tmp_path: pathlib.Path) -> None:
    fn_args = _fn_args(tmp_path, _config(), train=[0, 2, 0, 2])
    with pytest.raises(DataError, match=r"no clip of 'jazz': .*add tracks"):
        run_fn.run_fn(fn_args)
    assert _nothing_written(fn_args)


def test_a_batch_that_is_larger_than_the_data_is_told_before_training(
    tmp_path: pathlib.Path,
) -> None:
    fn_args = _fn_args(tmp_path, _config(batch_size=25))
    with pytest.raises(DataError, match=r"24 clips.*batch of 25.*models\.ffnn\.batch_size to 24"):
        run_fn.run_fn(fn_args)
    assert _nothing_written(fn_args)


def test_a_limit_that_leaves_a_genre_without_clips_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(DataError, match=r"max_train_clips = 2"):
        run_fn.run_fn(_fn_args(tmp_path, _config(max_train_clips=2)))


@pytest.mark.parametrize(("split", "label"), [("train", 3), ("validation", 7)])
def test_a_label_of_another_list_of_genres_is_told(
    tmp_path: pathlib.Path, split: str, label: int
) -> None:
    fn_args = _fn_args(tmp_path, _config(), **{split: [0, 1, 2, label]})  # type: ignore[arg-type]
    with pytest.raises(DataError, match=f"{split} split holds label {label}.*3 genres"):
        run_fn.run_fn(fn_args)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"genre": []}, "needs exactly"),
        ({"audio_hash": "0" * 16}, "hash"),
        ({"model": {"epochs": 3}}, "ModelSettings needs exactly"),
        ({"architecture": "vgg61"}, "unknown network 'vgg61'"),
    ],
)
def test_a_wrong_custom_config_is_refused(
    tmp_path: pathlib.Path, change: dict[str, Any], message: str
) -> None:
    fn_args = _fn_args(tmp_path, {**_config(), **change})
    with pytest.raises(ValueError, match=message):
        run_fn.run_fn(fn_args)
    assert _nothing_written(fn_args)


def test_mixed_precision_trains_and_serves_in_float32(tmp_path: pathlib.Path) -> None:
    config = _config("cnn_small", epochs=6)
    config["training"]["precision"] = "mixed"
    fn_args = _fn_args(tmp_path, config)
    run_fn.run_fn(fn_args)
    history = _history(fn_args)
    assert history["settings"]["precision"] == "mixed_bfloat16"
    assert history["devices"] == {"gpus": [], "replicas": 1, "jit_compile": False}

    model = tf.saved_model.load(fn_args.serving_model_dir)
    signature = model.signatures["serving_examples"]
    functions = signature.graph.as_graph_def().library.function
    types = {
        value.type
        for nodes in [signature.graph.as_graph_def().node, *(f.node_def for f in functions)]
        for node in nodes
        for value in node.attr.values()
    }
    assert tf.float32.as_datatype_enum in types
    assert not types & {tf.bfloat16.as_datatype_enum, tf.float16.as_datatype_enum}
    (serialized,) = reader.blocks(reader.find(fn_args.eval_files))
    probabilities = signature(serialized)["probabilities"]
    assert probabilities.dtype == tf.float32
    # What was validated in 16 bits holds for what serves.
    labels = next(iter(reader.labels(reader.find(fn_args.eval_files))))
    loss = -np.log(probabilities.numpy()[np.arange(len(labels)), labels]).mean()
    best = min(epoch["val_loss"] for epoch in history["epochs"])
    # The recorded loss has the penalty of cnn_small's weights on top.
    assert loss == pytest.approx(best, abs=0.15)


def test_a_state_belongs_to_one_precision(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(run_fn.CHECKPOINTS_VARIABLE, str(tmp_path))
    config = TrainingTask.parse(_config())
    defaults = registry.defaults("ffnn")
    paths = set()
    for precision in ("float32", "mixed"):
        training = dataclasses.replace(config.training, precision=precision)
        settings = resolve(training, config.model, defaults)
        inputs = run_fn._training_inputs(config, [], settings)
        paths.add(run_fn._checkpoint(config, inputs)._path)
    assert len(paths) == 2
