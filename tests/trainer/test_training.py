"""Training on toy sets: what learns, what stays frozen, what is kept, what stops."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import pytest

from components.models import registry
from components.models.network import Network, single_phase, two_phase
from components.models.settings import ModelSettings
from components.trainer import callbacks, memory, training
from components.trainer.batches import Clips
from components.trainer.settings import ResolvedSettings

N_MELS, FRAMES = 16, 20


def _settings(**changes: Any) -> ResolvedSettings:
    values: dict[str, Any] = {
        "epochs": 2,
        "fine_tune_epochs": 2,
        "batch_size": 8,
        "learning_rate": 1e-2,
        "fine_tune_learning_rate": 1e-3,
        "patience": 50,
        "seed": 3,
        "dropout": 0.0,
        "l2": 0.0,
        "weights": "none",
        "image_size": 0,
        "max_train_clips": 0,
    }
    return ResolvedSettings(**{**values, **changes})


def _clips(clips: int, seed: int, genres: int = 3) -> Clips:
    """Noise with one louder band for each label."""
    rng = np.random.default_rng(seed)
    labels = np.arange(clips) % genres
    mel_db = rng.uniform(-70, -50, (clips, N_MELS, FRAMES))
    mel_db[np.arange(clips), 2 + 5 * labels] += 40
    return Clips(mel_db.astype(np.float16), labels.astype(np.int64))


def _cnn(seed: int = 0) -> Network:
    return registry.build(
        "cnn_small", ModelSettings(dropout=0.0), n_mels=N_MELS, frames=FRAMES, genres=3, seed=seed
    )


def _plain(seed: int = 0) -> Network:
    """The smallest network that trains as a whole."""
    keras.utils.set_random_seed(seed)
    mel_db = keras.Input((N_MELS, FRAMES))
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 80, offset=1)(mel_db))
    return single_phase(keras.Model(mel_db, keras.layers.Dense(3, activation="softmax")(x)))


def _with_base(seed: int = 0) -> Network:
    """A small two-phase network with batch normalisation nested in its base."""
    keras.utils.set_random_seed(seed)
    inner = keras.Sequential(
        [
            keras.Input((N_MELS, FRAMES)),
            keras.layers.Rescaling(1 / 80, offset=1),
            keras.layers.Conv1D(8, 3, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.5),
            keras.layers.Flatten(),
        ],
        name="inner",
    )
    mel_db = keras.Input((N_MELS, FRAMES))
    base = keras.Model(mel_db, inner(mel_db), name="base")
    features = keras.Input(base.output_shape[1:])
    head = keras.Model(features, keras.layers.Dense(3, activation="softmax")(features), name="head")
    return two_phase(base, head)


def _weights(model: keras.Model) -> list[bytes]:
    return [np.ascontiguousarray(value).tobytes() for value in model.get_weights()]


def test_cnn_small_learns_a_separable_toy_set_the_same_way_twice() -> None:
    networks = [_cnn(), _cnn()]
    for network in networks:
        history = training.train(network, _clips(60, 1), _clips(30, 2), _settings(epochs=8))
        assert history.epochs[-1].loss < history.epochs[0].loss / 2
    held_out = _clips(30, 3)
    predicted = np.asarray(networks[0].model(held_out.inputs.astype(np.float32))).argmax(axis=1)
    assert (predicted == held_out.labels).mean() > 0.9
    assert _weights(networks[0].model) == _weights(networks[1].model)


def test_a_network_without_a_base_has_one_phase() -> None:
    history = training.train(_plain(), _clips(9, 1), _clips(3, 2), _settings(epochs=3))
    assert [(record.phase, record.epoch) for record in history.epochs] == [
        ("train", 1),
        ("train", 2),
        ("train", 3),
    ]
    (phase,) = history.phases
    assert (phase.phase, phase.epochs) == ("train", 3)


@pytest.mark.parametrize("cache_bytes", [0, memory.CACHE_BYTES])
def test_the_head_phase_leaves_every_byte_of_the_base(
    cache_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "cache_bytes", lambda: cache_bytes)
    network = _with_base()
    assert network.base is not None
    base, head = _weights(network.base), _weights(network.head)
    training.train(network, _clips(24, 1), _clips(6, 2), _settings(fine_tune_epochs=0))
    assert _weights(network.base) == base
    assert all(now != then for now, then in zip(_weights(network.head), head, strict=True))


def test_the_fine_tune_phase_leaves_the_head_and_all_batch_normalisation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = _with_base()
    assert network.base is not None
    seen = {}
    free_base = training._free_base

    def spy(base: keras.Model, head: keras.Model) -> None:
        seen.update(base=_weights(base), head=_weights(head))
        free_base(base, head)

    monkeypatch.setattr(training, "_free_base", spy)
    training.train(network, _clips(24, 1), _clips(6, 2), _settings())
    assert _weights(network.head) == seen["head"]
    kinds = [weight.path.split("/")[-1] for weight in network.base.weights]
    norm = {"gamma", "beta", "moving_mean", "moving_variance"}
    assert norm | {"kernel", "bias"} == set(kinds)
    for kind, now, then in zip(kinds, _weights(network.base), seen["base"], strict=True):
        assert (now == then) == (kind in norm), kind


def test_cached_features_train_the_head_as_the_whole_model_would(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cached, whole = _with_base(), _with_base()
    settings = _settings(fine_tune_epochs=0)
    training.train(cached, _clips(24, 1), _clips(6, 2), settings)
    monkeypatch.setattr(memory, "cache_bytes", lambda: 0)
    training.train(whole, _clips(24, 1), _clips(6, 2), settings)
    for one, other in zip(cached.head.get_weights(), whole.head.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_the_weights_of_the_best_epoch_are_kept() -> None:
    network = _plain()
    validation = _clips(9, 2)
    # Labels of nothing but noise: validation gets worse while training fits.
    noise = Clips(validation.inputs, validation.labels[::-1].copy())
    history = training.train(network, _clips(24, 1), noise, _settings(epochs=6))
    losses = [record.val_loss for record in history.epochs]
    assert history.phases[0].best_epoch == 1 + int(np.argmin(losses))
    assert history.phases[0].best_epoch < len(losses)
    loss, _ = network.model.evaluate(
        noise.inputs.astype(np.float32), noise.labels, batch_size=8, verbose=0
    )
    assert loss == pytest.approx(min(losses), rel=1e-4)


def test_a_fine_tuning_that_only_hurts_is_undone() -> None:
    network = _with_base()
    assert network.base is not None
    base = _weights(network.base)
    validation = _clips(6, 2)
    wrong = Clips(validation.inputs, (validation.labels + 1) % 3)
    history = training.train(network, _clips(24, 1), wrong, _settings(fine_tune_learning_rate=0.1))
    assert history.phases[1].best_epoch == 0
    assert history.phases[1].best_val_loss == history.phases[0].best_val_loss
    assert _weights(network.base) == base


def test_it_stops_after_patience_epochs_without_a_better_one() -> None:
    clips = _clips(9, 2)
    wrong = Clips(clips.inputs, (clips.labels + 1) % 3)
    history = training.train(_plain(), clips, wrong, _settings(epochs=40, patience=2))
    best = 1 + int(np.argmin([record.val_loss for record in history.epochs]))
    assert len(history.epochs) == best + 2 < 40


@pytest.mark.parametrize("build", [_plain, _with_base])
def test_the_same_seed_gives_the_same_weights(build: Any) -> None:
    def run(seed: int) -> tuple[list[bytes], list[float]]:
        network = build()
        history = training.train(network, _clips(24, 1), _clips(6, 2), _settings(seed=seed))
        return _weights(network.model), [record.loss for record in history.epochs]

    first, again, other = run(3), run(3), run(4)
    assert first == again
    assert first[0] != other[0]


def test_learning_rates_and_epochs_are_those_of_the_phase() -> None:
    history = training.train(
        _with_base(), _clips(9, 1), _clips(3, 2), _settings(epochs=1, fine_tune_epochs=2)
    )
    assert [(r.phase, r.learning_rate) for r in history.epochs] == [
        ("head", 1e-2),
        ("fine_tune", 1e-3),
        ("fine_tune", 1e-3),
    ]
    head, fine_tune = history.phases
    features = 8 * (N_MELS - 2)
    assert head.trained_parameters == 3 * features + 3
    assert fine_tune.trained_parameters == 3 * FRAMES * 8 + 8


def test_no_fine_tune_epochs_means_no_second_phase() -> None:
    history = training.train(
        _with_base(), _clips(9, 1), _clips(3, 2), _settings(epochs=1, fine_tune_epochs=0)
    )
    assert [phase.phase for phase in history.phases] == ["head"]


def test_a_loss_that_is_no_number_stops_with_where_and_what_to_do() -> None:
    clips = _clips(9, 1)
    clips.inputs[4] = np.nan
    with pytest.raises(callbacks.TrainingError, match=r"(?s)batch \d of epoch 1.*learning rate"):
        training.train(_plain(), clips, _clips(3, 2), _settings())


def test_a_validation_loss_that_is_no_number_stops_too() -> None:
    clips = _clips(3, 1)
    clips.inputs[0] = np.nan
    with pytest.raises(callbacks.TrainingError, match="validation split"):
        training.train(_plain(), _clips(9, 1), clips, _settings())


@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_without_an_output_is_refused_before_training(label: int) -> None:
    clips = _clips(9, 1)
    clips.labels[5] = label
    with pytest.raises(callbacks.TrainingError, match=f"label {label}.*3 genres"):
        training.train(_plain(), clips, _clips(3, 2), _settings())


@pytest.mark.parametrize("empty", ["train", "validation"])
def test_an_empty_split_is_refused(empty: str) -> None:
    splits = {"train": _clips(3, 1), "validation": _clips(3, 2), empty: _clips(0, 1)}
    with pytest.raises(callbacks.TrainingError, match=f"{empty} split has no clips"):
        training.train(_plain(), splits["train"], splits["validation"], _settings())


def test_one_clip_in_each_split_is_enough() -> None:
    history = training.train(_plain(), _clips(1, 1), _clips(1, 2), _settings(epochs=1))
    assert math.isfinite(history.epochs[0].val_loss)


def test_a_stream_of_batches_trains_like_clips_in_memory() -> None:
    tf = pytest.importorskip("tensorflow")

    clips, validation = _clips(24, 1), _clips(6, 2)

    def stream(of: Clips) -> Any:
        pairs = (of.inputs.astype(np.float32), of.labels)
        return tf.data.Dataset.from_tensor_slices(pairs).batch(8)

    network = _with_base()
    history = training.train(network, stream(clips), stream(validation), _settings())
    assert [record.phase for record in history.epochs] == ["head"] * 2 + ["fine_tune"] * 2


def test_progress_names_phases_epochs_and_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callbacks, "REPORT_INTERVAL_SECONDS", 0.0)
    events: list[dict[str, Any]] = []
    training.train(
        _with_base(),
        _clips(20, 1),
        _clips(3, 2),
        _settings(epochs=1, fine_tune_epochs=1),
        report=lambda **fields: events.append(fields),
    )
    of_phase = {
        phase: [event["batch"] for event in events if event["phase"] == phase]
        for phase in ("features", "head", "fine_tune")
    }
    # 20 clips are 3 batches of 8; the end of an epoch is one more event.
    assert of_phase == {"features": [1, 2, 3, 1], "head": [1, 2, 3, 3], "fine_tune": [1, 2, 3, 3]}
    last = events[-1]
    assert last["epoch"] == last["epochs"] == 1
    assert last["batches"] == 3
    assert {"loss", "accuracy", "val_loss", "val_accuracy"} <= set(last)


def test_progress_is_not_sent_for_every_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callbacks, "REPORT_INTERVAL_SECONDS", math.inf)
    events: list[dict[str, Any]] = []
    training.train(
        _plain(),
        _clips(20, 1),
        _clips(3, 2),
        _settings(epochs=2, batch_size=1),
        report=lambda **fields: events.append(fields),
    )
    # The first at once, then only what ends an epoch.
    assert [event["batch"] for event in events] == [1, 20, 20]
