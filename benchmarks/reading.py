"""How fast examples become batches that a network takes, and in how much memory.

    python -m benchmarks.reading [--clips 16384] [--rounds 7] [--folder DIR]

Examples of random pictures (what is in them does not matter, nothing is compressed) by the
project's writer, in shards of 256 clips as the pipeline writes them, in batches of 64:

- floor: TFRecordDataset one file after the other, records checked, nothing parsed
- one by one: the same, and all seven features parsed, as the usual input pipeline
- stream: components.trainer.data.stream, what training reads beyond the cache's bound
- shuffled stream: the same in the order of a training epoch
- labels: the pass over the files that a stream makes once, before training
- load: components.trainer.data.load, the first reading of what fits in memory
- from memory: every epoch after that, shuffled

All ways in turn, medians of the rounds. "Cold" is a first round for which the kernel was
asked to drop the files from its cache. Memory is the peak of a process that does nothing
else, less what it had before.
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
import tensorflow as tf

from components.audio.params import DYNAMIC_RANGE_DB, AudioParams
from components.audio.spectrogram.stored import to_stored
from components.examples import parser, reader
from components.examples.writer import Clip, serialize
from components.trainer import data
from components.trainer.batches import Clips

PARAMS = AudioParams()
BATCH = 64
SHARD_CLIPS = 256
PICTURES = 64
TARGET_CLIPS_PER_SECOND = 5000


def write(folder: pathlib.Path, clips: int) -> None:
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
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def ways(folder: pathlib.Path) -> dict[str, Callable[[], Iterable[object]]]:
    """Name to something that gives all batches each time it is called and iterated."""
    patterns = [f"{folder}/*"]
    records = tf.data.TFRecordDataset(sorted(str(path) for path in folder.iterdir())).batch(BATCH)
    one_by_one = records.map(lambda batch: parser.parse(batch, PARAMS)).prefetch(2)
    made: dict[str, object] = {}

    def kept(name: str, make: Callable[[], object]) -> object:
        # The labels that a stream reads beforehand, and loading, are not part of an epoch.
        if name not in made:
            made[name] = make()
        return made[name]

    def from_memory() -> Iterable[object]:
        clips = kept("clips", load)
        assert isinstance(clips, Clips)
        batches = clips.batches(BATCH, shuffle=(1, 0))
        return (batches[index] for index in range(len(batches)))

    def streamed(shuffle: tuple[int, int] | None = None) -> Iterable[object]:
        stream = kept("stream", lambda: data.stream(patterns, PARAMS))
        assert isinstance(stream, data.Stream)
        with stream.readable():
            yield from stream.batches(BATCH, shuffle=shuffle)

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


def seconds(way: Callable[[], Iterable[object]]) -> float:
    begun = time.perf_counter()
    for _ in way():
        pass
    return time.perf_counter() - begun


def peak_megabytes(folder: pathlib.Path, name: str) -> float:
    """Of a process of its own."""
    arguments = [sys.executable, __file__, "--folder", str(folder), "--memory-of", name]
    return float(subprocess.run(arguments, check=True, capture_output=True, text=True).stdout)


def report_memory(folder: pathlib.Path, name: str) -> None:
    list(tf.data.Dataset.range(3).batch(2))  # TensorFlow's own start
    before = peak_kilobytes()
    seconds(ways(folder)[name])
    print((peak_kilobytes() - before) / 1024)


def peak_kilobytes() -> int:
    # Not getrusage's: that begins with the peak of the process that started this one.
    lines = pathlib.Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])


def measure(folder: pathlib.Path, clips: int, rounds: int) -> None:
    write(folder, clips)
    size = sum(path.stat().st_size for path in folder.iterdir())
    all_ways = ways(folder)
    # Labels are read, and clips loaded, before anything is timed.
    for way in all_ways.values():
        way()
    cold: dict[str, float] = {}
    warm: dict[str, list[float]] = {name: [] for name in all_ways}
    for name, way in all_ways.items():
        drop_from_cache(folder)
        cold[name] = seconds(way)
    for _ in range(rounds):
        for name, way in all_ways.items():
            warm[name].append(seconds(way))
    print(
        f"{clips} clips of {size / clips:,.0f} bytes, shards of {SHARD_CLIPS}, batches of "
        f"{BATCH}, {len(os.sched_getaffinity(0))} cores, {rounds} rounds\n"
    )
    print("| way | cold, clips/s | warm, clips/s | MB/s | time, floor = 1 | memory, MB |")
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
        print(f"\nThe shuffled stream is above {TARGET_CLIPS_PER_SECOND:,} clips a second.")
        return
    share = statistics.median(warm["floor"]) / statistics.median(warm["shuffled stream"])
    print(
        f"\nThe shuffled stream is below {TARGET_CLIPS_PER_SECOND:,} clips a second: reading and "
        f"checking records alone takes {share:.0%} of its time, parsing and shuffling the rest."
    )


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--clips", type=int, default=16384)
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--folder", type=pathlib.Path, help="where to write; default: temporary")
    options.add_argument("--memory-of", help=argparse.SUPPRESS)
    arguments = options.parse_args()
    if arguments.memory_of:
        report_memory(arguments.folder, arguments.memory_of)
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        measure(pathlib.Path(folder), arguments.clips, arguments.rounds)


if __name__ == "__main__":
    main()
