"""Tests of EfficientNet-Lite0: its graph, and its published weights in timm's layout."""

from __future__ import annotations

import pathlib

import keras
import numpy as np
import numpy.typing as npt
import pytest
from keras import layers
from safetensors.numpy import load_file, save_file

from components.models import registry, timm_weights, weights
from components.models.network import Network
from components.models.settings import ModelSettings

WEIGHTS = "efficientnet_lite0/efficientnet_lite0.safetensors"


def _lite0(weights_setting: str = "none", image_size: int = 32) -> Network:
    settings = ModelSettings(image_size=image_size, weights=weights_setting)
    return registry.build("efficientnet_lite0", settings, n_mels=16, frames=20, genres=3, seed=0)


def _features(network: Network, pictures: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the mean maps of pictures in 0..255, as the network scales and averages them."""
    assert network.base is not None
    x = pictures
    for name in ("scale", "convolutions", "mean"):
        x = network.base.get_layer(name)(x)
    return np.asarray(keras.ops.convert_to_numpy(x))


def test_published_weights_give_the_published_activations(real_data: pathlib.Path) -> None:
    network = _lite0(str(real_data / WEIGHTS), image_size=224)
    assert network.two_phase
    with np.load(real_data / "efficientnet_lite0/expected.npz") as expected:
        features = _features(network, 255 * expected["picture"].astype(np.float32))
        np.testing.assert_allclose(features, expected["features"], atol=1e-4)
        arrays = load_file(real_data / WEIGHTS)
        logits = features @ arrays["classifier.weight"].T + arrays["classifier.bias"]
        np.testing.assert_allclose(logits, expected["logits"], atol=1e-4)


def test_trained_weights_see_pictures_of_their_own_size(real_data: pathlib.Path) -> None:
    settings = ModelSettings(weights=str(real_data / WEIGHTS))
    network = registry.build("efficientnet_lite0", settings, n_mels=16, frames=20, genres=3, seed=0)
    assert network.base is not None
    assert network.base.get_layer("convolutions").input_shape == (None, 224, 224, 3)


def test_its_own_saved_base_is_loaded_again(tmp_path: pathlib.Path) -> None:
    first = _lite0()
    assert first.base is not None
    path = tmp_path / "base.weights.h5"
    first.base.get_layer("convolutions").save_weights(path)
    pictures = np.random.default_rng(1).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    again = _lite0(str(path))
    assert again.two_phase
    np.testing.assert_array_equal(_features(again, pictures), _features(first, pictures))


def test_the_graph_is_the_papers(tmp_path: pathlib.Path) -> None:
    base = _lite0(image_size=224).base
    assert base is not None
    convolutions = base.get_layer("convolutions")
    # timm counts 4,652,008 with the classifier of 1,000 classes.
    trained = sum(int(np.prod(weight.shape)) for weight in convolutions.trainable_weights)
    assert trained == 4_652_008 - 1000 * 1281
    sides = [
        convolutions.get_layer(f"blocks.{stage}.0.conv_dw").output.shape[1] for stage in range(7)
    ]
    assert sides == [112, 56, 28, 14, 14, 7, 7]
    added = [layer for layer in convolutions.layers if isinstance(layer, layers.Add)]
    assert len(added) == 0 + 1 + 1 + 2 + 2 + 3 + 0  # all blocks of a stage but its first
    norms = [layer for layer in convolutions.layers if isinstance(layer, layers.BatchNormalization)]
    assert {(norm.momentum, norm.epsilon) for norm in norms} == {(0.9, 1e-3)}


def test_kernels_are_turned_as_they_are_applied(tmp_path: pathlib.Path) -> None:
    # Heights, widths, channels and filters all differ, so a wrong order cannot pass.
    inputs = keras.Input((5, 6, 3))
    x = layers.DepthwiseConv2D((2, 3), use_bias=False, name="deep.conv_dw")(inputs)
    model = keras.Model(inputs, layers.Conv2D(4, (3, 1), use_bias=False, name="conv")(x))
    rng = np.random.default_rng(2)
    deep = rng.normal(size=(3, 1, 2, 3)).astype(np.float32)
    full = rng.normal(size=(4, 3, 3, 1)).astype(np.float32)
    path = tmp_path / "toy.safetensors"
    save_file({"deep.conv_dw.weight": deep, "conv.weight": full}, path)
    timm_weights.load(model, path, architecture="efficientnet_lite0")
    picture = rng.normal(size=(5, 6, 3)).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(picture, (2, 3), axis=(0, 1))
    middle = np.einsum("hwcij,cij->hwc", windows, deep[:, 0])
    windows = np.lib.stride_tricks.sliding_window_view(middle, (3, 1), axis=(0, 1))
    expected = np.einsum("hwcij,fcij->hwf", windows, full)
    found = keras.ops.convert_to_numpy(model(picture[None]))[0]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_a_depthwise_kernel_of_another_shape_is_told_in_timms_order(
    tmp_path: pathlib.Path,
) -> None:
    inputs = keras.Input((5, 5, 3))
    deep = layers.DepthwiseConv2D(3, use_bias=False, name="conv_dw")
    path = tmp_path / "toy.safetensors"
    save_file({"conv_dw.weight": np.zeros((3, 1, 5, 5), np.float32)}, path)
    said = r"conv_dw\.weight has shape \[3, 1, 5, 5\], not \[3, 1, 3, 3\]"
    with pytest.raises(weights.WeightsError, match=said):
        timm_weights.load(
            keras.Model(inputs, deep(inputs)), path, architecture="efficientnet_lite0"
        )


def test_damaged_and_foreign_files_are_refused(
    real_data: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    path = tmp_path / "changed.safetensors"
    whole = (real_data / WEIGHTS).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(weights.WeightsError, match="may be truncated"):
        _lite0(str(path))
    arrays = load_file(real_data / WEIGHTS)
    arrays["blocks.3.1.conv_dw.weight"][0, 0, 0, 0] = np.inf
    save_file(arrays, path)
    with pytest.raises(weights.WeightsError, match=r"conv_dw\.weight holds values that are not"):
        _lite0(str(path))
    save_file({name: arrays[name] for name in arrays if not name.startswith("blocks.6")}, path)
    with pytest.raises(
        weights.WeightsError, match=r"fit efficientnet_lite0: it lacks blocks\.6\.0"
    ):
        _lite0(str(path))
    settings = ModelSettings(image_size=32, weights=str(real_data / WEIGHTS))
    with pytest.raises(weights.WeightsError, match=r"does not fit resnet34.* holds blocks\.0\.0"):
        registry.build("resnet34", settings, n_mels=16, frames=20, genres=3, seed=0)
