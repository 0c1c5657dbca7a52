"""Tests of the Tuner's executor on example files: outputs, state and rejected input."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from typing import Any

import pytest

from components.artifacts.types import TuningResults
from components.audio.params import AudioParams
from components.common.errors import DataError
from components.models.network import Network
from components.models.settings import ModelSettings
from components.trainer import features
from components.trainer.settings import TrainingSettings
from components.trainer.task import TrainingTask
from components.tuner import executor
from components.tuner.settings import TuningSettings
from components.tuner.task import TuningTask
from tests.components.trainer import toys
from tests.components.trainer.test_training_run_fn import GENRES, PARAMS, _write

TUNING = TuningSettings(
    networks=("ffnn",),
    trials=3,
    epochs=2,
    algorithm="random",
    learning_rate=(1e-4, 1e-2),
    batch_size=(4, 8),
)


def _properties(
    tuning: TuningSettings = TUNING,
    *,
    architecture: str = "ffnn",
    model: ModelSettings | None = None,
    audio: AudioParams = PARAMS,
) -> dict[str, Any]:
    training = TrainingTask(
        architecture=architecture,
        model=model or ModelSettings(),
        training=TrainingSettings(),
        audio=audio,
        genres=GENRES,
        code_digest="fedcba9876543210",
        weights_digest="",
    )
    task = TuningTask.of(training, tuning, code_digest="0123456789abcdef")
    return {"task": json.dumps(task.to_json())}


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return an Examples artifact of 24 train and 6 validation clips, and a damaged test split."""
    from tfx.types import artifact_utils, standard_artifacts

    root = tmp_path_factory.mktemp("examples")
    _write(root / "Split-train", [0, 1, 2] * 8)
    _write(root / "Split-validation", [0, 1, 2] * 2)
    (root / "Split-test").mkdir()
    (root / "Split-test" / "part-00000-of-00001.tfrecord").write_text("never to be opened")
    artifact = standard_artifacts.Examples()
    artifact.uri = str(root)
    artifact.split_names = artifact_utils.encode_split_names(["train", "validation", "test"])
    return artifact


def _do(examples: Any, folder: pathlib.Path, properties: dict[str, Any]) -> pathlib.Path:
    from tfx.types import standard_artifacts

    outputs = {"hyperparameters": standard_artifacts.HyperParameters(), "results": TuningResults()}
    for key, artifact in outputs.items():
        artifact.uri = str(folder / key)
    executor.Executor().Do(
        {"examples": [examples]}, {key: [value] for key, value in outputs.items()}, properties
    )
    return folder


def _trials(folder: pathlib.Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "results" / "trials.json").read_text())
    return found


def _without_seconds(found: dict[str, Any]) -> list[dict[str, Any]]:
    return [{**trial, "seconds": 0} for trial in found["trials"]]


def test_it_writes_the_best_values_and_all_trials(examples: Any, tmp_path: pathlib.Path) -> None:
    found = _trials(_do(examples, tmp_path, _properties()))
    assert [trial["number"] for trial in found["trials"]] == [1, 2, 3]
    assert found["clips"] == {"train": 24, "validation": 6}
    assert found["space"] == {"learning_rate": [1e-4, 1e-2], "batch_size": [4, 8]}
    best = min(found["trials"], key=lambda trial: trial["val_loss"])
    assert found["best"] == best["number"]
    assert found["values"] == best["values"]
    assert "keras-tuner" in found["versions"]
    # As TFX's Trainer reads it: the only file of its folder.
    (file,) = (tmp_path / "hyperparameters").iterdir()
    assert json.loads(file.read_text())["values"] == best["values"]
    assert {path.name for path in (tmp_path / "results").iterdir()} == {
        "trials.csv", "trials.json", "trials.png",
    }  # fmt: skip
    assert (tmp_path / "results" / "trials.png").read_bytes()[:4] == b"\x89PNG"


def test_a_search_that_was_killed_goes_on_where_it_was(
    examples: Any, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unbroken = _trials(_do(examples, tmp_path / "a", _properties()))
    checkpoints = tmp_path / "checkpoints"
    monkeypatch.setenv("GENREFLOW_CHECKPOINTS", str(checkpoints))

    class Killed(BaseException):
        pass

    def kill(event: str, **fields: Any) -> None:
        if fields.get("trial") == 2 and fields["done"] > 1.5 * 2 * 24:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(executor.progress, "report", kill)
        with pytest.raises(Killed):
            _do(examples, tmp_path / "b", _properties())
    # One finished trial, and the epoch of the second.
    (search,) = checkpoints.glob("tuner-ffnn-*.json")
    assert sorted(checkpoints.iterdir()) == [checkpoints / f"{search.stem}-2.npz", search]

    notes: list[str] = []
    trained: list[int] = []

    def listen(event: str, **fields: Any) -> None:
        if "note" in fields:
            notes.append(fields["note"])
        elif fields["trial"] not in trained:
            trained.append(fields["trial"])

    # Another search does not take it for its own.
    other = _properties(dataclasses.replace(TUNING, epochs=1, trials=2))
    with monkeypatch.context() as patch:
        patch.setattr(executor.progress, "report", listen)
        _do(examples, tmp_path / "c", other)
        assert notes == []
        assert trained == [1, 2]
        trained.clear()
        found = _trials(_do(examples, tmp_path / "d", _properties()))
    assert trained == [2, 3]
    assert notes == [
        "resumes after trial 1, where an earlier run was interrupted",
        "trial 2: resumes after epoch 1, where an earlier run was interrupted",
    ]
    assert _without_seconds(found) == _without_seconds(unbroken)
    assert list(checkpoints.iterdir()) == []


def test_a_frozen_bases_features_are_computed_once_for_all_trials(
    examples: Any, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(task: Any, model: ModelSettings, dtype_policy: str) -> Network:
        return toys.with_base(n_mels=PARAMS.n_mels, frames=PARAMS.frames)

    monkeypatch.setattr(executor, "_build", build)
    passes: list[int] = []
    compute = features.compute_features

    def counted(*args: Any, **options: Any) -> Any:
        passes.append(options["batch_size"])
        return compute(*args, **options)

    monkeypatch.setattr(features, "compute_features", counted)
    found = _trials(_do(examples, tmp_path, _properties()))
    assert len({trial["val_loss"] for trial in found["trials"]}) == 3
    # Of the smallest batch that any trial may have.
    assert passes == [4]


def test_progress_counts_the_clips_of_all_trials(
    examples: Any, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[dict[str, Any]] = []
    monkeypatch.setattr(
        executor.progress, "report", lambda event, **fields: heard.append({"event": event} | fields)
    )
    _do(examples, tmp_path, _properties())
    assert {event["event"] for event in heard} == {"tuning"}
    done = [event["done"] for event in heard]
    assert done == sorted(done)
    assert done[-1] == heard[-1]["total"] == 3 * 2 * 24
    assert heard[0]["best"] is None
    number, loss = heard[-1]["best"]
    trials = _trials(tmp_path)["trials"]
    assert loss == min(trial["val_loss"] for trial in trials[:2])
    assert number == 1 + [trial["val_loss"] for trial in trials].index(loss)


def test_batches_larger_than_the_data_are_told_before_anything_is_trained(
    examples: Any, tmp_path: pathlib.Path
) -> None:
    large = dataclasses.replace(TUNING, batch_size=(8, 64))
    with pytest.raises(DataError, match=r"24 clips.*one batch of 64: remove it from tuning.batch"):
        _do(examples, tmp_path, _properties(large))
    untuned = dataclasses.replace(TUNING, batch_size=(), max_train_clips=12)
    with pytest.raises(DataError, match=r"12 clips.*of 32: set models.ffnn.batch_size"):
        _do(examples, tmp_path, _properties(untuned))


def test_examples_of_other_parameters_are_told_in_words(
    examples: Any, tmp_path: pathlib.Path
) -> None:
    other = dataclasses.replace(PARAMS, n_mels=20)
    with pytest.raises(DataError):
        _do(examples, tmp_path, _properties(audio=other))
