"""Tests of the layers that turn spectrograms into networks' input."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from components.audio.spectrogram import colours
from components.audio.spectrogram.stored import from_stored
from components.models import preprocessing, registry


def _mel_db(seed: int = 0, shape: tuple[int, ...] = (2, 16, 20)) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-80, 0, shape).astype(np.float32)


def test_the_graphs_colours_equal_numpys_bit_for_bit() -> None:
    edges_db = -80 + np.arange(257) * 0.3125
    near_edges = np.concatenate([edges_db, edges_db + 1e-5, edges_db - 1e-5, [-200.0, 7.0]])
    every_stored_level = from_stored(np.arange(40961, dtype=np.uint16))
    for levels in (near_edges.astype(np.float32), every_stored_level):
        mel_db = levels[None, None, :]
        in_graph = keras.ops.convert_to_numpy(preprocessing.ColourMap()(mel_db))
        assert in_graph.dtype == np.float32
        np.testing.assert_array_equal(in_graph, colours.to_rgb(mel_db))


def test_the_graph_flips_the_picture_as_numpy_does() -> None:
    mel_db = _mel_db()
    in_graph = keras.ops.convert_to_numpy(preprocessing.ColourMap()(mel_db))
    np.testing.assert_array_equal(in_graph, colours.to_rgb(mel_db))


def test_imagenet_centring_is_what_keras_does_for_vgg16() -> None:
    pictures = colours.to_rgb(_mel_db()).astype(np.float32)
    expected = keras.applications.vgg16.preprocess_input(pictures.copy())
    centred = keras.ops.convert_to_numpy(preprocessing.ImageNetCentre()(pictures))
    np.testing.assert_allclose(centred, expected, atol=1e-5)


def test_shrinking_averages_and_keeps_orientation() -> None:
    pictures = np.zeros((1, 8, 8, 3), np.float32)
    pictures[:, :4] = 200.0  # the upper half
    small = keras.ops.convert_to_numpy(preprocessing.ResizePicture(2)(pictures))
    assert small.shape == (1, 2, 2, 3)
    assert (small[0, 0] > 150).all()
    assert (small[0, 1] < 50).all()
    # Antialiased: every pixel counts, so the mean stays.
    assert small.mean() == pytest.approx(100.0, rel=1e-3)


@pytest.mark.parametrize("shape", [(128, 87), (16, 20), (7, 64), (1, 3), (64, 64)])
@pytest.mark.parametrize("side", [1, 32, 64, 100])
def test_resizing_is_what_keras_and_tensorflow_do(shape: tuple[int, int], side: int) -> None:
    pictures = np.random.default_rng(1).integers(0, 256, (2, *shape, 3)).astype(np.float32)
    expected = keras.ops.image.resize(
        pictures, (side, side), "bilinear", antialias=True, data_format="channels_last"
    )
    found = keras.ops.convert_to_numpy(preprocessing.ResizePicture(side)(pictures))
    np.testing.assert_allclose(found, keras.ops.convert_to_numpy(expected), atol=2e-3)


def test_preprocessing_stays_in_float32_under_any_policy() -> None:
    mel_db = _mel_db()
    expected = keras.ops.convert_to_numpy(preprocessing.picture(mel_db, 8))
    with registry.in_precision("mixed_bfloat16"):
        found = keras.ops.convert_to_numpy(preprocessing.picture(mel_db, 8))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("image_size", "expected"), [(0, (16, 20, 3)), (40, (40, 40, 3))])
def test_the_symbolic_shape_is_the_shape_that_comes_out(
    image_size: int, expected: tuple[int, ...]
) -> None:
    inputs = keras.Input((16, 20))
    model = keras.Model(inputs, preprocessing.picture(inputs, image_size))
    assert model.output_shape == (None, *expected)
    assert preprocessing.picture_shape(16, 20, image_size) == expected
    assert model(_mel_db()).shape == (2, *expected)


def test_layers_survive_saving(tmp_path: object) -> None:
    inputs = keras.Input((16, 20))
    outputs = preprocessing.ImageNetCentre()(preprocessing.picture(inputs, 8))
    model = keras.Model(inputs, outputs)
    path = f"{tmp_path}/model.keras"
    model.save(path)
    loaded = keras.models.load_model(path)
    np.testing.assert_array_equal(model(_mel_db()), loaded(_mel_db()))


def test_a_standardised_clip_has_mean_0_and_deviation_1_whatever_its_peak() -> None:
    mel_db = _mel_db()
    standard = keras.ops.convert_to_numpy(preprocessing.Standardise()(mel_db))
    expected = mel_db - mel_db.mean(axis=(1, 2), keepdims=True)
    expected /= expected.std(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(standard, expected, atol=1e-4)
    other_peak = keras.ops.convert_to_numpy(preprocessing.Standardise()(0.5 * mel_db - 20))
    np.testing.assert_allclose(other_peak, standard, atol=1e-4)


def test_silence_standardised_is_zero() -> None:
    for level in (0.0, -80.0):
        silence = np.full((1, 16, 20), level, np.float32)
        np.testing.assert_array_equal(preprocessing.Standardise()(silence), 0)
