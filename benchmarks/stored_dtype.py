"""Comparison of dtypes for stored spectrograms: size, reading speed, accuracy, agreement.

    GENREFLOW_DATA=... python -m benchmarks.stored_dtype [--seeds 5] [--clips 4096]

The dtypes are float32, float16, and even steps over the 80 dB: of 1/512 dB in 16 bits and of
80/255 dB in 8 bits. Each is stored plain and as GZIP.

- Size and reading: the project writes examples of real clips (GENREFLOW_DATA/gtzan) and reads them
  into float32 batches of 64. All variants are measured in turn; figures are medians of the rounds.
- Accuracy: GENREFLOW_DATA/gtzan_mels, 800 real tracks without exact duplicates, one clip a track,
  split 80/20 by track, differently for each seed. Test accuracy of the reference study's random
  forest (15 principal components) and of cnn_small. Each difference to float32 is paired by seed,
  with a 95 % t interval over the seeds.
- Agreement: a served model computes the picture with TensorFlow, while an example holds librosa's.
  They differ by about 1e-5 dB, which rounding removes or turns into a whole step. The table has the
  largest difference in probability over real clips and the networks trained above.
"""

from __future__ import annotations

import csv
import dataclasses
import os
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import numpy as np
import numpy.typing as npt

from benchmarks.shared import command
from components.audio.front_ends.front_end import DYNAMIC_RANGE_DB
from components.audio.params import AudioParams
from components.audio.spectrogram.stored import to_stored
from components.examples import schema
from components.models.settings import ModelSettings

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

PARAMS = AudioParams()
BATCH = 64
SHARD_CLIPS = 256
FMA_SMALL_CLIPS = 32_000
COMPONENTS = 15
TREES = 300
EPOCHS = 8
# gtzan_mels is standardised; this comes close to a usual clip's decibels (its README).
DEVIATION_DB = 17.0

Picture = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Coding:
    """Coding of decibels in [-80, 0] as numbers of `dtype`: unchanged, or in `steps` even steps."""

    dtype: Any
    steps: int = 0

    def encode(self, mel_db: Picture) -> npt.NDArray[Any]:
        if not self.steps:
            return mel_db.astype(self.dtype)
        return np.rint((mel_db + DYNAMIC_RANGE_DB) * (self.steps / DYNAMIC_RANGE_DB)).astype(
            self.dtype
        )

    def decode(self, stored: Any) -> Any:
        """Return the decibels of a NumPy array or a tensor."""
        import tensorflow as tf

        wide = tf.cast(stored, tf.float32) if tf.is_tensor(stored) else stored.astype(np.float32)
        if not self.steps:
            return wide
        return wide * np.float32(DYNAMIC_RANGE_DB / self.steps) - np.float32(DYNAMIC_RANGE_DB)

    def rounded(self, mel_db: Picture) -> Picture:
        return self.decode(self.encode(mel_db))


CODINGS = {
    "float32": Coding(np.float32),
    "float16": Coding(np.float16),
    "16-bit steps": Coding(np.uint16, 40960),
    "8-bit steps": Coding(np.uint8, 255),
}


def waveforms(folder: pathlib.Path) -> npt.NDArray[np.float32]:
    """Read every other 2 seconds of each file, float32 `[clips, clip_samples]`."""
    import soundfile

    clips = []
    for path in sorted(folder.glob("*/*.wav")):
        samples, rate_hz = soundfile.read(path, dtype="float32")
        assert rate_hz == PARAMS.sample_rate_hz, path
        starts = range(0, len(samples) - PARAMS.clip_samples + 1, 2 * PARAMS.clip_samples)
        clips += [samples[start : start + PARAMS.clip_samples] for start in starts]
    return np.stack(clips)


def front_ends(clips: npt.NDArray[np.float32]) -> tuple[Picture, Picture]:
    """Compute spectrograms with librosa and in a graph, float32 `[clips, n_mels, frames]` each."""
    import tensorflow as tf

    from components.audio.spectrogram import mel, mel_graph

    graph = tf.function(lambda batch: mel_graph.log_mel(batch, PARAMS))
    parts = np.array_split(clips, -(-len(clips) // 16))
    return (
        np.concatenate([mel.log_mel(part, PARAMS) for part in parts]),
        np.concatenate([graph(part).numpy() for part in parts]),
    )


def write(folder: pathlib.Path, pictures: Picture, clips: int, coding: Coding, gzip: bool) -> None:
    """Write examples in shards. The pictures repeat if there are more clips than pictures."""
    import tensorflow as tf

    from components.examples.writer import Clip, serialize

    stored = coding.encode(pictures)
    suffix, compression = (".gz", "GZIP") if gzip else ("", "")
    total = -(-clips // SHARD_CLIPS)
    any_picture = to_stored(pictures[0])
    for shard in range(total):
        path = folder / f"part-{shard:05d}-of-{total:05d}.tfrecord{suffix}"
        with tf.io.TFRecordWriter(str(path), compression) as writer:
            for number in range(shard * SHARD_CLIPS, min(clips, (shard + 1) * SHARD_CLIPS)):
                clip = Clip(
                    f"gtzan:{number // 4:06d}", "", "blues", number % 10, number % 4, 1.5,
                    any_picture,
                )  # fmt: skip
                example = tf.train.Example.FromString(serialize(clip, PARAMS))
                value = stored[number % len(stored)].tobytes()
                example.features.feature[schema.MEL_DB].bytes_list.value[0] = value
                writer.write(example.SerializeToString(deterministic=True))


def batches(folder: pathlib.Path, coding: Coding) -> tf.data.Dataset:
    """Read batches as components.trainer.data does, for any coding."""
    import tensorflow as tf

    from components.examples import reader

    def parse(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        features = {
            schema.MEL_DB: tf.io.FixedLenFeature([], tf.string),
            schema.LABEL: tf.io.FixedLenFeature([], tf.int64),
        }
        parsed = tf.io.parse_example(serialized, features)
        raw = tf.io.decode_raw(parsed[schema.MEL_DB], tf.as_dtype(coding.dtype))
        pictures = tf.reshape(raw, [-1, PARAMS.n_mels, PARAMS.frames])
        return coding.decode(pictures), parsed[schema.LABEL]

    return (
        reader.blocks(reader.find([f"{folder}/*"]))
        .rebatch(BATCH)
        .map(parse, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .prefetch(2)
    )


def size_and_speed(pictures: Picture, clips: int, rounds: int) -> None:
    """Print the first table."""
    with tempfile.TemporaryDirectory() as temporary:
        variants = {}
        for name, coding in CODINGS.items():
            for gzip in (False, True):
                folder = pathlib.Path(temporary, f"{name}{gzip}".replace(" ", "-"))
                folder.mkdir()
                write(folder, pictures, clips, coding, gzip)
                size = sum(path.stat().st_size for path in folder.iterdir()) / clips
                variants[f"{name}{', GZIP' if gzip else ''}"] = (size, batches(folder, coding))
        rates: dict[str, list[float]] = {name: [] for name in variants}
        for done in range(rounds + 1):
            for name, (_, dataset) in variants.items():
                begun = time.perf_counter()
                read = sum(len(labels) for _, labels in dataset)
                assert read == clips, (name, read)
                if done:  # the first round is a warm-up
                    rates[name].append(clips / (time.perf_counter() - begun))
    print(f"{clips} clips, {rounds} rounds, {os.cpu_count()} cores\n")
    print("| stored as | bytes a clip | 32,000 clips, MB | clips/s | to float16 |")
    print("|---|---|---|---|---|")
    for name, (size, _) in variants.items():
        ratio = statistics.median(
            one / other for one, other in zip(rates[name], rates["float16"], strict=True)
        )
        print(
            f"| {name} | {size:,.0f} | {size * FMA_SMALL_CLIPS / 1e6:,.0f} "
            f"| {statistics.median(rates[name]):,.0f} | {ratio:.2f} |",
            flush=True,
        )


def tracks(folder: pathlib.Path) -> tuple[Picture, npt.NDArray[np.int64]]:
    """Return one picture a track and its label, without exact duplicates."""
    standard = np.load(folder / "mels.npy").astype(np.float32)
    with (folder / "labels.csv").open(encoding="utf-8") as file:
        genre = [row["genre"] for row in csv.DictReader(file)]
    _, first = np.unique(standard.reshape(len(standard), -1), axis=0, return_index=True)
    keep = np.sort(first)
    names = sorted(set(genre))
    level_db = DEVIATION_DB * (standard - standard.max(axis=(1, 2), keepdims=True))
    pictures = np.maximum(level_db, -DYNAMIC_RANGE_DB)[keep, :, : PARAMS.frames]
    return pictures, np.array([names.index(name) for name in genre])[keep]


def forest_accuracy(pictures: Picture, labels: npt.NDArray[np.int64], seed: int) -> float:
    """Train the study's random forest, and return its test accuracy."""
    from sklearn.decomposition import PCA
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline

    train, test = split(labels, seed)
    flat = pictures.reshape(len(pictures), -1)
    model = make_pipeline(
        PCA(COMPONENTS, svd_solver="randomized", random_state=seed),
        RandomForestClassifier(TREES, random_state=seed, n_jobs=-1),
    )
    model.fit(flat[train], labels[train])
    return float(model.score(flat[test], labels[test]))


def train_network(
    pictures: Picture, labels: npt.NDArray[np.int64], seed: int
) -> tuple[float, keras.Model]:
    """Train cnn_small. Return its test accuracy and the model."""
    import keras

    from components.models import registry

    train, test = split(labels, seed)
    model = registry.build(
        "cnn_small",
        ModelSettings(),
        n_mels=PARAMS.n_mels,
        frames=PARAMS.frames,
        genres=len(set(labels.tolist())),
        seed=seed,
    ).model
    model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy")
    model.fit(pictures[train], labels[train], batch_size=32, epochs=EPOCHS, verbose=0)
    probabilities = model.predict(pictures[test], verbose=0)
    return float((probabilities.argmax(axis=1) == labels[test]).mean()), model


def split(labels: npt.NDArray[np.int64], seed: int) -> Sequence[npt.NDArray[np.int64]]:
    """Return the indices of the training and of the test tracks."""
    from sklearn.model_selection import train_test_split

    indices = np.arange(len(labels))
    return train_test_split(indices, test_size=0.2, random_state=seed, stratify=labels)


def accuracy_row(name: str, found: list[float], reference: list[float]) -> str:
    """Return a row of the accuracy table; `reference` has float32's accuracies, by seed."""
    import scipy.stats

    mean, spread = statistics.mean(found), statistics.stdev(found)
    differences = np.subtract(found, reference)
    if not differences.any():
        return f"| {name} | {mean:.1%} | {100 * spread:.1f} | 0 |"
    half = scipy.stats.t.ppf(0.975, len(found) - 1) * scipy.stats.sem(differences)
    low, high = 100 * (differences.mean() - half), 100 * (differences.mean() + half)
    return f"| {name} | {mean:.1%} | {100 * spread:.1f} | {low:+.1f} to {high:+.1f} |"


def print_accuracies(title: str, seeds: int, measure: Callable[[Coding, str, int], float]) -> None:
    """Measure the accuracy for each coding and seed, and print the table."""
    found = {
        name: [measure(coding, name, seed) for seed in range(seeds)]
        for name, coding in CODINGS.items()
    }
    print(f"\n{title}: {seeds} seeds, in points of accuracy\n")
    print("| stored as | accuracy | deviation | to float32, 95 % |")
    print("|---|---|---|---|")
    for name, values in found.items():
        print(accuracy_row(name, values, found["float32"]), flush=True)


def main() -> None:
    parser = command.parser(__file__, __doc__)
    parser.add_argument(
        "--seeds", type=int, default=5, help="of cnn_small; the forest has 4 times as many"
    )
    parser.add_argument("--clips", type=int, default=4096, help="to write and read")
    parser.add_argument("--rounds", type=int, default=7, help="of reading")
    arguments = parser.parse_args()
    data = command.data_folder(file="gtzan_mels/mels.npy")
    by_librosa, by_graph = front_ends(waveforms(data / "gtzan"))
    size_and_speed(by_librosa, arguments.clips, arguments.rounds)

    pictures, labels = tracks(data / "gtzan_mels")
    print(f"\n{len(labels)} tracks without exact duplicates")
    worst: dict[str, list[npt.NDArray[np.float32]]] = {name: [] for name in CODINGS}

    def forest(coding: Coding, _: str, seed: int) -> float:
        return forest_accuracy(coding.rounded(pictures), labels, seed)

    def network(coding: Coding, name: str, seed: int) -> float:
        accuracy, model = train_network(coding.rounded(pictures), labels, seed)
        one, other = (
            model.predict(coding.rounded(source), verbose=0) for source in (by_librosa, by_graph)
        )
        worst[name].append(np.abs(one - other).max(axis=1))
        return accuracy

    print_accuracies("Random forest", 4 * arguments.seeds, forest)
    print_accuracies(f"cnn_small, {EPOCHS} epochs", arguments.seeds, network)

    print(f"\n{len(by_librosa)} clips as waveforms and as examples, all networks above\n")
    print("| stored as | step at -80 dB | pixels that differ | largest difference | above 1e-4 |")
    print("|---|---|---|---|---|")
    for name, coding in CODINGS.items():
        lowest = -DYNAMIC_RANGE_DB
        fine = np.linspace(lowest, lowest + 0.5, 500_001, dtype=np.float32)
        grid = np.unique(coding.rounded(fine))
        flips = np.mean(coding.rounded(by_librosa) != coding.rounded(by_graph))
        differences = np.concatenate(worst[name])
        print(
            f"| {name} | {np.diff(grid).max():.1g} dB | {flips:.1e} | {differences.max():.1e} "
            f"| {np.mean(differences > 1e-4):.2%} of clips |"
        )


if __name__ == "__main__":
    main()
