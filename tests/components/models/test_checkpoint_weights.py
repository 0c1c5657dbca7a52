"""Tests of weights in TensorFlow 1 checkpoints: every name, every shape, and damaged files."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib
import shutil
from collections.abc import Callable

import keras
import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf

from components.models import published, registry, weights
from components.models.network import Network
from components.models.settings import ModelSettings

INDEX, DATA = ".index", ".data-00000-of-00001"
Arrays = dict[str, npt.NDArray[np.float32]]


def _vgg(setting: object, name: str = "musicnn_vgg") -> Network:
    settings = ModelSettings(weights=str(setting))
    return registry.build(name, settings, n_mels=96, frames=187, genres=3, seed=0)


def _arrays(seed: int = 3) -> Arrays:
    """Return random arrays under the names of the library's VGG, with an optimizer's state."""
    rng = np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {"dense/kernel": (256, 50), "dense/bias": (50,)}
    for layer in range(1, 6):
        channels = 1 if layer == 1 else 128
        shapes[f"{layer}CNN/kernel"] = (3, 3, channels, 128)
        shapes[f"{layer}CNN/bias"] = (128,)
    for layer in range(6):
        name = f"batch_normalization_{layer}" if layer else "batch_normalization"
        for part in ("gamma", "beta", "moving_mean", "moving_variance"):
            shapes[f"{name}/{part}"] = (128,) if layer else (1,)
    slots = {f"1CNN/kernel/{slot}": (3, 3, 1, 128) for slot in ("Adam", "Adam_1")}
    shapes |= {"beta1_power": (), "beta2_power": (), **slots}
    return {name: rng.uniform(0.1, 0.2, shape).astype(np.float32) for name, shape in shapes.items()}


def _save(arrays: Arrays, folder: pathlib.Path) -> pathlib.Path:
    """Write a checkpoint as TensorFlow 1 does for a prefix that ends in a slash."""
    folder.mkdir()
    names = list(arrays)
    tf.raw_ops.SaveV2(
        prefix=f"{folder}/",
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[tf.constant(arrays[name]) for name in names],
    )
    assert sorted(os.listdir(folder)) == [DATA, INDEX]
    return folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return _save(_arrays(), tmp_path_factory.mktemp("tensorflow_1") / "VGG")


def test_every_array_reaches_the_layer_of_its_name(checkpoint: pathlib.Path) -> None:
    network = _vgg(checkpoint)
    assert network.two_phase
    assert network.base is not None
    held = _arrays()
    layers = network.base.get_layer("convolutions").layers
    loaded = [(layer, weight) for layer in layers for weight in layer.weights]
    assert len(loaded) == 5 * 2 + 6 * 4
    for layer, weight in loaded:
        np.testing.assert_array_equal(weight.numpy(), held[f"{layer.name}/{weight.name}"])


def test_other_files_in_the_folder_are_not_read(
    checkpoint: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    folder = pathlib.Path(shutil.copytree(checkpoint, tmp_path / "copy"))
    for name in (".meta", "checkpoint", "config.json"):
        (folder / name).write_text("nothing to read")
    assert _vgg(folder).two_phase
    (tmp_path / "link").symlink_to(folder)
    assert _vgg(tmp_path / "link").two_phase


def _renamed(arrays: Arrays) -> None:
    arrays["6CNN/kernel"] = arrays.pop("5CNN/kernel")


def _narrower(arrays: Arrays) -> None:
    arrays["2CNN/bias"] = arrays["2CNN/bias"][:64]


def _not_finite(arrays: Arrays) -> None:
    arrays["batch_normalization_4/moving_variance"][7] = np.nan


def _of_musicnn(arrays: Arrays) -> None:
    for name in [name for name in arrays if "CNN" in name]:
        arrays[f"conv2d_{name[0]}{name[4:]}"] = arrays.pop(name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_renamed, r"does not fit musicnn_vgg: it lacks 5CNN/kernel and it holds 6CNN/kernel\. "),
        (_narrower, r"does not fit musicnn_vgg: 2CNN/bias has shape \[64\], not \[128\]\. "),
        (_not_finite, r"batch_normalization_4/moving_variance holds values that are not finite"),
        (_of_musicnn, r'lacks 1CNN/bias and 9 more and it holds conv2d_1.*"msd", "mtt" or "none"'),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(
    change: Callable[[Arrays], None], message: str, tmp_path: pathlib.Path
) -> None:
    arrays = _arrays()
    change(arrays)
    with pytest.raises(weights.WeightsError, match=message):
        _vgg(_save(arrays, tmp_path / "VGG"))


@pytest.mark.parametrize("file", [INDEX, DATA])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_a_checkpoint_cut_short_is_told_in_words(
    file: str, share: float, checkpoint: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    folder = pathlib.Path(shutil.copytree(checkpoint, tmp_path / "cut"))
    whole = (folder / file).read_bytes()
    (folder / file).write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(weights.WeightsError, match="may be truncated or damaged") as caught:
        _vgg(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("file", [INDEX, DATA])
def test_changed_bytes_are_noticed(
    file: str, checkpoint: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    folder = pathlib.Path(shutil.copytree(checkpoint, tmp_path / "damaged"))
    content = bytearray((folder / file).read_bytes())
    for place in range(len(content) // 8, len(content), len(content) // 4):
        content[place] ^= 0x55
    (folder / file).write_bytes(content)
    with pytest.raises(weights.WeightsError, match="not a complete TensorFlow checkpoint"):
        _vgg(folder)


def test_what_is_no_checkpoint_is_told_before_anything_is_read(
    checkpoint: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(setting: object, message: str) -> None:
        with pytest.raises(weights.WeightsError, match=message):
            _vgg(setting)

    refused("MSD", r'must be "msd", "mtt", "none", or .* \(\./NAME for one in the current folder')
    refused(f"{tmp_path}/none", "no such folder")
    (tmp_path / "dangling").symlink_to(tmp_path / "none")
    refused(tmp_path / "dangling", "no such folder")
    (tmp_path / "file").write_bytes(b"\0" * 100)
    refused(tmp_path / "file", "no such folder")
    (tmp_path / "other").mkdir()
    refused(tmp_path / "other", rf"no {DATA} in this folder")
    for name in (INDEX, DATA):
        (tmp_path / "other" / name).write_bytes(b"text" * 100)
    refused(tmp_path / "other", "not a complete TensorFlow checkpoint")
    size = sum((checkpoint / name).stat().st_size for name in (INDEX, DATA))
    monkeypatch.setattr(weights, "MAX_WEIGHTS_BYTES", size - 1)
    refused(checkpoint, "larger than")


def test_values_that_are_not_finite_are_refused_in_keras_files_too(tmp_path: pathlib.Path) -> None:
    base = _vgg("none").base
    assert base is not None
    convolutions = base.get_layer("convolutions")
    convolutions.layers[1].gamma.assign([np.inf])
    convolutions.save_weights(tmp_path / "base.weights.h5")
    with pytest.raises(weights.WeightsError, match="gamma holds values that are not finite"):
        _vgg(tmp_path / "base.weights.h5")


# Published weights. What the host has is made here, with the digests of these files.


@pytest.fixture
def host(
    checkpoint: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> pathlib.Path:
    """Return a folder of checkpoints that are published under `msd` and `mtt`."""
    folder = tmp_path / "host"
    shutil.copytree(checkpoint, folder / "MSD_vgg")
    _save(_arrays(seed=4), folder / "MTT_vgg")
    for name in ("msd", "mtt"):
        known = published.MUSICNN_VGG[name]
        files = []
        for file in known.files:
            path = folder / pathlib.Path(known.folder).name / file.name
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            files.append(dataclasses.replace(file, url=path.as_uri(), digest=digest))
        changed = dataclasses.replace(known, files=tuple(files))
        monkeypatch.setitem(published.MUSICNN_VGG, name, changed)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return folder


def _first_bias(network: Network) -> npt.NDArray[np.float32]:
    assert network.base is not None
    bias = network.base.get_layer("convolutions").get_layer("1CNN").bias
    return np.asarray(keras.ops.convert_to_numpy(bias))


def test_published_checkpoints_are_downloaded_once_each_to_its_own_folder(
    host: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    for name, seed in (("msd", 3), ("mtt", 4)):
        np.testing.assert_array_equal(_first_bias(_vgg(name)), _arrays(seed)["1CNN/bias"])
    shutil.rmtree(host)
    np.testing.assert_array_equal(_first_bias(_vgg("msd")), _arrays(3)["1CNN/bias"])
    cached = tmp_path / "keras/models/musicnn"
    assert sorted(os.listdir(cached)) == ["MSD_vgg", "MTT_vgg"]
    assert sorted(os.listdir(cached / "MTT_vgg")) == [DATA, INDEX]


def test_without_a_network_the_message_says_what_to_type(
    host: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    shutil.rmtree(host)
    with pytest.raises(weights.WeightsError) as caught:
        _vgg("msd")
    message = str(caught.value)
    place = tmp_path / "keras/models/musicnn/MSD_vgg"
    assert message.startswith(f'models.musicnn_vgg.weights = "msd": {place} is missing, and the ')
    assert message.endswith(
        "On a machine with internet, type `genreflow download weights musicnn_vgg`, and copy the "
        "folder here"
    )
    assert len(message) < 500
    assert "was another" not in message
    assert "\n" not in message


def test_mtt_where_msd_was_said_is_refused(host: pathlib.Path, tmp_path: pathlib.Path) -> None:
    cached = tmp_path / "keras/models/musicnn/MSD_vgg"
    shutil.copytree(host / "MTT_vgg", cached)
    # With a network the right files replace them.
    np.testing.assert_array_equal(_first_bias(_vgg("msd")), _arrays(3)["1CNN/bias"])
    shutil.copy(host / "MTT_vgg" / DATA, cached / DATA)
    shutil.rmtree(host)
    with pytest.raises(weights.WeightsError, match=rf"\(the {DATA} in {cached} was another\)"):
        _vgg("msd")


def test_a_host_with_other_files_is_not_trusted(host: pathlib.Path) -> None:
    shutil.copy(host / "MTT_vgg" / DATA, host / "MSD_vgg" / DATA)
    with pytest.raises(weights.WeightsError, match=r"download failed: .*hash does not match"):
        _vgg("msd")


def test_the_published_digests_are_those_of_the_real_files(real_data: pathlib.Path) -> None:
    every = [*published.MUSICNN.values(), *published.MUSICNN_VGG.values()]
    assert len({known.folder for known in every}) == 4
    for known in every:
        assert known.folder.startswith("musicnn/")
        for file in known.files:
            assert file.url.endswith(f"/{known.folder}/{file.name}")
            content = (real_data / known.folder / file.name).read_bytes()
            assert hashlib.sha256(content).hexdigest() == file.digest


def test_each_published_checkpoint_fits_its_network_and_no_other(real_data: pathlib.Path) -> None:
    with pytest.raises(
        weights.WeightsError, match=r"does not fit musicnn: it lacks .* it holds 1CNN"
    ):
        _vgg(real_data / "musicnn/MSD_vgg", "musicnn")
    with pytest.raises(weights.WeightsError, match="does not fit musicnn_vgg: it lacks 1CNN/bias"):
        _vgg(real_data / "musicnn/MSD_musicnn")
