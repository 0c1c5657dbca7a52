"""The audio stage's core beside the usual librosa script and the cost of decoding alone.

    GENREFLOW_DATA=... python -m benchmarks.audio_stage [--repeats 15] [FILE.mp3 ...]

One core, the same files and clips for all, interleaved, medians. "usual script" is
librosa.load at the model's rate and a mel spectrogram and dB for each clip; "tf.data" is
tensorflow-io's mp3 decoder and resampler and tf.signal in one tf.data pipeline (from
memory, and less each file's first frame, which makes that decoder fail); "decode
whole" is soundfile reading all of a file; "seek floor" is soundfile reading nothing but
the clips, which by itself is neither exact nor resampled; "genreflow" is all that the
pipeline does to a track: exact clips, checks, resampling, one mel batch, rounding. It is
"isolated" where a process of its own decodes, on the same core.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import pathlib
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import librosa
import numpy as np
import soundfile

from components.audio.clips import clip_starts
from components.audio.decoding.decoder import Decoder, InProcessDecoder
from components.audio.decoding.isolation import IsolatedDecoder
from components.audio.decoding.limits import DecodeLimits
from components.audio.params import AudioParams
from components.audio.spectrogram import mel
from components.datasets.track import Track
from components.spectrogram_gen import extract

PARAMS = AudioParams()


def _starts(path: pathlib.Path, samples: int) -> list[int]:
    return clip_starts(samples, PARAMS.clip_samples, 4, track_id=path.stem, seed=0)


def _usual_script(path: pathlib.Path) -> None:
    samples, _ = librosa.load(path, sr=PARAMS.sample_rate_hz)
    for start in _starts(path, len(samples)):
        clip = samples[start : start + PARAMS.clip_samples]
        power = librosa.feature.melspectrogram(y=clip, sr=PARAMS.sample_rate_hz)
        librosa.power_to_db(power, ref=np.max)


def _decode_whole(path: pathlib.Path) -> None:
    soundfile.read(path, dtype="float32")


def _seek_floor(path: pathlib.Path) -> None:
    with soundfile.SoundFile(path) as audio:
        scale = audio.samplerate / PARAMS.sample_rate_hz
        for start in sorted(_starts(path, int(audio.frames / scale))):
            audio.seek(int(start * scale))
            audio.read(int(PARAMS.clip_seconds * audio.samplerate), dtype="float32")


def _genreflow(decoder: Decoder) -> Callable[[pathlib.Path], None]:
    def way(path: pathlib.Path) -> None:
        track = Track(path.stem, str(path), "Rock")
        extract.make_mels(extract.read_track(track, PARAMS, 0, decoder=decoder), PARAMS)

    return way


def _tf_data(files: list[pathlib.Path]) -> Callable[[pathlib.Path], None]:
    """One pipeline over `files`, again and again; each call takes its next element."""
    import tensorflow as tf
    import tensorflow_io as tfio

    from components.audio.spectrogram import mel_graph

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)

    def listing() -> Iterator[tuple[bytes, int, list[int]]]:
        for path in files:
            info = soundfile.info(path)
            samples = info.frames * PARAMS.sample_rate_hz // info.samplerate
            # A tenth of a second less: what was taken off the file's front.
            starts = _starts(path, samples - PARAMS.sample_rate_hz // 10)
            yield _without_info_frame(path.read_bytes()), info.samplerate, starts

    def read(content: Any, rate_hz: Any, starts: Any) -> Any:
        audio = tf.reduce_mean(tfio.audio.decode_mp3(content), axis=1)
        audio = tfio.audio.resample(audio[:, None], rate_hz, PARAMS.sample_rate_hz)[:, 0]
        clips = tf.stack(
            [audio[start : start + PARAMS.clip_samples] for start in tf.unstack(starts)]
        )
        return mel_graph.stored_rounding(mel_graph.log_mel(clips, PARAMS))

    contents, rates_hz, starts = zip(*listing(), strict=True)
    options = tf.data.Options()
    options.threading.private_threadpool_size = 1
    dataset = tf.data.Dataset.from_tensor_slices(
        (list(contents), np.array(rates_hz, np.int64), np.array(starts, np.int64))
    )
    elements = iter(dataset.repeat().map(read).with_options(options))

    def way(path: pathlib.Path) -> None:
        next(elements).numpy()

    return way


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=pathlib.Path)
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    # Of threads and processes that are started later too.
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    files = arguments.files
    if not files:
        folder = pathlib.Path(os.environ["GENREFLOW_DATA"], "fma", "fma_small", "000")
        files = sorted(folder.glob("*.mp3"))
    mel.mel_filterbank(PARAMS)
    with IsolatedDecoder(DecodeLimits()) as isolated:
        measure(ways(files, isolated), files, arguments.repeats)
    sys.stdout.flush()
    os._exit(0)  # tensorflow-io may abort while it is torn down


def _without_info_frame(content: bytes) -> bytes:
    """An mp3 less its first frame where that holds no sound but a table of contents
    (Xing or Info); tensorflow-io's decoder fails on files that begin with one (tensorflow/io,
    issue 1785)."""
    found = [at for name in (b"Xing", b"Info") if (at := content.find(name, 0, 16384)) >= 0]
    if not found:
        return content
    first = content.rindex(b"\xff\xfb", 0, found[0])
    return content[content.index(content[first : first + 2], found[0] + 120) :]


def ways(files: list[pathlib.Path], isolated: Decoder) -> dict[str, Callable[[pathlib.Path], None]]:
    """What is compared, by name."""
    found: dict[str, Callable[[pathlib.Path], None]] = {"usual script": _usual_script}
    if importlib.util.find_spec("tensorflow_io"):
        found["tf.data with tensorflow-io"] = _tf_data(files)
    return {
        **found,
        "decode whole": _decode_whole,
        "seek floor": _seek_floor,
        "genreflow": _genreflow(InProcessDecoder()),
        "genreflow, isolated": _genreflow(isolated),
    }


def measure(
    compared: dict[str, Callable[[pathlib.Path], None]], files: list[pathlib.Path], repeats: int
) -> None:
    """Times all ways in turn and prints the table."""
    for path in files:  # whatever is made at the first use
        for way in compared.values():
            way(path)
    seconds: dict[str, list[float]] = {name: [] for name in compared}
    for _ in range(repeats):
        for path in files:
            for name, way in compared.items():
                begun = time.perf_counter()
                way(path)
                seconds[name].append(time.perf_counter() - begun)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"{len(files)} files, {repeats} repeats, one core, medians")
    print("| way | ms a track | usual script / this | this / seek floor |")
    print("|---|---|---|---|")
    for name, value in median.items():
        print(
            f"| {name} | {1000 * value:.1f} | {median['usual script'] / value:.2f} "
            f"| {value / median['seek floor']:.2f} |"
        )


if __name__ == "__main__":
    main()
