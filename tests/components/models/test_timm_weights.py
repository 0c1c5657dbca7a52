"""Tests of ResNet34's weights in timm's layout: every key, every shape, and nothing else."""

from __future__ import annotations

import dataclasses
import http.server
import pathlib
import threading
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import load_file, save_file

from components.models import published, registry, weights
from components.models.network import Network
from components.models.settings import ModelSettings

Arrays = dict[str, npt.NDArray[np.generic]]


def _resnet34(weights_setting: str) -> Network:
    settings = ModelSettings(image_size=32, weights=weights_setting)
    return registry.build("resnet34", settings, n_mels=16, frames=20, genres=3, seed=0)


def _checkpoint() -> Arrays:
    """Return random arrays under timm's keys of resnet34, from the paper's table, not our graph."""
    rng = np.random.default_rng(3)
    arrays: Arrays = {}

    def convolution(name: str, filters: int, channels: int, size: int) -> None:
        scale = (2 / (filters * size * size)) ** 0.5
        shape = (filters, channels, size, size)
        arrays[f"{name}.weight"] = rng.normal(0, scale, shape).astype(np.float32)

    def norm(name: str, filters: int) -> None:
        arrays[f"{name}.weight"] = rng.uniform(0.5, 1.5, filters).astype(np.float32)
        arrays[f"{name}.bias"] = rng.normal(0, 0.1, filters).astype(np.float32)
        arrays[f"{name}.running_mean"] = rng.normal(0, 0.1, filters).astype(np.float32)
        arrays[f"{name}.running_var"] = rng.uniform(0.5, 1.5, filters).astype(np.float32)
        arrays[f"{name}.num_batches_tracked"] = np.array(7, np.int64)

    convolution("conv1", 64, 3, 7)
    norm("bn1", 64)
    channels = 64
    for stage, (filters, blocks) in enumerate([(64, 3), (128, 4), (256, 6), (512, 3)], start=1):
        for block in range(blocks):
            name = f"layer{stage}.{block}"
            convolution(f"{name}.conv1", filters, channels, 3)
            norm(f"{name}.bn1", filters)
            convolution(f"{name}.conv2", filters, filters, 3)
            norm(f"{name}.bn2", filters)
            if channels != filters:
                convolution(f"{name}.downsample.0", filters, channels, 1)
                norm(f"{name}.downsample.1", filters)
            channels = filters
    arrays["fc.weight"] = rng.normal(size=(1000, 512)).astype(np.float32)
    arrays["fc.bias"] = np.zeros(1000, np.float32)
    return arrays


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("timm") / "model.safetensors"
    save_file(_checkpoint(), path)
    return path


def _forward(arrays: Arrays, picture: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Apply PyTorch's ResNet34, in NumPy, to `[channels, height, width]`: 512 features."""

    def convolve(
        x: npt.NDArray[np.float64], kernel: npt.NDArray[np.generic], stride: int
    ) -> npt.NDArray[np.float64]:
        size = kernel.shape[2]
        padded = np.pad(x, ((0, 0), (size // 2, size // 2), (size // 2, size // 2)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2))
        return np.einsum("chwij,fcij->fhw", windows[:, ::stride, ::stride], kernel)

    def norm(x: npt.NDArray[np.float64], name: str) -> npt.NDArray[np.float64]:
        gamma, beta, mean, variance = (
            arrays[f"{name}.{part}"][:, None, None]
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        return (x - mean) / np.sqrt(variance + 1e-5) * gamma + beta

    x = np.maximum(norm(convolve(picture, arrays["conv1.weight"], 2), "bn1"), 0)
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    x = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))[:, ::2, ::2].max(
        axis=(-2, -1)
    )
    for stage, blocks in enumerate([3, 4, 6, 3], start=1):
        for block in range(blocks):
            name = f"layer{stage}.{block}"
            stride = 2 if stage > 1 and block == 0 else 1
            shortcut = x
            if f"{name}.downsample.0.weight" in arrays:
                shortcut = convolve(x, arrays[f"{name}.downsample.0.weight"], stride)
                shortcut = norm(shortcut, f"{name}.downsample.1")
            x = np.maximum(
                norm(convolve(x, arrays[f"{name}.conv1.weight"], stride), f"{name}.bn1"), 0
            )
            x = norm(convolve(x, arrays[f"{name}.conv2.weight"], 1), f"{name}.bn2")
            x = np.maximum(x + shortcut, 0)
    return x.mean(axis=(1, 2))


def test_the_loaded_network_computes_what_pytorchs_would(checkpoint: pathlib.Path) -> None:
    network = _resnet34(str(checkpoint))
    assert network.base is not None
    assert network.two_phase
    pictures = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype(np.float32)
    convolutions = network.base.get_layer("convolutions")
    features = np.asarray(convolutions(pictures, training=False)).mean(axis=(1, 2))
    arrays = _checkpoint()
    for picture, found in zip(pictures, features, strict=True):
        expected = _forward(arrays, picture.transpose(2, 0, 1).astype(np.float64))
        np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-3 * np.abs(expected).max())


def _changed(
    checkpoint: pathlib.Path, folder: pathlib.Path, change: Callable[[Arrays], None]
) -> str:
    arrays = load_file(checkpoint)
    change(arrays)
    path = folder / "changed.safetensors"
    save_file(arrays, path)
    return str(path)


def _spoil(arrays: Arrays) -> None:
    arrays["layer2.0.bn1.bias"][3] = np.nan


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda a: a.pop("layer3.5.conv2.weight"), "it lacks layer3.5.conv2.weight"),
        (lambda a: a.update({"layer5.0.conv1.weight": a["conv1.weight"]}), "holds layer5.0.conv1"),
        (lambda a: a.update({"bn1.bias": a["bn1.bias"][:63]}), r"bn1.bias has shape \[63\]"),
        (
            lambda a: a.update({"layer1.0.conv1.weight": np.zeros((64, 64, 1, 1), np.float32)}),
            r"layer1.0.conv1.weight has shape \[64, 64, 1, 1\], not \[64, 64, 3, 3\]",
        ),
        (_spoil, "layer2.0.bn1.bias holds values that are not finite"),
    ],
)
def test_a_file_that_is_not_resnet34_is_refused_by_the_first_difference(
    change: Callable[[Arrays], None], said: str, checkpoint: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    with pytest.raises(weights.WeightsError, match=said):
        _resnet34(_changed(checkpoint, tmp_path, change))


def test_a_file_without_the_classifier_is_as_good(
    checkpoint: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    def strip(arrays: Arrays) -> None:
        for name in list(arrays):
            if name.startswith("fc.") or name.endswith("num_batches_tracked"):
                del arrays[name]

    assert _resnet34(_changed(checkpoint, tmp_path, strip)).two_phase


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_file_cut_short_is_told(
    share: float, checkpoint: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    path = tmp_path / "cut.safetensors"
    whole = checkpoint.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(weights.WeightsError, match="may be truncated"):
        _resnet34(str(path))


def test_other_networks_do_not_take_the_format(checkpoint: pathlib.Path) -> None:
    settings = ModelSettings(image_size=32, weights=str(checkpoint))
    with pytest.raises(weights.WeightsError, match=r"models\.vgg16\.weights.*\.keras"):
        registry.build("vgg16", settings, n_mels=16, frames=20, genres=3, seed=0)


def test_what_a_run_saved_of_its_base_can_be_started_from(tmp_path: pathlib.Path) -> None:
    first = registry.build(
        "resnet34", ModelSettings(image_size=32), n_mels=16, frames=20, genres=3, seed=5
    )
    assert first.base is not None
    path = tmp_path / "base.weights.h5"
    first.base.get_layer("convolutions").save_weights(path)
    again = _resnet34(str(path))
    assert again.base is not None
    for one, other in zip(first.base.get_weights(), again.base.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


class _Host(http.server.BaseHTTPRequestHandler):
    """Handler that announces a digest and redirects, like Hugging Face; then sends the file."""

    content = b""
    digest = ""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        if self.path == "/model.safetensors":
            self.send_response(302)
            self.send_header("Location", "/blob")
            self.send_header("X-Linked-Etag", f'"{self.digest}"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        if body:
            self.wfile.write(self.content)

    def log_message(self, *_args: object) -> None:
        """Log nothing."""


@pytest.fixture
def host(checkpoint: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Host]]:
    import hashlib

    monkeypatch.setenv("no_proxy", "*")
    _Host.content = checkpoint.read_bytes()
    _Host.digest = hashlib.sha256(_Host.content).hexdigest()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Host)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    file = published.File(
        "resnet34.safetensors", f"http://127.0.0.1:{server.server_port}/model.safetensors"
    )
    known = dataclasses.replace(published.RESNET34["imagenet"], files=(file,))
    monkeypatch.setitem(published.RESNET34, "imagenet", known)
    yield _Host
    server.shutdown()
    server.server_close()


def test_imagenet_weights_come_from_the_host_with_the_digest_it_announces(
    host: type[_Host], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert _resnet34("imagenet").two_phase
    assert (tmp_path / "models" / "resnet34.safetensors").is_file()


@pytest.mark.parametrize("digest", ["0" * 64, "", "W/abc"])
def test_what_does_not_have_the_announced_digest_is_refused(
    digest: str, host: type[_Host], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(host, "digest", digest)
    with pytest.raises(weights.WeightsError, match=r"models\.resnet34\.weights"):
        _resnet34("imagenet")
