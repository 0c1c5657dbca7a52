"""Comparison of the front ends: their time, their twin in the graph, and their stored form.

    GENREFLOW_DATA=... python -m benchmarks.front_ends [--rounds 5]

Measured on real clips (every other clip of GENREFLOW_DATA/gtzan, 16-bit samples at the front end's
rate):

- Time of the spectrograms of 30 seconds, by librosa's functions and in the graph, on one core: both
  are measured in turn; figures are medians.
- The largest difference of the two in dB, and the share of stored values that differ.
- For each coding of benchmarks.stored_dtype, the largest difference of a probability: of the
  rounded spectrogram to the exact one, and of a waveform to its example, which both are rounded.
  The networks are trained on these clips for a few epochs: random weights would say nearly the
  same of every clip. musicnn starts from GENREFLOW_DATA/musicnn/MSD_musicnn.
"""

from __future__ import annotations

import functools
import os
import pathlib
import statistics
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import numpy as np
import numpy.typing as npt

from benchmarks.shared import command
from benchmarks.stored_dtype import CODINGS
from components.audio.clips import cut
from components.audio.front_ends.registry import FRONT_ENDS
from components.audio.params import AudioParams
from components.audio.spectrogram.stored import to_stored
from components.models.settings import ModelSettings

SECONDS = 30
BATCH = 16
EPOCHS = 8

Floats = npt.NDArray[np.float32]


def read(folder: pathlib.Path, audio: AudioParams) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Return clips `[clips, clip_samples]` and labels `[clips]` of all recordings."""
    from components.audio.decoding import decode

    clips, labels = [], []
    genres = sorted({path.parent.name for path in folder.glob("*/*.wav")})
    for path in sorted(folder.glob("*/*.wav")):
        samples, rate_hz = decode.decode(path)
        at_rate = decode.resample(samples, rate_hz, audio.sample_rate_hz)
        pcm = np.clip(np.round(at_rate * 32768), -32768, 32767) / 32768
        clips.append(cut(pcm.astype(np.float32), audio.clip_samples)[::2])
        labels += [genres.index(path.parent.name)] * len(clips[-1])
    return np.concatenate(clips), np.array(labels)


def in_batches(function: Callable[[Floats], Any], rows: Floats) -> Floats:
    """Apply a function to BATCH rows at a time."""
    starts = range(0, len(rows), BATCH)
    return np.concatenate([np.asarray(function(rows[start : start + BATCH])) for start in starts])


def seconds(function: Callable[[], Any]) -> float:
    """Return the duration of a call."""
    begun = time.perf_counter()
    function()
    return time.perf_counter() - begun


def trained(name: str, weights: str, exact: Floats, labels: npt.NDArray[np.int64]) -> Any:
    """Return a network that was trained on the clips; of one with weights, the head alone."""
    from components.models import registry

    network = registry.build(
        name,
        ModelSettings(weights=weights),
        n_mels=exact.shape[1],
        frames=exact.shape[2],
        genres=10,
        seed=0,
    )
    if network.base is not None:
        network.base.trainable = False
    network.model.compile("adam", "sparse_categorical_crossentropy")
    network.model.fit(exact, labels, epochs=EPOCHS, batch_size=32, verbose=0)
    return network.model


def measure(audio: AudioParams, data: pathlib.Path, rounds: int) -> None:
    """Print the figures of one front end."""
    import tensorflow as tf

    from components.audio.spectrogram import mel, mel_graph

    clips, labels = read(data / "gtzan", audio)
    graph = tf.function(lambda batch: mel_graph.log_mel(batch, audio))
    some = clips[: int(SECONDS / audio.clip_seconds)]
    graph(some)
    times = [
        (seconds(lambda: mel.log_mel(some, audio)), seconds(lambda: graph(some)))
        for _ in range(rounds)
    ]
    by_librosa, by_graph = (statistics.median(column) for column in zip(*times, strict=True))
    exact = in_batches(lambda batch: mel.log_mel(batch, audio), clips)
    served = in_batches(graph, clips)
    difference_db = np.abs(exact - served).max()
    share = (to_stored(exact) != to_stored(served)).mean()
    print(f"\n{audio.front_end}: {len(clips)} clips of {audio.clip_seconds:g} s")
    print(f"- {SECONDS} s: librosa {1e3 * by_librosa:.1f} ms, graph {1e3 * by_graph:.1f} ms")
    print(f"- levels of music: {' to '.join(f'{v:.0f}' for v in np.percentile(exact, [1, 99]))} dB")
    print(
        f"- graph and librosa differ by up to {difference_db:.1e} dB, in {share:.1e} of the steps"
    )
    print("\n| network | stored as | rounded to exact | waveform to example | beyond 1e-4 |")
    print("|---|---|---|---|---|")
    networks = {"cnn_small": "none"}
    if audio.front_end == "musicnn":
        networks["musicnn"] = str(data / "musicnn" / "MSD_musicnn")
    for name, weights in networks.items():
        model = trained(name, weights, exact, labels)
        predict = functools.partial(in_batches, functools.partial(model, training=False))
        for coding_name, coding in CODINGS.items():
            example = predict(coding.rounded(exact))
            waveform = predict(coding.rounded(served))
            rounding = np.abs(example - predict(exact)).max()
            apart = np.abs(waveform - example).max(axis=1)
            print(
                f"| {name} | {coding_name} | {rounding:.1e} | {apart.max():.1e} "
                f"| {(apart > 1e-4).mean():.2%} |",
                flush=True,
            )


def main() -> None:
    options = command.parser(__file__, __doc__)
    options.add_argument("--rounds", type=int, default=5)
    arguments = options.parse_args()
    data = command.data_folder(file="gtzan/manifest.csv")
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    for name in FRONT_ENDS:
        measure(AudioParams.of_front_end(name), data, arguments.rounds)


if __name__ == "__main__":
    main()
