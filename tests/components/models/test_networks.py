"""Tests of the architectures behind the registry."""

from __future__ import annotations

import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers

from components.models import architectures, registry
from components.models.network import Defaults, Network
from components.models.settings import ModelSettings
from components.trainer.resolved import resolve
from components.trainer.settings import TrainingSettings
from tests.support import networks

WITH_BASE = [name for name, found in architectures.NETWORKS.items() if found.has_base]
SEES_PICTURES = [name for name, found in architectures.NETWORKS.items() if found.min_side_pixels]


def _build(name: str, seed: int = 1, **settings: object) -> Network:
    settings = {"image_size": networks.image_size_of(name), **settings}
    n_mels, frames = networks.size_of(name)
    return registry.build(
        name,
        ModelSettings(**settings),  # type: ignore[arg-type]
        n_mels=n_mels,
        frames=frames,
        genres=3,
        seed=seed,
    )


def _dense_and_conv(model: keras.Model) -> tuple[int, int]:
    found = model._flatten_layers(include_self=False)
    kinds = [type(layer) for layer in found]
    return kinds.count(layers.Dense), kinds.count(layers.Conv2D)


@pytest.mark.parametrize("name", architectures.NETWORKS)
def test_every_network_gives_probabilities_from_spectrograms(name: str) -> None:
    network = _build(name)
    mel_db = networks.noise(4, networks.size_of(name))
    probabilities = keras.ops.convert_to_numpy(network.model(mel_db))
    assert probabilities.shape == (4, 3)
    assert probabilities.dtype == np.float32
    assert (probabilities > 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert (network.base is not None) == architectures.NETWORKS[name].has_base
    assert not network.two_phase  # nothing is trained yet
    assert network.parameters == sum(int(np.prod(w.shape)) for w in network.model.weights)


@pytest.mark.parametrize("name", architectures.NETWORKS)
def test_the_model_is_the_head_on_the_base(name: str) -> None:
    network = _build(name)
    mel_db = networks.noise(4, networks.size_of(name))
    features = mel_db if network.base is None else network.base(mel_db)
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(network.head(features)),
        keras.ops.convert_to_numpy(network.model(mel_db)),
    )


@pytest.mark.parametrize("name", architectures.NETWORKS)
def test_the_seed_decides_the_starting_weights(name: str) -> None:
    first, again, other = _build(name), _build(name), _build(name, seed=2)
    for one, same in zip(first.model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, same)
    drawn = [weight.path for weight in first.model.weights if weight.path.endswith("kernel")]
    assert drawn
    for weight, changed in zip(first.model.weights, other.model.weights, strict=True):
        if weight.path.endswith("kernel"):
            assert not np.array_equal(weight.numpy(), changed.numpy()), weight.path


@pytest.mark.parametrize("name", architectures.NETWORKS)
def test_louder_by_nothing_a_silent_and_a_full_clip_stay_finite(name: str) -> None:
    size = networks.size_of(name)
    clips = np.stack([np.full(size, -80.0), np.zeros(size)]).astype(np.float32)
    assert np.isfinite(keras.ops.convert_to_numpy(_build(name).model(clips))).all()


def test_ffnn_has_three_dense_layers_and_drops_after_the_first_two() -> None:
    network = _build("ffnn", dropout=0.25)
    assert _dense_and_conv(network.model) == (3, 0)
    kinds = [type(layer) for layer in network.model.layers][-5:]
    assert kinds == [layers.Dense, layers.Dropout, layers.Dense, layers.Dropout, layers.Dense]
    rates = [layer.rate for layer in network.model.layers if isinstance(layer, layers.Dropout)]
    assert rates == [0.25, 0.25]


def test_cnn_small_is_compact_at_full_size() -> None:
    network = registry.build("cnn_small", ModelSettings(), n_mels=128, frames=87, genres=8, seed=0)
    assert network.parameters < 150_000


def test_cnn_small_does_not_mind_where_in_time_a_sound_lies() -> None:
    network = registry.build("cnn_small", ModelSettings(), n_mels=32, frames=128, genres=3, seed=0)
    sound = np.random.default_rng(1).uniform(-60, 0, (32, 16)).astype(np.float32)
    clips = np.full((2, 32, 128), -80.0, np.float32)
    clips[0, :, 40:56] = sound
    clips[1, :, 64:80] = sound  # later by a multiple of the eightfold pooling
    early, late = keras.ops.convert_to_numpy(network.model(clips))
    np.testing.assert_allclose(early, late, atol=1e-5)


def test_vgg16_has_thirteen_convolutions_and_three_dense_layers() -> None:
    network = _build("vgg16")
    assert network.base is not None
    assert _dense_and_conv(network.model) == (3, 13)
    assert _dense_and_conv(network.base) == (0, 13)
    assert _dense_and_conv(network.head) == (3, 0)


@pytest.mark.parametrize(("image_size", "features"), [(0, 4096), (32, 512), (64, 2048)])
def test_vgg16_has_dense_layers_of_512_whatever_the_picture(image_size: int, features: int) -> None:
    network = registry.build(
        "vgg16", ModelSettings(image_size=image_size), n_mels=128, frames=87, genres=8, seed=0
    )
    assert network.head.input_shape == (None, features)
    widths = [layer.units for layer in network.head.layers if isinstance(layer, layers.Dense)]
    assert widths == [512, 512, 8]


def test_vgg16_from_scratch_starts_with_signals_of_about_unit_size() -> None:
    network = registry.build(
        "vgg16", ModelSettings(image_size=64), n_mels=128, frames=87, genres=8, seed=0
    )
    assert network.base is not None
    features = keras.ops.convert_to_numpy(network.base(networks.noise(4, (128, 87))))
    assert 0.05 < features.std() < 5


def test_vgg16_from_scratch_tells_clips_apart_before_it_is_trained() -> None:
    network = _build("vgg16")
    assert network.base is not None
    # Tones of one frame pattern on different bands: what they share must not drown the rest.
    clips = np.full((4, 16, 20), -60.0, np.float32)
    for number in range(4):
        clips[number, 4 * number : 4 * number + 3] = -10.0
    features = keras.ops.convert_to_numpy(network.base(clips))
    correlation = np.corrcoef(features)[np.triu_indices(4, 1)]
    assert correlation.max() < 0.9


def _head(name: str, **settings: object) -> list[tuple[type, float]]:
    """Return the kind of each of a head's layers, with its width or its share of dropout."""
    head = _build(name, **settings).head
    return [
        (type(layer), layer.units if isinstance(layer, layers.Dense) else layer.rate)
        for layer in head.layers
        if isinstance(layer, layers.Dense | layers.Dropout)
    ]


@pytest.mark.parametrize("name", WITH_BASE)
def test_a_head_has_hidden_layers_of_the_width_that_is_set(name: str) -> None:
    dense, dropout = layers.Dense, layers.Dropout
    hidden = 2 if name == "vgg16" else 1
    assert _head(name, head_units=7, dropout=0.25) == [
        *([(dense, 7), (dropout, 0.25)] * hidden),
        (dense, 3),
    ]
    assert _head(name, head_units=0, dropout=0.25) == [(dropout, 0.25), (dense, 3)]


@pytest.mark.parametrize("name", architectures.NETWORKS)
def test_pictures_are_as_large_as_imagenets_if_the_weights_are_trained(name: str) -> None:
    side = 224 if architectures.NETWORKS[name].min_side_pixels else 0
    defaults, made = registry.defaults(name), architectures.NETWORKS[name]
    for settings, expected in [
        (ModelSettings(), 0),
        (ModelSettings(weights="imagenet"), side),
        (ModelSettings(weights="base.weights.h5"), side),
        (ModelSettings(weights="imagenet", image_size=0), 0),
        (ModelSettings(weights="imagenet", image_size=64), 64),
        (ModelSettings(image_size=64), 64),
    ]:
        assert defaults.image_size_of(settings) == expected
        # What is checked before the network is built.
        assert settings.image_size_or(made.image_size) == expected
        resolved = resolve(TrainingSettings(), settings, defaults)
        assert resolved.image_size == expected


@pytest.mark.parametrize("image_size", [0, 31])
@pytest.mark.parametrize("name", SEES_PICTURES)
def test_too_small_a_picture_is_told_with_what_to_set(name: str, image_size: int) -> None:
    with pytest.raises(ValueError, match=rf"models\.{name}\.image_size = 32"):
        _build(name, image_size=image_size)


@pytest.mark.parametrize(
    ("name", "convolutions", "parameters"),
    # Of ImageNet's own network less its classifier: He et al., table 1; torchvision counts
    # 21,284,672 and 23,508,032 without the moving means and variances.
    [("resnet34", 36, 21_284_672), ("resnet50", 53, 23_508_032)],
)
def test_residual_networks_are_those_of_the_paper(
    name: str, convolutions: int, parameters: int
) -> None:
    network = _build(name)
    assert network.base is not None
    base = network.base.get_layer("convolutions")
    assert _dense_and_conv(base) == (0, convolutions)
    trained = sum(
        int(np.prod(weight.shape))
        for weight in base.trainable_weights
        # Keras's ResNet50 has biases before its normalisations, which do nothing there.
        if not (name == "resnet50" and weight.path.endswith("bias"))
    )
    assert trained == parameters
    assert network.head.input_shape == (None, 512 if name == "resnet34" else 2048)
    momenta = {
        layer.momentum for layer in base.layers if isinstance(layer, layers.BatchNormalization)
    }
    assert momenta == {0.9}


def test_resnet34_is_as_small_as_pytorchs_at_every_stage() -> None:
    network = _build("resnet34", image_size=224)
    assert network.base is not None
    base = network.base.get_layer("convolutions")
    sides = [base.get_layer(f"layer{stage}.0.add").output.shape[1] for stage in (1, 2, 3, 4)]
    assert sides == [56, 28, 14, 7]


def test_crnn_looks_at_twenty_odd_steps_of_a_clip_both_ways() -> None:
    network = registry.build("crnn", ModelSettings(), n_mels=128, frames=87, genres=8, seed=0)
    assert network.model.get_layer("sequence").output.shape == (None, 22, 96)
    assert network.model.get_layer("both_ways").output.shape == (None, 22, 128)
    # What comes first matters, unlike to a mean over frames.
    clip = networks.noise(1, (128, 87))
    forwards, backwards = (
        keras.ops.convert_to_numpy(network.model(mel_db)) for mel_db in (clip, clip[:, :, ::-1])
    )
    assert not np.allclose(forwards, backwards, atol=1e-4)


def test_l2_and_dropout_of_the_table_replace_the_defaults() -> None:
    defaults = Defaults(dropout=0.5, l2=0.01)
    assert defaults.dropout_of(ModelSettings()) == 0.5
    assert defaults.dropout_of(ModelSettings(dropout=0.0)) == 0.0
    assert defaults.l2_of(ModelSettings()) == 0.01
    assert defaults.l2_of(ModelSettings(l2=0.0)) == 0.0


@pytest.mark.parametrize("name", architectures.NETWORKS)
def test_l2_adds_a_penalty_of_the_squared_kernels(name: str) -> None:
    assert sum(map(float, _build(name, l2=0.0).model.losses)) == 0
    penalised = _build(name, l2=0.01).head
    expected = sum(
        0.01 * float(np.square(weight.numpy()).sum())
        for weight in penalised.weights
        if weight.path.endswith("kernel")
    )
    assert sum(map(float, penalised.losses)) == pytest.approx(expected, rel=1e-4)


def test_an_unknown_network_is_named_with_what_there_is() -> None:
    known = ", ".join(sorted(architectures.NETWORKS))
    with pytest.raises(ValueError, match=f"'vgg61'; there are: {known}"):
        registry.build("vgg61", ModelSettings(), n_mels=16, frames=20, genres=3, seed=0)
    with pytest.raises(ValueError, match="vgg61"):
        registry.defaults("vgg61")


def test_every_architecture_names_its_defaults() -> None:
    for name in architectures.NETWORKS:
        assert isinstance(registry.defaults(name), Defaults)


def test_the_registry_imports_nothing_heavy() -> None:
    heavy = ["keras", "tensorflow", "numpy", "h5py"]
    script = (
        "import sys, components.models.registry, components.models.settings;"
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
