"""Tests of one trial: its settings, its scores, and that it resumes."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import pathlib
from typing import Any

import keras
import numpy as np
import pytest

from components.models.network import Defaults, Network, single_phase
from components.models.settings import ModelSettings
from components.trainer.batches import Clips
from components.trainer.callbacks import DivergedError, no_report
from components.trainer.checkpoints import Checkpoint
from components.trainer.devices import ONE_DEVICE
from components.trainer.settings import TrainingSettings
from components.trainer.training import train
from components.tuner.settings import TuningSettings
from components.tuner.task import trial_settings
from components.tuner.trial_runner import NetworkTrialRunner, evaluate
from tests.components.trainer import toys

TRAINING = TrainingSettings(
    epochs=50, fine_tune_epochs=30, schedule="constant", warmup_epochs=0, clip_norm=0.0, seed=3
)
TUNING = TuningSettings(networks=("cnn_small",), epochs=2, learning_rate=(1e-4, 1e-1))


def _runner(
    folder: pathlib.Path | None = None,
    *,
    built: list[ModelSettings] | None = None,
    network: Any = toys.plain,
    train_: Any = train,
    training: TrainingSettings = TRAINING,
) -> NetworkTrialRunner:
    def build(model: ModelSettings, dtype_policy: str) -> Network:
        assert dtype_policy == "float32"
        if built is not None:
            built.append(model)
        return network()

    training, model = trial_settings(training, ModelSettings(), TUNING)
    return NetworkTrialRunner(
        training,
        model,
        Defaults(dropout=0.5, l2=1e-4),
        (toys.clips(24, 0), toys.clips(9, 1)),
        build=build,
        placed=lambda: contextlib.nullcontext(ONE_DEVICE),
        train=train_,
        reporter=lambda number: no_report,
        checkpoint=lambda number: Checkpoint(folder and folder / f"{number}.npz"),
    )


def test_a_trial_trains_for_its_own_epochs_on_its_own_clips_in_one_phase() -> None:
    own = ModelSettings(epochs=9, fine_tune_epochs=4, max_train_clips=300, image_size=64)
    training, model = trial_settings(
        TRAINING, own, dataclasses.replace(TUNING, max_train_clips=200)
    )
    assert training == dataclasses.replace(TRAINING, epochs=2, fine_tune_epochs=0)
    assert model == ModelSettings(max_train_clips=200, image_size=64)
    assert trial_settings(TRAINING, own, TUNING)[1].max_train_clips == 300
    everything = dataclasses.replace(own, max_train_clips=0)
    assert trial_settings(TRAINING, everything, TUNING)[1].max_train_clips == 0


def test_the_values_reach_the_network_and_its_training() -> None:
    used: list[Any] = []
    built: list[ModelSettings] = []

    def fit(*args: Any, **options: Any) -> Any:
        used.append(args[3])
        return train(*args, **options)

    runner = _runner(built=built, train_=fit)
    values = {"learning_rate": 0.02, "batch_size": 5, "dropout": 0.2, "l2": 1e-3}
    scores = runner.run(1, values)
    assert scores.epochs == 2
    assert (built[0].dropout, built[0].l2) == (0.2, 1e-3)
    assert (used[0].learning_rate, used[0].batch_size) == (0.02, 5)
    assert runner.settings(values) == values
    assert runner.settings({}) == {
        "learning_rate": 1e-3, "batch_size": 32, "dropout": 0.5, "l2": 1e-4,
    }  # fmt: skip


def test_the_same_values_measure_the_same_whatever_was_trained_between() -> None:
    runner = _runner()
    first = runner.run(1, {"learning_rate": 0.01})
    other = runner.run(2, {"learning_rate": 0.0001})
    again = runner.run(3, {"learning_rate": 0.01})
    assert (first.val_loss, first.val_accuracy) == (again.val_loss, again.val_accuracy)
    assert first.val_loss != other.val_loss


def test_the_scores_leave_penalties_out() -> None:
    """Two networks with the same predictions score the same, whatever their l2."""
    mel_db = keras.Input((toys.N_MELS, toys.FRAMES))
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 80, offset=1)(mel_db))
    penalty = keras.regularizers.L2(10.0)
    answers = keras.layers.Dense(3, activation="softmax", kernel_regularizer=penalty)(x)
    model = keras.Model(mel_db, answers)
    clips = toys.clips(10, 2)
    loss, accuracy = evaluate(model, clips, 4)

    probabilities = model.predict(clips.inputs.astype(np.float32), verbose=0)
    right = probabilities[np.arange(10), clips.labels]
    assert loss == pytest.approx(-np.log(right).mean(), rel=1e-5)
    assert accuracy == (probabilities.argmax(1) == clips.labels).mean()
    model.compile(loss="sparse_categorical_crossentropy")
    assert model.evaluate(clips.inputs.astype(np.float32), clips.labels, verbose=0) > loss + 1


def test_probabilities_of_nothing_give_a_loss_that_is_a_number() -> None:
    mel_db = keras.Input((2, 2))
    never = keras.layers.Lambda(lambda x: keras.ops.concatenate([x * 0 + 1, x * 0], axis=1))
    model = keras.Model(mel_db, never(keras.layers.Flatten()(mel_db)[:, :1]))
    wrong = Clips(np.zeros((3, 2, 2), np.float32), np.ones(3, np.int64))
    loss, accuracy = evaluate(model, wrong, 2)
    assert loss == pytest.approx(-np.log(1e-7))
    assert accuracy == 0


def test_a_base_with_trained_weights_is_tuned_in_its_first_phase() -> None:
    phases: list[list[str]] = []
    networks: list[Network] = []

    def network() -> Network:
        networks.append(toys.with_base(pretrained=True))
        return networks[-1]

    def fit(*args: Any, **options: Any) -> Any:
        history = train(*args, **options)
        phases.append([phase.phase for phase in history.phases])
        return history

    runner = _runner(network=network, train_=fit)
    before = toys.with_base(pretrained=True).base
    assert before is not None
    runner.run(1, {"learning_rate": 0.01})
    assert phases == [["head"]]
    (after,) = [n.base for n in networks]
    assert after is not None
    for untouched, kept in zip(before.get_weights(), after.get_weights(), strict=True):
        np.testing.assert_array_equal(untouched, kept)


def test_a_trial_that_was_killed_goes_on_after_its_last_epoch(tmp_path: pathlib.Path) -> None:
    class Killed(BaseException):
        pass

    def killed_in_the_second_epoch(*args: Any, **options: Any) -> Any:
        def report(**fields: Any) -> None:
            if fields.get("epoch") == 2:
                raise Killed

        return train(*args, **{**options, "report": report})

    values = {"learning_rate": 0.01}
    unbroken = _runner().run(1, values)
    with pytest.raises(Killed):
        _runner(tmp_path, train_=killed_in_the_second_epoch).run(1, values)
    assert [path.name for path in tmp_path.iterdir()] == ["1.npz"]
    resumed: list[int] = []

    def fit(*args: Any, **options: Any) -> Any:
        history = train(*args, **options)
        resumed.append(history.resumed_epochs)
        return history

    found = _runner(tmp_path, train_=fit).run(1, values)
    assert resumed == [1]
    assert (found.val_loss, found.val_accuracy, found.epochs) == (
        unbroken.val_loss,
        unbroken.val_accuracy,
        2,
    )
    assert list(tmp_path.iterdir()) == []


def test_a_trial_that_ran_away_leaves_no_state(tmp_path: pathlib.Path) -> None:
    def exploding() -> Network:
        mel_db = keras.Input((toys.N_MELS, toys.FRAMES))
        x = keras.layers.Flatten()(mel_db)
        return single_phase(keras.Model(mel_db, keras.layers.Dense(3, activation="softmax")(x)))

    runner = _runner(tmp_path, network=exploding)
    with pytest.raises(DivergedError, match="nan"):
        runner.run(1, {"learning_rate": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_train_takes_the_arguments_that_the_protocol_names() -> None:
    fit = functools.partial(train, scratch_dir=None)
    assert _runner(train_=fit).run(1, {"learning_rate": 0.01}).epochs == 2
