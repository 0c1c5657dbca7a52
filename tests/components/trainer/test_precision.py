"""Tests of networks that compute in 16 bits: parts in 32 bits, learning and export."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import pytest

from components.models import architectures, registry
from components.models.network import Network
from components.models.settings import ModelSettings
from components.trainer import features, phases, training
from tests.components.trainer import toys
from tests.support import networks

MIXED = ["mixed_bfloat16", "mixed_float16"]
# bfloat16 has 8 binary digits, and a network's roundings add up.
TOLERANCE = {"mixed_bfloat16": 0.05, "mixed_float16": 0.01}


def _build(name: str, dtype_policy: str) -> Network:
    n_mels, frames = networks.size_of(name)
    return registry.build(
        name,
        ModelSettings(image_size=networks.image_size_of(name)),
        n_mels=n_mels,
        frames=frames,
        genres=3,
        seed=1,
        dtype_policy=dtype_policy,
    )


def _layers(model: keras.Model) -> list[keras.layers.Layer]:
    return model._flatten_layers(include_self=False)


@pytest.mark.parametrize(
    ("name", "dtype_policy"),
    [
        *((name, "mixed_bfloat16") for name in architectures.NETWORKS),
        ("cnn_small", "mixed_float16"),
        ("resnet34", "mixed_float16"),
    ],
)
def test_it_computes_in_16_bits_between_float32_ends(name: str, dtype_policy: str) -> None:
    network, plain = _build(name, dtype_policy), _build(name, "float32")
    assert keras.config.dtype_policy().name == "float32"
    assert {weight.dtype for weight in network.model.weights} == {"float32"}
    work = [
        layer
        for layer in _layers(network.model)
        if isinstance(
            layer,
            keras.layers.Conv1D | keras.layers.Conv2D | keras.layers.Dense | keras.layers.GRUCell,
        )
        and layer.name != "probabilities"
    ]
    assert {layer.compute_dtype for layer in work} == {dtype_policy.removeprefix("mixed_")}
    if network.base is not None:
        assert network.base.output.dtype == "float32"
    clips = networks.noise(6, networks.size_of(name))
    found, expected = (keras.ops.convert_to_numpy(built.model(clips)) for built in (network, plain))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=TOLERANCE[dtype_policy])
    assert not np.array_equal(found, expected)


@pytest.mark.parametrize("dtype_policy", MIXED)
def test_both_phases_learn_as_in_float32(dtype_policy: str) -> None:
    def run(policy: str) -> training.TrainingHistory:
        return training.train(
            toys.with_base(dtype_policy=policy),
            toys.clips(24, 1),
            toys.clips(9, 2),
            toys.settings(clip_norm=1.0, precision=policy),
        )

    mixed, plain = run(dtype_policy), run("float32")
    assert [epoch.phase for epoch in mixed.epochs] == ["head"] * 2 + ["fine_tune"] * 2
    for one, other in zip(mixed.epochs, plain.epochs, strict=True):
        assert one.val_loss == pytest.approx(other.val_loss, rel=0.02)
    assert [epoch.val_loss for epoch in mixed.epochs] != [epoch.val_loss for epoch in plain.epochs]


def test_the_features_of_a_base_are_kept_in_float32() -> None:
    network = toys.with_base(dtype_policy="mixed_bfloat16")
    found = features.compute_features(
        network.base,
        {"train": toys.clips(9, 1)},
        batch_size=4,
        scratch_dir=None,
        report=lambda **_fields: None,
    )
    assert found is not None
    assert found["train"].inputs.dtype == np.float32


def _moved(dtype_policy: str, **settings: Any) -> float:
    """Return the length of one step of plain gradient descent."""
    network = toys.with_base(pretrained=False, dtype_policy=dtype_policy)
    before = network.model.get_weights()
    kernels = [weight.path.endswith("kernel") for weight in network.model.weights]
    clips = toys.clips(24, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.optimizers, "Adam", keras.optimizers.SGD)
        chosen = toys.settings(epochs=1, batch_size=24, learning_rate=1.0, **settings)
        training.train(network, clips, clips, chosen)
    moved = zip(network.model.get_weights(), before, kernels, strict=True)
    return math.sqrt(
        sum(float(np.square(now - then).sum()) for now, then, kernel in moved if kernel)
    )


def test_the_loss_scale_is_gone_before_gradients_are_cut() -> None:
    assert _moved("mixed_float16") == pytest.approx(_moved("float32"), rel=0.05)
    # The norm is that of all gradients; kernels have most of it.
    assert 0.005 < _moved("mixed_float16", clip_norm=0.01) <= 0.0101


def test_gradients_too_small_for_float16_are_not_lost() -> None:
    # Weights of the loss so small that float16 rounds the gradients to nothing.
    def moved(dtype_policy: str) -> float:
        with pytest.MonkeyPatch.context() as patch:
            tiny = {0: 1e-6, 1: 1e-6, 2: 1e-6}
            patch.setattr(phases, "_class_weights", lambda *_: tiny)
            return _moved(dtype_policy)

    expected = moved("float32")
    assert 0 < expected < 1e-4
    assert moved("mixed_float16") == pytest.approx(expected, rel=0.1)
