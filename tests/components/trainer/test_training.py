"""Tests of training on toy sets: learning, frozen layers, kept weights and early stops."""

from __future__ import annotations

import math
import pathlib
from typing import Any

import keras
import numpy as np
import pytest

from components.common import resources
from components.models import preprocessing
from components.models.network import single_phase
from components.trainer import callbacks, features, phases, training
from components.trainer.batches import Clips
from components.trainer.devices import Placement
from components.trainer.settings import AugmentationSettings
from tests.components.trainer import toys


def _weights(model: keras.Model) -> list[bytes]:
    return [np.ascontiguousarray(value).tobytes() for value in model.get_weights()]


def test_cnn_small_learns_a_separable_toy_set_the_same_way_twice() -> None:
    networks = [toys.cnn(), toys.cnn()]
    for network in networks:
        history = training.train(
            network, toys.clips(60, 1), toys.clips(30, 2), toys.settings(epochs=8)
        )
        assert history.epochs[-1].loss < history.epochs[0].loss / 2
    held_out = toys.clips(30, 3)
    predicted = np.asarray(networks[0].model(held_out.inputs.astype(np.float32))).argmax(axis=1)
    assert (predicted == held_out.labels).mean() > 0.9
    assert _weights(networks[0].model) == _weights(networks[1].model)


def test_a_network_without_a_base_has_one_phase() -> None:
    history = training.train(
        toys.plain(), toys.clips(9, 1), toys.clips(3, 2), toys.settings(epochs=3)
    )
    assert [(record.phase, record.epoch) for record in history.epochs] == [
        ("train", 1),
        ("train", 2),
        ("train", 3),
    ]
    (phase,) = history.phases
    assert (phase.phase, phase.epochs) == ("train", 3)


def _keep_features(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    monkeypatch.setattr(resources, "cache_bytes", lambda: 2**30 if where == "memory" else 0)
    monkeypatch.setattr(features, "MAX_DISK_BYTES", 2**30 if where == "disk" else 0)


@pytest.mark.parametrize("where", ["memory", "disk", "nowhere"])
def test_the_head_phase_leaves_every_byte_of_the_base(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _keep_features(monkeypatch, where)
    network = toys.with_base()
    assert network.base is not None
    base, head = _weights(network.base), _weights(network.head)
    training.train(network, toys.clips(24, 1), toys.clips(6, 2), toys.settings(fine_tune_epochs=0))
    assert _weights(network.base) == base
    assert all(now != then for now, then in zip(_weights(network.head), head, strict=True))


def test_the_fine_tune_phase_leaves_the_head_and_all_batch_normalisation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = toys.with_base()
    assert network.base is not None
    seen = {}
    free_base = training._free_base

    def spy(base: keras.Model, head: keras.Model) -> None:
        seen.update(base=_weights(base), head=_weights(head))
        free_base(base, head)

    monkeypatch.setattr(training, "_free_base", spy)
    training.train(network, toys.clips(24, 1), toys.clips(6, 2), toys.settings())
    assert _weights(network.head) == seen["head"]
    kinds = [weight.path.split("/")[-1] for weight in network.base.weights]
    norm = {"gamma", "beta", "moving_mean", "moving_variance"}
    assert norm | {"kernel", "bias"} == set(kinds)
    for kind, now, then in zip(kinds, _weights(network.base), seen["base"], strict=True):
        assert (now == then) == (kind in norm), kind


@pytest.mark.parametrize("where", ["memory", "disk"])
def test_cached_features_train_the_head_as_the_whole_model_would(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached, whole = toys.with_base(), toys.with_base()
    settings = toys.settings(fine_tune_epochs=0)
    _keep_features(monkeypatch, where)
    training.train(cached, toys.clips(24, 1), toys.clips(6, 2), settings)
    _keep_features(monkeypatch, "nowhere")
    training.train(whole, toys.clips(24, 1), toys.clips(6, 2), settings)
    for one, other in zip(cached.head.get_weights(), whole.head.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def _phases_reported(report: list[str]) -> list[str]:
    return [name for index, name in enumerate(report) if [name] != report[index - 1 : index]]


def test_kept_features_are_computed_once_for_all_trainings_and_change_nothing() -> None:
    train_clips, validation_clips = toys.clips(24, 1), toys.clips(6, 2)
    kept = features.FeatureCache(batch_size=8)
    alone, sharing, seen = [], [], []
    for rate in (1e-2, 1e-3):
        settings = toys.settings(fine_tune_epochs=0, learning_rate=rate)
        for networks, keeper in ((alone, None), (sharing, kept)):
            network = toys.with_base()
            report: list[str] = []
            training.train(
                network,
                train_clips,
                validation_clips,
                settings,
                feature_cache=keeper,
                report=lambda report=report, **fields: report.append(fields["phase"]),
            )
            networks.append(_weights(network.model))
            seen.append(_phases_reported(report))
    assert sharing == alone
    assert sharing[0] != sharing[1]
    assert seen == [["features", "head"], ["features", "head"], ["features", "head"], ["head"]]


@pytest.mark.parametrize("changed", ["weights", "clips", "nothing"])
def test_kept_features_are_those_of_the_base_and_the_clips(changed: str) -> None:
    clips, other = {"train": toys.clips(8, 1)}, {"train": toys.clips(8, 2)}
    kept = features.FeatureCache(batch_size=3)
    base = toys.with_base().base
    assert base is not None
    options: dict[str, Any] = {"scratch_dir": None, "report": callbacks.no_report}
    first = kept.of(base, clips, **options)
    if changed == "weights":
        base.set_weights([2 * value for value in base.get_weights()])
    given = other if changed == "clips" else clips
    second = kept.of(base, given, **options)
    assert first is not None
    assert second is not None
    assert (second is first) == (changed == "nothing")
    expected = np.asarray(base(given["train"].inputs.astype(np.float32)))
    np.testing.assert_allclose(second["train"].inputs, expected, atol=1e-5)


def test_features_on_disk_leave_no_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    _keep_features(monkeypatch, "disk")
    seen: list[str] = []
    training.train(
        toys.with_base(),
        toys.clips(24, 1),
        toys.clips(6, 2),
        toys.settings(),
        scratch_dir=str(tmp_path),
        report=lambda **fields: seen.append(fields["phase"]),
    )
    assert "features" in seen
    assert list(tmp_path.iterdir()) == []


def test_a_base_without_trained_weights_is_trained_with_its_head() -> None:
    network = toys.with_base(pretrained=False)
    before = _weights(network.model)
    history = training.train(network, toys.clips(24, 1), toys.clips(6, 2), toys.settings())
    assert [phase.phase for phase in history.phases] == ["train"]
    assert all(now != then for now, then in zip(_weights(network.model), before, strict=True))


def test_the_cosine_rises_over_the_warm_up_and_falls_to_nothing() -> None:
    settings = toys.settings(schedule="cosine", warmup_epochs=2, epochs=6)
    history = training.train(toys.plain(), toys.clips(24, 1), toys.clips(6, 2), settings)
    rates = [record.learning_rate for record in history.epochs]
    # At the end of each epoch of three steps: half-way up from the sixth part of the rate,
    # at the rate, and then down half a cosine over the other four epochs.
    falling = [0.005 * (1 + math.cos(math.pi * part / 4)) for part in range(1, 5)]
    expected = [(0.01 / 6 + 0.01) / 2, 0.01, *falling]
    np.testing.assert_allclose(rates, expected, rtol=1e-4, atol=1e-8)


def test_gradients_are_cut_to_the_norm() -> None:
    def distance(clip_norm: float) -> float:
        network = toys.plain()
        before = network.model.get_weights()
        clips = toys.clips(24, 1)
        # One step of plain gradient descent, so that the norm is what can be seen.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(keras.optimizers, "Adam", keras.optimizers.SGD)
            settings = toys.settings(
                clip_norm=clip_norm, epochs=1, batch_size=24, learning_rate=1.0
            )
            training.train(network, clips, clips, settings)
        moved = zip(network.model.get_weights(), before, strict=True)
        return math.sqrt(sum(float(np.square(now - then).sum()) for now, then in moved))

    assert distance(0.0) > 0.02
    assert distance(0.01) == pytest.approx(0.01, rel=1e-3)


def test_balanced_class_weights_make_every_genre_count_alike() -> None:
    labels = np.array([0] * 6 + [1] * 2 + [2] * 4)
    weights = phases._class_weights(toys.settings(class_weights="balanced"), labels, 4)
    assert weights == {0: 12 / 18, 1: 12 / 6, 2: 12 / 12, 3: 0.0}
    assert np.mean([weights[label] for label in labels]) == pytest.approx(1)
    assert phases._class_weights(toys.settings(), labels, 4) is None


def test_a_rare_genre_is_learned_with_class_weights_and_lost_without() -> None:
    rng = np.random.default_rng(5)
    labels = np.array([0] * 57 + [1] * 3)
    noise = Clips(rng.uniform(-60, -50, (60, toys.N_MELS, toys.FRAMES)).astype(np.float16), labels)

    def mean_of_rare(class_weights: str) -> float:
        network = toys.plain()
        settings = toys.settings(class_weights=class_weights, epochs=12, learning_rate=3e-4)
        training.train(network, noise, noise, settings)
        return float(np.asarray(network.model(noise.inputs.astype(np.float32)))[:, 1].mean())

    assert mean_of_rare("balanced") > 2 * mean_of_rare("none")


def test_smoothed_labels_keep_the_network_from_certainty() -> None:
    def most(smoothing: float) -> float:
        network = toys.plain()
        clips = toys.clips(24, 1)
        training.train(network, clips, clips, toys.settings(epochs=25, label_smoothing=smoothing))
        return float(np.asarray(network.model(clips.inputs.astype(np.float32))).max())

    assert most(0.3) < 0.95 < most(0.0)


def test_augmentation_reaches_what_is_trained_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    augmentation = {"time_masks": 1, "mixup": 0.4}
    seen: list[tuple[int, bool]] = []
    batches = Clips.batches

    def spy(clips: Clips, batch_size: int, **options: Any) -> Any:
        seen.append((len(clips), options.get("augmentation", AugmentationSettings()).any))
        return batches(clips, batch_size, **options)

    monkeypatch.setattr(Clips, "batches", spy)
    history = training.train(
        toys.with_base(),
        toys.clips(24, 1),
        toys.clips(6, 2),
        toys.settings(augmentation=augmentation),
    )
    assert all(math.isfinite(record.loss) for record in history.epochs)
    # One pass for the features and two epochs on them, plain; two epochs of the base, varied.
    assert [varied for clips, varied in seen if clips == 24] == [False] * 3 + [True] * 2
    assert not any(varied for clips, varied in seen if clips == 6)


def test_the_weights_of_the_best_epoch_are_kept() -> None:
    network = toys.plain()
    validation = toys.clips(9, 2)
    # Labels of nothing but noise: validation gets worse while training fits.
    noise = Clips(validation.inputs, validation.labels[::-1].copy())
    history = training.train(network, toys.clips(24, 1), noise, toys.settings(epochs=6))
    losses = [record.val_loss for record in history.epochs]
    assert history.phases[0].best_epoch == 1 + int(np.argmin(losses))
    assert history.phases[0].best_epoch < len(losses)
    loss, _ = network.model.evaluate(
        noise.inputs.astype(np.float32), noise.labels, batch_size=8, verbose=0
    )
    assert loss == pytest.approx(min(losses), rel=1e-4)


def test_a_fine_tuning_that_only_hurts_is_undone() -> None:
    network = toys.with_base()
    assert network.base is not None
    base = _weights(network.base)
    validation = toys.clips(6, 2)
    wrong = Clips(validation.inputs, (validation.labels + 1) % 3)
    history = training.train(
        network, toys.clips(24, 1), wrong, toys.settings(fine_tune_learning_rate=0.1)
    )
    assert history.phases[1].best_epoch == 0
    assert history.phases[1].best_val_loss == history.phases[0].best_val_loss
    assert _weights(network.base) == base


def test_it_stops_after_patience_epochs_without_a_better_one() -> None:
    clips = toys.clips(9, 2)
    wrong = Clips(clips.inputs, (clips.labels + 1) % 3)
    history = training.train(toys.plain(), clips, wrong, toys.settings(epochs=40, patience=2))
    best = 1 + int(np.argmin([record.val_loss for record in history.epochs]))
    assert len(history.epochs) == best + 2 < 40


@pytest.mark.parametrize("build", [toys.plain, toys.with_base])
def test_the_same_seed_gives_the_same_weights(build: Any) -> None:
    def run(seed: int) -> tuple[list[bytes], list[float]]:
        network = build()
        history = training.train(
            network, toys.clips(24, 1), toys.clips(6, 2), toys.settings(seed=seed)
        )
        return _weights(network.model), [record.loss for record in history.epochs]

    first, again, other = run(3), run(3), run(4)
    assert first == again
    assert first[0] != other[0]


def test_learning_rates_and_epochs_are_those_of_the_phase() -> None:
    history = training.train(
        toys.with_base(),
        toys.clips(9, 1),
        toys.clips(3, 2),
        toys.settings(epochs=1, fine_tune_epochs=2),
    )
    assert [(r.phase, round(r.learning_rate, 6)) for r in history.epochs] == [
        ("head", 1e-2),
        ("fine_tune", 1e-3),
        ("fine_tune", 1e-3),
    ]
    head, fine_tune = history.phases
    features = 8 * (toys.N_MELS - 2)
    assert head.trained_parameters == 3 * features + 3
    assert fine_tune.trained_parameters == 3 * toys.FRAMES * 8 + 8


def test_no_fine_tune_epochs_means_no_second_phase() -> None:
    history = training.train(
        toys.with_base(),
        toys.clips(9, 1),
        toys.clips(3, 2),
        toys.settings(epochs=1, fine_tune_epochs=0),
    )
    assert [phase.phase for phase in history.phases] == ["head"]


def test_a_loss_that_is_no_number_stops_with_where_and_what_to_do() -> None:
    clips = toys.clips(9, 1)
    clips.inputs[4] = np.nan
    with pytest.raises(callbacks.TrainingError, match=r"(?s)batch \d of epoch 1.*learning rate"):
        training.train(toys.plain(), clips, toys.clips(3, 2), toys.settings())


def test_a_validation_loss_that_is_no_number_stops_too() -> None:
    clips = toys.clips(3, 1)
    clips.inputs[0] = np.nan
    with pytest.raises(callbacks.TrainingError, match="validation split"):
        training.train(toys.plain(), toys.clips(9, 1), clips, toys.settings())


@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_without_an_output_is_refused_before_training(label: int) -> None:
    clips = toys.clips(9, 1)
    clips.labels[5] = label
    with pytest.raises(callbacks.TrainingError, match=f"label {label}.*3 genres"):
        training.train(toys.plain(), clips, toys.clips(3, 2), toys.settings())


@pytest.mark.parametrize("empty", ["train", "validation"])
def test_an_empty_split_is_refused(empty: str) -> None:
    splits = {"train": toys.clips(3, 1), "validation": toys.clips(3, 2), empty: toys.clips(0, 1)}
    with pytest.raises(callbacks.TrainingError, match=f"{empty} split has no clips"):
        training.train(toys.plain(), splits["train"], splits["validation"], toys.settings())


def test_one_clip_in_each_split_is_enough() -> None:
    history = training.train(
        toys.plain(), toys.clips(1, 1), toys.clips(1, 2), toys.settings(epochs=1)
    )
    assert math.isfinite(history.epochs[0].val_loss)


def test_a_stream_of_batches_trains_like_clips_in_memory() -> None:
    tf = pytest.importorskip("tensorflow")

    class Stream(Clips):
        def batches(self, batch_size: int, **_options: Any) -> Any:
            pairs = (self.inputs.astype(np.float32), self.labels)
            return tf.data.Dataset.from_tensor_slices(pairs).batch(batch_size)

    clips, validation = toys.clips(24, 1), toys.clips(6, 2)
    histories = [
        training.train(
            toys.with_base(), kind(clips.inputs, clips.labels), validation, toys.settings()
        )
        for kind in (Clips, Stream)
    ]
    losses = [[record.val_loss for record in history.epochs] for history in histories]
    # The same but for the order of the clips.
    np.testing.assert_allclose(*losses, rtol=0.2)


def test_progress_of_a_stream_has_its_total_from_the_first_batch_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tf = pytest.importorskip("tensorflow")

    class Unmeasured(Clips):
        """Clips whose stream does not tell its length."""

        def batches(self, batch_size: int, **_options: Any) -> Any:
            pairs = (self.inputs.astype(np.float32), self.labels)
            whole = tf.data.Dataset.from_tensor_slices(pairs)
            return whole.filter(lambda *_clip: True).batch(batch_size)

    monkeypatch.setattr(callbacks, "REPORT_INTERVAL_SECONDS", 0.0)
    events: list[dict[str, Any]] = []
    clips = toys.clips(20, 1)
    settings = toys.settings(epochs=1)
    training.train(
        toys.plain(),
        Unmeasured(clips.inputs, clips.labels),
        toys.clips(3, 2),
        settings,
        report=lambda **fields: events.append(fields),
    )
    assert {event["batches"] for event in events} == {-(-20 // settings.batch_size)}


def test_progress_names_phases_epochs_and_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callbacks, "REPORT_INTERVAL_SECONDS", 0.0)
    monkeypatch.setattr(features, "REPORT_INTERVAL_SECONDS", 0.0)
    events: list[dict[str, Any]] = []
    training.train(
        toys.with_base(),
        toys.clips(20, 1),
        toys.clips(3, 2),
        toys.settings(epochs=1, fine_tune_epochs=1),
        report=lambda **fields: events.append(fields),
    )
    of_phase = {
        phase: [event["batch"] for event in events if event["phase"] == phase]
        for phase in ("features", "head", "fine_tune")
    }
    # 20 clips are 3 batches of 8, and 3 more to validate on are one; the end of an epoch is
    # one more event.
    assert of_phase == {"features": [1, 2, 3, 4], "head": [1, 2, 3, 3], "fine_tune": [1, 2, 3, 3]}
    last = events[-1]
    assert last["epoch"] == last["epochs"] == 1
    assert last["batches"] == 3
    assert {"loss", "accuracy", "val_loss", "val_accuracy"} <= set(last)


def test_progress_is_not_sent_for_every_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callbacks, "REPORT_INTERVAL_SECONDS", math.inf)
    events: list[dict[str, Any]] = []
    training.train(
        toys.plain(),
        toys.clips(20, 1),
        toys.clips(3, 2),
        toys.settings(epochs=2, batch_size=1),
        report=lambda **fields: events.append(fields),
    )
    # The first at once, then only what ends an epoch.
    assert [event["batch"] for event in events] == [1, 20, 20]


def test_xla_compiles_a_whole_step_and_changes_nothing_but_rounding() -> None:
    def run(jit_compile: bool) -> training.TrainingHistory:
        # What TensorFlow might have no kernel for: colours, resizing, normalised clips.
        keras.utils.set_random_seed(1)
        mel_db = keras.Input((toys.N_MELS, toys.FRAMES))
        pixels = keras.layers.Flatten()(preprocessing.picture(mel_db, 8))
        levels = keras.layers.Flatten()(preprocessing.Standardise()(mel_db))
        x = keras.layers.Concatenate()([keras.layers.Rescaling(1 / 255)(pixels), levels])
        model = keras.Model(mel_db, keras.layers.Dense(3, activation="softmax")(x))
        # The last batch is of another shape.
        return training.train(
            single_phase(model),
            toys.clips(6, 1),
            toys.clips(3, 2),
            toys.settings(epochs=2, batch_size=4, learning_rate=1e-3, clip_norm=1.0),
            placement=Placement(jit_compile=jit_compile),
        )

    compiled, plain = run(True).epochs[-1], run(False).epochs[-1]
    assert compiled.loss == pytest.approx(plain.loss, rel=1e-4)
    assert compiled.val_loss == pytest.approx(plain.val_loss, rel=1e-4)
