"""Training speed of VGG16 and ResNet50 in images a second, compared with PyTorch.

    KERAS_BACKEND=jax python -m benchmarks.gpu_speed [--side 224] [--batch 64] [--steps 30]

Both train on the same GPU in one run, in turn, in mixed precision. Ours runs on Keras: on JAX by
default, on TensorFlow with KERAS_BACKEND=tensorflow. PyTorch's runs with autocast, channels_last,
cuDNN's search for the fastest kernels, fused Adam, and torch.compile with --compile. The pictures
have --side pixels a side, and then the spectrogram's own 128 x 87.

Ours reads shuffled spectrograms from the host's memory, colours and resizes them in the training
step, and clips gradients by norm, as the Trainer does. PyTorch's repeats one batch of finished
pictures on the GPU, and clips gradients the same way. Images a second are the median of --rounds
rounds of --steps steps after a warm-up round. A round ends when the GPU has finished.

A library that is not installed is reported and skipped. To try the program on a CPU:

    KERAS_BACKEND=jax python -m benchmarks.gpu_speed --side 32 --batch 2 --steps 2 --rounds 1
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks.shared import command

BACKENDS = ("jax", "tensorflow")
NETWORKS = ("vgg16", "resnet50")
BANDS, FRAMES, GENRES = 128, 87, 8
CLIP_NORM = 1.0
TARGET_RATIO = 1.0

# 3 x 3 convolutions of VGG16, "M" for a maximum over 2 x 2.
VGG16 = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M")
# Filters and blocks of ResNet50's stages.
RESNET50 = ((64, 3), (128, 4), (256, 6), (512, 3))


def installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def choose_backend() -> str | None:
    """Set KERAS_BACKEND and return it, before Keras is imported; None if Keras cannot run."""
    wanted = os.environ.get("KERAS_BACKEND")
    found = [name for name in ((wanted,) if wanted else BACKENDS) if installed(name)]
    if not installed("keras") or not found:
        return None
    os.environ["KERAS_BACKEND"] = found[0]
    return found[0]


def images_per_second(one_round: Callable[[], None], images: int, rounds: int) -> float:
    """Return the median speed of some rounds of `images` each."""
    one_round()  # compiles and selects kernels
    taken = []
    for _ in range(rounds):
        begun = time.perf_counter()
        one_round()
        taken.append(time.perf_counter() - begun)
    return images / statistics.median(taken)


def ours(name: str, side: int, options: argparse.Namespace) -> float:
    """Measure a network of components.models on Keras, in images a second."""
    import keras
    import numpy as np

    from components.audio.spectrogram.stored import to_stored
    from components.models import registry
    from components.models.settings import ModelSettings
    from components.trainer.batches import Clips

    network = registry.build(
        name,
        ModelSettings(image_size=side),
        n_mels=BANDS,
        frames=FRAMES,
        genres=GENRES,
        seed=1,
        dtype_policy="mixed_bfloat16",
    )
    network.model.compile(
        optimizer=keras.optimizers.Adam(1e-4, global_clipnorm=CLIP_NORM),
        loss=keras.losses.SparseCategoricalCrossentropy(),
        metrics=["accuracy"],
        jit_compile=True,
    )
    rng = np.random.default_rng(1)
    count = options.batch * options.steps
    mel_db = rng.uniform(-80, 0, (count, BANDS, FRAMES)).astype(np.float32)
    clips = Clips(to_stored(mel_db), rng.integers(0, GENRES, count))
    epoch = 0

    def one_round() -> None:
        nonlocal epoch
        epoch += 1
        # The history has numbers, so the GPU has finished.
        batches = clips.batches(options.batch, shuffle=(0, epoch))
        history = network.model.fit(batches, shuffle=False, verbose=0)
        assert math.isfinite(history.history["loss"][0])

    return images_per_second(one_round, count, options.rounds)


def torch_network(name: str, height: int, width: int) -> Any:
    """Build a network of components.models in PyTorch: same layers, widths and strides."""
    from torch import nn

    if name == "vgg16":
        layers: list[Any] = []
        channels = 3
        for filters in VGG16:
            if isinstance(filters, int):
                layers += [nn.Conv2d(channels, filters, 3, padding=1), nn.ReLU(inplace=True)]
                channels = filters
            else:
                layers.append(nn.MaxPool2d(2))
        features = 512 * (height // 32) * (width // 32)
        units = 512
        dense = [
            nn.Flatten(),
            nn.Linear(features, units), nn.ReLU(inplace=True), nn.Dropout(0.5),
            nn.Linear(units, units), nn.ReLU(inplace=True), nn.Dropout(0.5),
            nn.Linear(units, GENRES),
        ]  # fmt: skip
        return nn.Sequential(*layers, *dense)

    class Block(nn.Module):  # type: ignore[misc]
        def __init__(self, before: int, filters: int, stride: int) -> None:
            super().__init__()

            def convolution(one: int, other: int, size: int, step: int = 1) -> list[Any]:
                made = nn.Conv2d(one, other, size, step, size // 2)
                return [made, nn.BatchNorm2d(other)]

            # Keras's ResNet50 strides in a block's first convolution, as the paper does.
            self.path = nn.Sequential(
                *convolution(before, filters, 1, stride), nn.ReLU(inplace=True),
                *convolution(filters, filters, 3), nn.ReLU(inplace=True),
                *convolution(filters, 4 * filters, 1),
            )  # fmt: skip
            changes = stride > 1 or before != 4 * filters
            self.shortcut = (
                nn.Sequential(*convolution(before, 4 * filters, 1, stride))
                if changes
                else nn.Identity()
            )
            self.relu = nn.ReLU(inplace=True)

        def forward(self, x: Any) -> Any:
            return self.relu(self.path(x) + self.shortcut(x))

    start = [
        nn.Conv2d(3, 64, 7, 2, 3), nn.BatchNorm2d(64), nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, 1),
    ]  # fmt: skip
    blocks, before = [], 64
    for stage, (filters, count) in enumerate(RESNET50):
        for index in range(count):
            blocks.append(Block(before, filters, 2 if stage and not index else 1))
            before = 4 * filters
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.3), nn.Linear(before, GENRES)]
    return nn.Sequential(*start, *blocks, *head)


def theirs(name: str, side: int, options: argparse.Namespace) -> float:
    """Measure the same network in PyTorch, in images a second."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cudnn.benchmark = True
    torch.manual_seed(1)
    height, width = (side, side) if side else (BANDS, FRAMES)
    model = torch_network(name, height, width).to(device, memory_format=torch.channels_last)
    fused = {"fused": True} if device == "cuda" else {}
    optimizer = torch.optim.Adam(model.parameters(), 1e-4, **fused)
    pictures = torch.randn(options.batch, 3, height, width, device=device)
    pictures = pictures.to(memory_format=torch.channels_last)
    labels = torch.randint(0, GENRES, (options.batch,), device=device)
    run = torch.compile(model) if options.compile else model

    def one_round() -> None:
        for _ in range(options.steps):
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(device, dtype=torch.bfloat16):
                loss = torch.nn.functional.cross_entropy(run(pictures), labels)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
            optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()
        assert math.isfinite(loss.item())

    return images_per_second(one_round, options.batch * options.steps, options.rounds)


def device_of(backend: str | None) -> str:
    """Return the device that a Keras backend runs on, with the backend's version."""
    if backend == "jax":
        import jax

        return f"{jax.devices()[0].device_kind} (JAX {jax.__version__})"
    if backend == "tensorflow":
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        names = [tf.config.experimental.get_device_details(gpu).get("device_name") for gpu in gpus]
        return f"{names[0] if names else 'cpu'} (TensorFlow {tf.__version__})"
    return ""


def measure(backend: str | None, options: argparse.Namespace) -> None:
    """Print the table, with empty cells for a library that is not installed."""
    if backend:
        print(f"ours: {device_of(backend)}, mixed_bfloat16, compiled by XLA")
    if installed("torch"):
        import torch

        card = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "cpu"
        compiled = "torch.compile" if options.compile else "not compiled"
        print(f"PyTorch: {card} (PyTorch {torch.__version__}), bfloat16 autocast, {compiled}")
    print(
        f"batches of {options.batch}, median of {options.rounds} rounds of {options.steps} steps\n"
    )
    print("| network | picture | ours, images/s | PyTorch, images/s | ours / PyTorch |")
    print("|---|---|---|---|---|")
    for name in NETWORKS:
        for side in dict.fromkeys((options.side, 0)):
            picture = f"{side} x {side}" if side else f"{BANDS} x {FRAMES}"
            mine = ours(name, side, options) if backend else None
            other = theirs(name, side, options) if installed("torch") else None
            ratio = ""
            if mine and other:
                verdict = "" if mine / other >= TARGET_RATIO else f" (below {TARGET_RATIO})"
                ratio = f"{mine / other:.2f}{verdict}"
            cells = ["" if rate is None else f"{rate:.1f}" for rate in (mine, other)]
            print(f"| {name} | {picture} | {cells[0]} | {cells[1]} | {ratio} |", flush=True)


def main() -> None:
    options = command.parser(__file__, __doc__)
    options.add_argument("--side", type=int, default=224, help="pixels")
    options.add_argument("--batch", type=int, default=64)
    options.add_argument("--steps", type=int, default=30, help="training steps a round")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--compile", action="store_true", help="torch.compile PyTorch's networks")
    arguments = options.parse_args()
    # JAX would otherwise allocate most of the GPU's memory and leave too little to PyTorch.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    wanted = os.environ.get("KERAS_BACKEND", " or ".join(BACKENDS))
    backend = choose_backend()
    if backend is None:
        missing = f"Keras on {wanted}" if installed("keras") else "Keras"
        print(f"skipping ours: {missing} is not installed (pip install keras jax[cuda12])")
    if not installed("torch"):
        print("skipping PyTorch: it is not installed (pip install torch)")
    if backend or installed("torch"):
        measure(backend, arguments)
    else:
        sys.exit("nothing to measure: install Keras with JAX, or PyTorch")


if __name__ == "__main__":
    main()
