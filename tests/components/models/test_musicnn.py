"""Tests of the musicnn library's networks: their graphs, against published activations."""

from __future__ import annotations

import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.audio.params import AudioParams
from components.models import musicnn, registry
from components.models.network import Network, NetworkError
from components.models.settings import ModelSettings
from tests.support import networks

CLIPS = ("metal.00000", "classical.00000", "reggae.00000")
# The end of a checkpoint's name and the dense layer that gives its tags, by network.
UPSTREAM = {"musicnn": ("musicnn", "dense_1"), "musicnn_vgg": ("vgg", "dense")}


def _build(name: str, weights: str = "none") -> Network:
    n_mels, frames = networks.size_of(name)
    settings = ModelSettings(weights=weights)
    return registry.build(name, settings, n_mels=n_mels, frames=frames, genres=3, seed=0)


@pytest.mark.parametrize("data", ["MSD", "MTT"])
@pytest.mark.parametrize("name", UPSTREAM)
def test_published_weights_give_the_published_features_and_tags(
    name: str, data: str, real_data: pathlib.Path
) -> None:
    end, tagger = UPSTREAM[name]
    folder = real_data / "musicnn" / f"{data}_{end}"
    network = _build(name, str(folder))
    assert network.two_phase
    assert network.base is not None
    reader = tf.compat.v1.train.NewCheckpointReader(f"{folder}/")
    kernel, bias = (reader.get_tensor(f"{tagger}/{part}") for part in ("kernel", "bias"))
    with np.load(real_data / "musicnn/expected.npz") as expected:
        for clip in CLIPS:
            # log10(10000 S + 1) as [frames, bands], and the front end's decibels of it.
            mel_db = (10 * expected[f"{clip}/mel"] - 80).transpose(0, 2, 1)
            of_clip = f"{clip}/{data}_{end}"
            published = expected[f"{of_clip}/features"]
            features = keras.ops.convert_to_numpy(network.base(mel_db))[:, : published.shape[1]]
            np.testing.assert_allclose(features, published, atol=1e-4)
            tags = 1 / (1 + np.exp(-(features @ kernel + bias)))
            np.testing.assert_allclose(tags, expected[f"{of_clip}/tags"], atol=1e-4)


@pytest.mark.parametrize(
    ("name", "convolutions", "features"),
    [
        # Kernels and biases by the shapes in the paper's appendix; twice the channels of each
        # normalisation are trained too.
        (
            "musicnn",
            204 * (7 * 38 + 1) + 204 * (7 * 67 + 1) + 51 * (128 + 64 + 32 + 3)
            + 64 * (7 * 561 + 1) + 2 * 64 * (7 * 64 + 1) + 200 * (1506 + 1)
            + 2 * (1 + 204 + 204 + 3 * 51 + 3 * 64 + 1506 + 200),
            200 + 1506,
        ),
        (
            "musicnn_vgg",
            128 * (9 + 1) + 4 * 128 * (9 * 128 + 1) + 2 * (1 + 5 * 128),
            256,
        ),
    ],
)  # fmt: skip
def test_the_graph_has_the_papers_weights(name: str, convolutions: int, features: int) -> None:
    network = _build(name)
    assert network.base is not None
    assert not network.two_phase
    trained = sum(int(np.prod(weight.shape)) for weight in network.base.trainable_weights)
    assert trained == convolutions
    assert network.head.input_shape == (None, features)
    norms = [
        layer
        for layer in network.base.get_layer("convolutions").layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    assert {(norm.momentum, norm.epsilon) for norm in norms} == {(0.9, 1e-3)}


def test_the_pooled_features_follow_those_of_the_dense_layer(real_data: pathlib.Path) -> None:
    network = _build("musicnn", str(real_data / "musicnn" / "MSD_musicnn"))
    assert network.base is not None
    layers = {layer.name: layer for layer in network.base.get_layer("convolutions").layers}
    mel_db = np.full((2, 96, 187), -60, np.float32)
    mel_db[1, 20:40] = -30
    features = keras.ops.convert_to_numpy(network.base(mel_db))
    dense, pooled = features[:, :200], features[:, 200:] / musicnn.POOLED_SCALE
    expected = layers["batch_normalization_10"](layers["dense"](pooled), training=False)
    np.testing.assert_allclose(dense, expected, atol=1e-4)
    assert np.abs(pooled[0] - pooled[1]).max() > 1


@pytest.mark.parametrize("name", UPSTREAM)
def test_its_own_saved_base_is_loaded_again(name: str, tmp_path: pathlib.Path) -> None:
    first = _build(name)
    assert first.base is not None
    rng = np.random.default_rng(5)
    first.base.set_weights([rng.uniform(0.1, 0.2, w.shape) for w in first.base.weights])
    path = tmp_path / "base.weights.h5"
    first.base.get_layer("convolutions").save_weights(path)
    again = _build(name, str(path))
    assert again.two_phase
    assert again.base is not None
    for one, other in zip(again.base.get_weights(), first.base.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", UPSTREAM)
@pytest.mark.parametrize("size", [(128, 87), (96, 188)])
def test_spectrograms_of_another_front_end_are_refused(name: str, size: tuple[int, int]) -> None:
    audio = AudioParams.of_front_end("musicnn")
    assert (audio.n_mels, audio.frames) == (96, 187)
    with pytest.raises(NetworkError, match=r'96 mel bands x 187.*audio.front_end = "musicnn"'):
        registry.build(name, ModelSettings(), n_mels=size[0], frames=size[1], genres=3, seed=0)
