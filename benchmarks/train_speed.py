"""Training speed of the networks on the CPU, and on a GPU if there is one.

    python -m benchmarks.train_speed [--clips 64] [--side 64] [--networks vgg16 cnn_small]

components.trainer.training trains on random spectrograms of the project's own size (their content
does not matter). The program measures

- the gain from cached features: VGG16's first phase on features computed once, and the same phase
  with the frozen base run in every epoch, in one process on the same data. Figures are median
  seconds of the epochs after the first, which also builds the graph. "once" are the seconds before
  the first epoch, in which the features are computed; the gain of a whole phase counts them.
- each network as a whole: clips a second of such an epoch including validation, and the share of
  time that making batches from memory takes.

Each device is measured in a separate process: the CPU without GPUs, and all GPUs, with the
precision and compiler that training chooses there.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from benchmarks.shared import command
from components.audio.params import AudioParams
from components.models.architectures import NETWORKS
from components.models.settings import ModelSettings
from components.trainer.settings import TrainingSettings
from pipeline.process import cuda

if TYPE_CHECKING:
    from components.trainer.batches import Clips

PARAMS = AudioParams()
GENRES = 8
# In the reference study, training on the GPU took less than half of the CPU's time.
STUDY_RATIO = 0.5
TARGET_CACHE_GAIN = 10.0


def random_clips(count: int, seed: int) -> Clips:
    """Make random spectrograms as stored, and labels."""
    from components.audio.spectrogram.stored import to_stored
    from components.trainer.batches import Clips

    rng = np.random.default_rng(seed)
    mel_db = rng.uniform(-80, 0, (count, PARAMS.n_mels, PARAMS.frames)).astype(np.float32)
    return Clips(to_stored(mel_db), rng.integers(0, GENRES, count))


def epoch_seconds(
    name: str, options: argparse.Namespace, epochs: int, **changes: Any
) -> tuple[list[float], float]:
    """Train a network. Return the seconds of each epoch after the first, and those of no epoch.

    Args:
      name: of the network.
      options: sizes, from the command line.
      epochs: to train, without early stopping.
      changes: fields of Network to replace; `two_phase=True` trains the first of two phases.
    """
    from components.models import registry
    from components.trainer import tensorflow_devices
    from components.trainer.resolved import resolve
    from components.trainer.training import train

    model = ModelSettings(image_size=options.side if NETWORKS[name].min_side_pixels else 0)
    training = TrainingSettings(
        epochs=epochs, fine_tune_epochs=0, batch_size=options.batch, patience=epochs
    )
    gpus = tensorflow_devices.gpus()
    settings = resolve(training, model, registry.defaults(name), gpus)
    with tensorflow_devices.placed(gpus) as placement:
        network = registry.build(
            name,
            model,
            n_mels=PARAMS.n_mels,
            frames=PARAMS.frames,
            genres=GENRES,
            seed=1,
            dtype_policy=settings.precision,
        )
        network = dataclasses.replace(network, **changes)
        history = train(
            network,
            random_clips(options.clips, 1),
            random_clips(options.validation_clips, 2),
            settings,
            placement=placement,
        )
    seconds = [epoch.seconds for epoch in history.epochs]
    return seconds[1:], history.train_seconds - sum(seconds)


def measure_cache(options: argparse.Namespace) -> dict[str, float]:
    """Measure VGG16's first phase: seconds an epoch with and without cached features, and once."""
    from components.common import resources
    from components.trainer import features

    kept, once = epoch_seconds("vgg16", options, 9, two_phase=True)
    in_memory, on_disk = resources.cache_bytes, features.MAX_DISK_BYTES
    resources.cache_bytes = lambda root="/": 0
    features.MAX_DISK_BYTES = 0
    try:
        anew, _ = epoch_seconds("vgg16", options, 4, two_phase=True)
    finally:
        resources.cache_bytes, features.MAX_DISK_BYTES = in_memory, on_disk
    return {"kept": statistics.median(kept), "anew": statistics.median(anew), "once": once}


def measure_network(name: str, options: argparse.Namespace) -> dict[str, float]:
    """Measure milliseconds a clip of an epoch, and of making its batches."""
    clips = random_clips(options.clips, 1)
    rounds = []
    for epoch in range(3):
        begun = time.perf_counter()
        batches = clips.batches(options.batch, shuffle=(0, epoch))
        for index in range(len(batches)):
            batches[index]
        rounds.append(time.perf_counter() - begun)
    seconds = statistics.median(epoch_seconds(name, options, 3)[0])
    return {
        "epoch_ms": 1000 * seconds / (options.clips + options.validation_clips),
        "input_ms": 1000 * statistics.median(rounds) / options.clips,
    }


def measure_on(device: str, options: argparse.Namespace) -> dict[str, Any]:
    """Run this program in a process that sees the GPUs ("gpu") or none ("cpu")."""
    environment = {**os.environ, **(cuda.library_path(os.environ) if device == "gpu" else {})}
    if device == "cpu":
        environment["CUDA_VISIBLE_DEVICES"] = ""
    arguments = [
        f"--clips={options.clips}", f"--validation-clips={options.validation_clips}",
        f"--side={options.side}", f"--batch={options.batch}", "--networks", *options.networks,
    ]  # fmt: skip
    found: dict[str, Any] = {}
    words = [sys.executable, "-m", command.module(__file__), "--inside", *arguments]
    with subprocess.Popen(
        words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):
                found.update(json.loads(line))
                print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    if process.returncode:
        sys.exit(f"the process on the {device} failed with status {process.returncode}")
    return found


def measure_here(options: argparse.Namespace) -> None:
    """Measure in this process, and print a line of JSON for each figure as soon as it is known."""
    from components.trainer import tensorflow_devices
    from components.trainer.devices import dtype_policy

    gpus = tensorflow_devices.gpus()
    names = " + ".join(gpu.name for gpu in gpus) or "CPU"
    print(json.dumps({"device": names, "precision": dtype_policy("auto", gpus)}), flush=True)
    print(json.dumps({"cache": measure_cache(options)}), flush=True)
    for name in options.networks:
        print(json.dumps({name: measure_network(name, options)}), flush=True)


def print_tables(options: argparse.Namespace, cpu: dict[str, Any], gpu: dict[str, Any]) -> None:
    print(
        f"{options.clips} clips to train on and {options.validation_clips} to validate on, "
        f"batches of {options.batch}, pictures of {options.side} pixels a side, "
        f"{len(os.sched_getaffinity(0))} cores\n"
    )
    epochs = TrainingSettings().epochs
    print(
        "| VGG16, first phase | cached features, s an epoch | once, s | without, s an epoch "
        f"| gain of an epoch | of {epochs} epochs |"
    )
    print("|---|---|---|---|---|---|")
    for found in filter(None, (cpu, gpu)):
        kept, anew, once = (found["cache"][key] for key in ("kept", "anew", "once"))
        verdict = "" if anew / kept >= TARGET_CACHE_GAIN else f" (below {TARGET_CACHE_GAIN:.0f})"
        whole = epochs * anew / (once + epochs * kept)
        print(
            f"| {found['device']} | {kept:.3f} | {once:.2f} | {anew:.3f} "
            f"| {anew / kept:.1f}{verdict} | {whole:.1f} |"
        )
    print("\n| network | CPU, clips/s | input's share | GPU, clips/s | GPU time / CPU time |")
    print("|---|---|---|---|---|")
    for name in options.networks:
        slow = cpu[name]
        share = slow["input_ms"] / slow["epoch_ms"]
        row = f"| {name} | {1000 / slow['epoch_ms']:.1f} | {share:.1%} |"
        if not gpu:
            print(f"{row} | |")
            continue
        ratio = gpu[name]["epoch_ms"] / slow["epoch_ms"]
        verdict = "" if ratio < STUDY_RATIO else f" (not below {STUDY_RATIO})"
        print(f"{row} {1000 / gpu[name]['epoch_ms']:.1f} | {ratio:.2f}{verdict} |")
    if gpu:
        print(f"\nGPU: {gpu['device']}, {gpu['precision']}")
    else:
        print("\nNo GPU found; `genreflow devices` says why.")


def main() -> None:
    options = command.parser(__file__, __doc__)
    options.add_argument("--clips", type=int, default=64, help="to train on")
    options.add_argument("--validation-clips", type=int, default=16)
    options.add_argument("--side", type=int, default=64, help="pixels, for networks that see them")
    options.add_argument("--batch", type=int, default=TrainingSettings().batch_size)
    any_front_end = [name for name, made in NETWORKS.items() if made.front_end is None]
    options.add_argument("--networks", nargs="+", choices=any_front_end, default=any_front_end)
    options.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = options.parse_args()
    if arguments.inside:
        measure_here(arguments)
        return
    cpu = measure_on("cpu", arguments)
    gpu = measure_on("gpu", arguments) if cuda.cards() else {}
    print_tables(arguments, cpu, gpu)


if __name__ == "__main__":
    main()
