"""Tests of starting weights from files and downloads, and of their error messages."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import inspect
import pathlib
import socket
import urllib.error
import zipfile
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from components.models import published, registry, weights
from components.models.network import Network
from components.models.settings import ModelSettings


def _vgg16(weights_setting: str, seed: int = 0) -> Network:
    settings = ModelSettings(image_size=32, weights=weights_setting)
    return registry.build("vgg16", settings, n_mels=16, frames=20, genres=3, seed=seed)


def _convolutions(network: Network) -> keras.Model:
    assert network.base is not None
    return network.base.get_layer("convolutions")


@pytest.fixture(scope="module")
def trained() -> keras.Model:
    """Return VGG16's convolutions with weights that no build draws."""
    keras.utils.set_random_seed(99)
    return keras.applications.VGG16(include_top=False, weights=None, input_shape=(64, 64, 3))


@pytest.fixture(scope="module")
def saved(trained: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("weights")
    trained.save_weights(folder / "base.weights.h5")
    trained.save(folder / "base.keras")
    _save_as_published(trained, folder / "published.h5")
    return {path.name: str(path) for path in folder.iterdir()}


def _save_as_published(model: keras.Model, path: pathlib.Path) -> None:
    """Write a file in the layout of Keras's host: a group of named arrays for each layer."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        file.attrs["keras_version"] = b"2.0.0"
        file.attrs["backend"] = b"tensorflow"
        for layer in model.layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}_{weight.name}:0" for weight in layer.weights]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, value in zip(names, layer.get_weights(), strict=True):
                group.create_dataset(name, data=value)


@pytest.mark.parametrize("name", ["base.weights.h5", "base.keras", "published.h5"])
def test_each_kind_of_file_gives_the_saved_weights(
    name: str, saved: dict[str, str], trained: keras.Model
) -> None:
    loaded = _convolutions(_vgg16(saved[name]))
    for one, other in zip(loaded.get_weights(), trained.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_configuration_inside_a_keras_file_is_never_read(
    saved: dict[str, str], tmp_path: pathlib.Path
) -> None:
    path = tmp_path / "hostile.keras"
    with zipfile.ZipFile(saved["base.keras"]) as source, zipfile.ZipFile(path, "w") as target:
        for member in source.namelist():
            hostile = b'{"class_name": "Lambda", "module": "os"}'
            target.writestr(member, hostile if member.endswith(".json") else source.read(member))
    assert _vgg16(str(path)).parameters > 0


@pytest.mark.parametrize("name", ["base.weights.h5", "base.keras", "published.h5"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_a_file_cut_short_is_told_in_words(
    name: str, share: float, saved: dict[str, str], tmp_path: pathlib.Path
) -> None:
    path = tmp_path / name
    whole = pathlib.Path(saved[name]).read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(weights.WeightsError, match="may be truncated"):
        _vgg16(str(path))


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras"])
def test_weights_of_another_architecture_are_refused(suffix: str, tmp_path: pathlib.Path) -> None:
    other = keras.applications.VGG19(include_top=False, weights=None, input_shape=(32, 32, 3))
    path = tmp_path / f"vgg19{suffix}"
    (other.save if suffix == ".keras" else other.save_weights)(path)
    with pytest.raises(weights.WeightsError, match=r"(?s)vgg19.*does not fit vgg16.*same order"):
        _vgg16(str(path))


def test_the_layers_that_do_not_fit_are_counted_and_one_is_named(tmp_path: pathlib.Path) -> None:
    network = _vgg16("none")
    network.model.save_weights(tmp_path / "whole.weights.h5")  # the base is deeper in it
    with pytest.raises(
        weights.WeightsError, match=r"fit vgg16: 13 of its layers .* block1_conv1\. "
    ):
        _vgg16(str(tmp_path / "whole.weights.h5"))


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras"])
def test_a_file_with_a_head_for_any_number_of_classes_gives_its_base(
    suffix: str, tmp_path: pathlib.Path
) -> None:
    keras.utils.set_random_seed(7)
    settings = ModelSettings(image_size=32, weights=str(tmp_path / f"whole{suffix}"))
    whole = keras.applications.ResNet50(weights=None, classes=10, input_shape=(32, 32, 3))
    (whole.save if suffix == ".keras" else whole.save_weights)(settings.weights)
    loaded = _convolutions(
        registry.build("resnet50", settings, n_mels=16, frames=20, genres=3, seed=0)
    )
    for one, other in zip(loaded.weights, whole.weights[:-2], strict=True):
        np.testing.assert_array_equal(one, other)


def test_published_weights_of_another_architecture_are_refused(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "small.h5"
    inputs = keras.Input((8, 8, 3))
    _save_as_published(keras.Model(inputs, keras.layers.Conv2D(4, 3)(inputs)), path)
    with pytest.raises(weights.WeightsError, match="does not fit vgg16"):
        _vgg16(str(path))


def test_a_missing_file_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(weights.WeightsError, match=r"none\.weights\.h5.*no such file"):
        _vgg16(f"{tmp_path}/none.weights.h5")


@pytest.mark.parametrize("setting", ["Imagenet", "weights.pt", "notes.txt"])
def test_what_is_neither_a_word_nor_a_weights_file_is_refused(setting: str) -> None:
    with pytest.raises(weights.WeightsError, match=r"must be \"imagenet\", \"none\", or the path"):
        _vgg16(setting)


def test_a_file_over_the_size_limit_is_not_opened(
    saved: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    size = pathlib.Path(saved["base.weights.h5"]).stat().st_size
    monkeypatch.setattr(weights, "MAX_WEIGHTS_BYTES", size - 1)
    with pytest.raises(weights.WeightsError, match="larger than"):
        _vgg16(saved["base.weights.h5"])


@pytest.mark.parametrize("kind", ["h5", "keras"])
def test_a_small_file_that_unpacks_to_a_large_one_is_refused(
    kind: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "MAX_WEIGHTS_BYTES", 1_000_000)
    path = tmp_path / ("bomb.keras" if kind == "keras" else "bomb.weights.h5")
    if kind == "keras":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("model.weights.h5", bytes(2_000_000))
    else:
        with h5py.File(path, "w") as file:
            file.create_dataset("a", shape=(500_000,), dtype="f4", chunks=True, compression="gzip")
    assert path.stat().st_size < 100_000
    with pytest.raises(weights.WeightsError, match="unpacks to more"):
        _vgg16(str(path))


@pytest.mark.parametrize("name", ["ffnn", "cnn_small", "crnn"])
def test_networks_that_nobody_pre_trained_take_no_weights(name: str) -> None:
    with pytest.raises(weights.WeightsError, match=f'models.{name}.weights.*set it to "none"'):
        registry.build(
            name, ModelSettings(weights="imagenet"), n_mels=16, frames=20, genres=3, seed=0
        )


def _no_network(*_args: Any, **_kwargs: Any) -> Any:
    raise urllib.error.URLError("Temporary failure in name resolution")


@pytest.fixture
def empty_cache(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    return tmp_path / "models"


def test_imagenet_without_a_network_says_how_to_get_the_file(
    empty_cache: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keras.src.utils.file_utils.urlretrieve", _no_network)
    with pytest.raises(weights.WeightsError) as caught:
        _vgg16("imagenet")
    message = str(caught.value)
    place = empty_cache / "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
    assert message == (
        f'models.vgg16.weights = "imagenet": {place} is missing, and the download failed: '
        "Temporary failure in name resolution. On a machine with internet, type `genreflow "
        "download weights vgg16`, and copy the file here"
    )


def test_the_published_file_is_the_one_that_keras_itself_would_fetch() -> None:
    source = importlib.import_module("keras.src.applications.vgg16")
    (file,) = published.VGG16["imagenet"].files
    assert file.url == source.WEIGHTS_PATH_NO_TOP
    text = inspect.getsource(source.VGG16)
    assert f'"{file.name}"' in text
    assert f'file_hash="{file.digest}"' in text


def test_resnet50_too_is_the_file_that_keras_itself_would_fetch() -> None:
    source = importlib.import_module("keras.src.applications.resnet")
    (file,) = published.RESNET50["imagenet"].files
    assert file.url == f"{source.BASE_WEIGHTS_PATH}{file.name}"
    assert file.digest == source.WEIGHTS_HASHES["resnet50"][1]


def test_a_server_that_never_answers_does_not_hang_it(
    empty_cache: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "DOWNLOAD_TIMEOUT_SECONDS", 0.2)
    monkeypatch.setenv("no_proxy", "*")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/weights.h5"
        file = published.File("weights.h5", url, "0" * 32)
        known = dataclasses.replace(published.VGG16["imagenet"], files=(file,))
        with pytest.raises(weights.WeightsError, match="timed out"):
            weights.download(known, "imagenet", "vgg16")
    assert socket.getdefaulttimeout() is None
    assert not (empty_cache / "weights.h5").exists()


def test_a_cached_file_with_the_right_digest_is_used_without_a_network(
    empty_cache: pathlib.Path, monkeypatch: pytest.MonkeyPatch, saved: dict[str, str]
) -> None:
    content = pathlib.Path(saved["published.h5"]).read_bytes()
    imagenet = published.VGG16["imagenet"]
    (file,) = imagenet.files
    empty_cache.mkdir()
    (empty_cache / file.name).write_bytes(content)
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    known = dataclasses.replace(imagenet, files=(dataclasses.replace(file, digest=digest),))
    monkeypatch.setitem(published.VGG16, "imagenet", known)
    monkeypatch.setattr("keras.src.utils.file_utils.urlretrieve", _no_network)
    assert _vgg16("imagenet").parameters > 0
