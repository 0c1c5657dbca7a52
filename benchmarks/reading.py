"""Speed and memory of reading examples into batches for training.

    python -m benchmarks.reading [--clips 16384] [--rounds 7] [--folder DIR]

The project's writer writes examples of random pictures (their content does not matter, as nothing
is compressed) in shards of 256 clips, as the pipeline does. They are read into batches of 64:

- floor: TFRecordDataset, one file after the other; records are checked and not parsed
- one by one: the same with all seven features parsed, as in a plain input pipeline
- stream: components.trainer.data.stream, which training uses for data too large for memory
- shuffled stream: the same in the order of a training epoch
- labels: the pass over the files that a stream makes once, before training
- load: components.trainer.data.load, the first reading of data that fits into memory
- from memory: every later epoch, shuffled

All methods are measured in turn; figures are medians of the rounds. "cold" is a first round for
which the kernel was asked to drop the files from its cache. Memory is the peak of a separate
process for each method, minus its memory before the reading.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from benchmarks.shared import command
from components.audio.front_ends.front_end import DYNAMIC_RANGE_DB
from components.audio.params import AudioParams
from components.audio.spectrogram.stored import to_stored

PARAMS = AudioParams()
BATCH = 64
SHARD_CLIPS = 256
PICTURES = 64
TARGET_CLIPS_PER_SECOND = 5000


def write(folder: pathlib.Path, clips: int) -> None:
    """Write examples in shards."""
    import tensorflow as tf

    from components.examples.writer import Clip, serialize

    levels = np.random.default_rng(0).uniform(
        -DYNAMIC_RANGE_DB, 0, (PICTURES, PARAMS.n_mels, PARAMS.frames)
    )
    pictures = to_stored(levels.astype(np.float32))
    total = -(-clips // SHARD_CLIPS)
    for shard in range(total):
        path = folder / f"part-{shard:05d}-of-{total:05d}.tfrecord"
        with tf.io.TFRecordWriter(str(path)) as writer:
            for number in range(shard * SHARD_CLIPS, min(clips, (shard + 1) * SHARD_CLIPS)):
                clip = Clip(
                    f"fma:{number // 4:06d}", f"artist-{number // 40}", "Electronic",
                    number % 8, number % 4, 1.5, pictures[number % PICTURES],
                )  # fmt: skip
                writer.write(serialize(clip, PARAMS))


def drop_from_cache(folder: pathlib.Path) -> None:
    """Ask the kernel to drop a folder's files from its cache."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def methods(folder: pathlib.Path) -> dict[str, Callable[[], Iterable[object]]]:
    """Return the methods by name; each returns an iterable of all batches."""
    import tensorflow as tf

    from components.examples import parser, reader
    from components.trainer import data
    from components.trainer.batches import Clips

    patterns = [f"{folder}/*"]
    records = tf.data.TFRecordDataset(sorted(str(path) for path in folder.iterdir())).batch(BATCH)
    one_by_one = records.map(lambda batch: parser.parse(batch, PARAMS)).prefetch(2)
    made: dict[str, object] = {}

    def kept(name: str, make: Callable[[], object]) -> object:
        # An epoch includes neither the labels that a stream reads beforehand nor loading.
        if name not in made:
            made[name] = make()
        return made[name]

    def from_memory() -> Iterable[object]:
        clips = kept("clips", load)
        assert isinstance(clips, Clips)
        batches = clips.batches(BATCH, shuffle=(1, 0))
        return (batches[index] for index in range(len(batches)))

    def streamed(shuffle: tuple[int, int] | None = None) -> Iterable[object]:
        # Made by the call, which is before the clock: the generator begins to read inside it.
        stream = kept("stream", lambda: data.stream(patterns, PARAMS))
        assert isinstance(stream, data.Stream)

        def batches() -> Iterable[object]:
            with stream.readable():
                yield from stream.batches(BATCH, shuffle=shuffle)

        return batches()

    def load() -> Clips:
        return data.load(patterns, PARAMS)

    return {
        "floor": lambda: records,
        "one by one": lambda: one_by_one,
        "stream": streamed,
        "shuffled stream": lambda: streamed((1, 0)),
        "labels": lambda: reader.labels(reader.find(patterns)),
        "load": lambda: (load(),),
        "from memory": from_memory,
    }


def seconds(method: Callable[[], Iterable[object]]) -> float:
    begun = time.perf_counter()
    for _ in method():
        pass
    return time.perf_counter() - begun


def peak_megabytes(folder: pathlib.Path, name: str) -> float:
    """Measure a method's memory in a separate process."""
    words = [sys.executable, "-m", command.module(__file__)]
    words += ["--folder", str(folder), "--memory-of", name]
    return float(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def print_memory(folder: pathlib.Path, name: str) -> None:
    """Read with one method, and print by how many MB the process grew."""
    import tensorflow as tf

    method = methods(folder)[name]
    list(tf.data.Dataset.range(3).batch(2))  # TensorFlow's own start
    before = command.peak_bytes()
    seconds(method)
    print((command.peak_bytes() - before) / 2**20)


def measure(folder: pathlib.Path, clips: int, rounds: int) -> None:
    """Write examples, time all methods and print the table."""
    write(folder, clips)
    size = sum(path.stat().st_size for path in folder.iterdir())
    compared = methods(folder)
    # Read labels and load clips before the timing.
    for method in compared.values():
        method()
    cold: dict[str, float] = {}
    warm: dict[str, list[float]] = {name: [] for name in compared}
    for name, method in compared.items():
        drop_from_cache(folder)
        cold[name] = seconds(method)
    for _ in range(rounds):
        for name, method in compared.items():
            warm[name].append(seconds(method))
    print(
        f"{clips} clips of {size / clips:,.0f} bytes, shards of {SHARD_CLIPS}, batches of "
        f"{BATCH}, {len(os.sched_getaffinity(0))} cores, {rounds} rounds\n"
    )
    print("| method | cold, clips/s | warm, clips/s | MB/s | time, floor = 1 | memory, MB |")
    print("|---|---|---|---|---|---|")
    for name, times in warm.items():
        rate = clips / statistics.median(times)
        ratio = statistics.median(
            one / floor for one, floor in zip(times, warm["floor"], strict=True)
        )
        first = "" if name == "from memory" else f"{clips / cold[name]:,.0f}"
        print(
            f"| {name} | {first} | {rate:,.0f} | {rate * size / clips / 1e6:,.0f} "
            f"| {ratio:.2f} | {peak_megabytes(folder, name):.0f} |",
            flush=True,
        )
    training = clips / statistics.median(warm["shuffled stream"])
    if training >= TARGET_CLIPS_PER_SECOND:
        print(f"\nThe shuffled stream meets the target of {TARGET_CLIPS_PER_SECOND:,} clips/s.")
        return
    share = statistics.median(warm["floor"]) / statistics.median(warm["shuffled stream"])
    print(
        f"\nThe shuffled stream misses the target of {TARGET_CLIPS_PER_SECOND:,} clips/s. Reading "
        f"and checking records takes {share:.0%} of its time, parsing and shuffling the rest."
    )


def main() -> None:
    options = command.parser(__file__, __doc__)
    options.add_argument("--clips", type=int, default=16384)
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--folder", type=pathlib.Path, help="folder to write in; default: /tmp")
    options.add_argument("--memory-of", help=argparse.SUPPRESS)
    arguments = options.parse_args()
    if arguments.memory_of:
        print_memory(arguments.folder, arguments.memory_of)
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        measure(pathlib.Path(folder), arguments.clips, arguments.rounds)


if __name__ == "__main__":
    main()
