"""Time of the audio stage's core, compared with a plain librosa script and with decoding alone.

    GENREFLOW_DATA=... python -m benchmarks.audio_stage [--repeats 15] [FILE.mp3 ...]

All methods process the same files and clips on one core, in turn. The table has medians.

- usual script: librosa.load at the model's sample rate, then a mel spectrogram in dB of each clip
- tf.data with tensorflow-io: its mp3 decoder and resampler and tf.signal in one tf.data pipeline.
  Files are read from memory, without their first frame, on which that decoder fails.
- decode whole: soundfile reads the whole file
- seek floor: soundfile reads the clips only. The result is neither sample-exact nor resampled.
- genreflow: all that the pipeline does to a track: exact clips, checks, resampling, one batch of
  mel spectrograms, rounding
- genreflow, isolated: the same with decoding in a separate process on the same core
"""

from __future__ import annotations

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

from benchmarks.shared import command
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
    def process(path: pathlib.Path) -> None:
        track = Track(path.stem, str(path), "Rock")
        extract.make_mels(extract.read_track(track, PARAMS, 0, decoder=decoder), PARAMS)

    return process


def _tf_data(files: list[pathlib.Path]) -> Callable[[pathlib.Path], None]:
    """Return a function that takes the next element of a tf.data pipeline over the files.

    The pipeline repeats, so calls must go through the files in their order.
    """
    import tensorflow as tf
    import tensorflow_io as tfio

    from components.audio.spectrogram import mel_graph

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)

    def listing() -> Iterator[tuple[bytes, int, list[int]]]:
        for path in files:
            info = soundfile.info(path)
            samples = info.frames * PARAMS.sample_rate_hz // info.samplerate
            # The file lost a tenth of a second at its front.
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

    def process(path: pathlib.Path) -> None:
        next(elements).numpy()

    return process


def main() -> None:
    parser = command.parser(__file__, __doc__)
    parser.add_argument(
        "files", nargs="*", type=pathlib.Path, help="default: the mp3s of GENREFLOW_DATA/fma"
    )
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    # Threads and processes that start later inherit this.
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    files = arguments.files or command.fma_files()
    mel.mel_filterbank(PARAMS)
    with IsolatedDecoder(DecodeLimits()) as isolated:
        measure(methods(files, isolated), files, arguments.repeats)
    sys.stdout.flush()
    os._exit(0)  # tensorflow-io may abort at a normal exit


def _without_info_frame(content: bytes) -> bytes:
    """Return an mp3 without its first frame if that is a Xing or Info frame, which has no sound.

    tensorflow-io's decoder fails on files that begin with one (tensorflow/io, issue 1785).
    """
    found = [at for name in (b"Xing", b"Info") if (at := content.find(name, 0, 16384)) >= 0]
    if not found:
        return content
    first = content.rindex(b"\xff\xfb", 0, found[0])
    return content[content.index(content[first : first + 2], found[0] + 120) :]


def methods(
    files: list[pathlib.Path], isolated: Decoder
) -> dict[str, Callable[[pathlib.Path], None]]:
    """Return the methods to compare, by name."""
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
    """Time all methods in turn and print the table."""
    for path in files:  # the first use builds caches
        for process in compared.values():
            process(path)
    seconds: dict[str, list[float]] = {name: [] for name in compared}
    for _ in range(repeats):
        for path in files:
            for name, process in compared.items():
                begun = time.perf_counter()
                process(path)
                seconds[name].append(time.perf_counter() - begun)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"{len(files)} files, {repeats} repeats, one core, medians")
    print("| method | ms/track | usual script / this | this / seek floor |")
    print("|---|---|---|---|")
    for name, value in median.items():
        print(
            f"| {name} | {1000 * value:.1f} | {median['usual script'] / value:.2f} "
            f"| {value / median['seek floor']:.2f} |"
        )


if __name__ == "__main__":
    main()
