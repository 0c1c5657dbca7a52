"""Peak memory of all baselines on as many clips as FMA small has, and the time of each.

    taskset -c 0 python -m benchmarks.baselines_memory [--train 25600] [--jobs 1] [--models svm]

FMA small has 8,000 tracks of 8 genres with 4 clips each: 25,600 clips of 128 x 87 values to train
on, 3,200 to validate and 3,200 to test. This program generates them: a few strong directions, as
spectrograms have them, genres that overlap, so that the models work as hard as on real genres,
and noise. It writes them as the project's examples in shards of 256 clips, and reads, fits,
predicts and saves as BaselineTrainer does. The accuracies show that the genres overlap; they say
nothing about music.

Memory is the peak of the process that does all this, with TensorFlow and TFX. Seconds are
processor seconds.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

from benchmarks.shared import command
from components.audio.params import AudioParams
from components.baselines.settings import BASELINES, BaselineSettings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

PARAMS = AudioParams()
GENRES = (
    "Electronic", "Experimental", "Folk", "Hip-Hop", "Instrumental", "International", "Pop", "Rock",
)  # fmt: skip
SHARD_CLIPS = 256
DIRECTIONS = 40
TARGET_GIGABYTES = 4.0


def write(folder: pathlib.Path, clips: dict[str, int]) -> None:
    """Write the examples of every split."""
    import tensorflow as tf

    from components.audio.spectrogram.stored import to_stored
    from components.examples.writer import Clip, serialize

    rng = np.random.default_rng(0)
    pixels = PARAMS.n_mels * PARAMS.frames
    strengths = 12.0 / np.sqrt(1 + np.arange(DIRECTIONS))
    directions = (rng.normal(size=(DIRECTIONS, pixels)) * strengths[:, None]).astype(np.float32)
    genre_means = rng.normal(size=(len(GENRES), DIRECTIONS)) * 0.2
    for split, count in clips.items():
        (folder / f"Split-{split}").mkdir(parents=True)
        shards = -(-count // SHARD_CLIPS)
        for shard in range(shards):
            first = shard * SHARD_CLIPS
            size = min(SHARD_CLIPS, count - first)
            labels = (np.arange(first, first + size) // 4) % len(GENRES)
            place = genre_means[labels] + rng.normal(size=(size, DIRECTIONS))
            noise = rng.standard_normal((size, pixels), np.float32) * 8
            levels = np.clip(place.astype(np.float32) @ directions + noise - 45, -80, 0)
            stored = to_stored(levels).reshape(size, PARAMS.n_mels, PARAMS.frames)
            path = folder / f"Split-{split}" / f"part-{shard:05d}-of-{shards:05d}.tfrecord"
            with tf.io.TFRecordWriter(str(path)) as writer:
                for number, label, mel_db in zip(
                    range(first, first + size), labels, stored, strict=True
                ):
                    clip = Clip(
                        f"{split}:{number // 4:06d}", "", GENRES[label], int(label),
                        number % 4, 0.0, mel_db,
                    )  # fmt: skip
                    writer.write(serialize(clip, PARAMS))


def train_baselines(folder: pathlib.Path, models: tuple[str, ...], jobs: int) -> None:
    """Do the work of BaselineTrainer and print the figures as JSON."""
    from components.baselines import executor, reading, store, train
    from components.common.resources import cache_bytes

    settings = BaselineSettings(models=models, jobs=jobs)  # type: ignore[arg-type]
    begins: list[tuple[str, float]] = []

    def begin(step: str, done: int = 0, total: int = 0) -> None:
        begins.append((step, time.process_time()))

    before = command.peak_bytes()
    begin("reading")
    split = reading.read_split(str(folder), "train", PARAMS, held_bytes=cache_bytes())
    baselines = train.fit(split.blocks, split.labels, GENRES, settings, begin)
    clips = {"train": len(split.clips)}
    del split
    for name in executor.PREDICTED_SPLITS:
        held_out = reading.read_split(str(folder), name, PARAMS)
        tables = executor.predict(baselines, held_out, name)
        clips[name] = len(held_out.clips)
    begin("saving")
    saved = folder / "baselines"
    store.save(baselines, str(saved), audio_hash="", clips=clips, code_digest="")
    begin("loading")
    store.load(str(saved))
    begin("")
    seconds = {step: end - start for (step, start), (_, end) in itertools.pairwise(begins)}
    accuracy = {}
    for table in tables:  # the test split's
        right = table.filter(regex="^p_").to_numpy().argmax(axis=1) == table["label"]
        accuracy[table["model"].iloc[0]] = float(right.mean())
    print(
        json.dumps(
            {
                "peak": command.peak_bytes() / 1e9,
                "before": before / 1e9,
                "total_variance": baselines.explained_variance()["total"],
                "seconds": seconds,
                "megabytes": {
                    name: (saved / store.file_name(name)).stat().st_size / 1e6
                    for name in baselines.models
                },
                "accuracy": accuracy,
            }
        )
    )


def main() -> None:
    parser = command.parser(__file__, __doc__)
    parser.add_argument("--train", type=int, default=25600, help="clips to train on")
    parser.add_argument("--jobs", type=int, default=0, help="threads of a model; 0: automatic")
    parser.add_argument("--models", nargs="*", default=list(BASELINES), choices=BASELINES)
    parser.add_argument("--folder", type=pathlib.Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.folder:
        train_baselines(arguments.folder, tuple(arguments.models), arguments.jobs)
        return
    with tempfile.TemporaryDirectory(prefix="genreflow-baselines-") as name:
        folder = pathlib.Path(name)
        held_out = arguments.train // 8
        write(folder, {"train": arguments.train, "validation": held_out, "test": held_out})
        words = [sys.executable, "-m", command.module(__file__), "--folder", name]
        words += ["--jobs", str(arguments.jobs), "--models", *arguments.models]
        done = subprocess.run(words, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    print(
        f"{arguments.train} clips to train on, {held_out} each to validate and test, "
        f"{len(os.sched_getaffinity(0))} cores\n"
    )
    print(f"peak memory: {found['peak']:.2f} GB (before reading: {found['before']:.2f} GB)")
    seconds = found["seconds"]
    for step in ("reading", "principal components", "predictions", "saving", "loading"):
        print(f"{step}: {seconds[step]:.0f} s")
    print(f"share of the variance in the components: {found['total_variance']:.1%}\n")
    print("| model | training, processor s | file, MB | test clips right |")
    print("|---|---|---|---|")
    for model in arguments.models:
        cells = (f"{seconds[model]:.1f}", f"{found['megabytes'][model]:.1f}")
        print(f"| {model} | {' | '.join(cells)} | {found['accuracy'][model]:.3f} |")
    if found["peak"] > TARGET_GIGABYTES:
        sys.exit(f"the peak is above the target of {TARGET_GIGABYTES} GB")


if __name__ == "__main__":
    main()
