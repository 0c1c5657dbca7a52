"""Time of the audio stage's core, compared with a plain librosa script and with decoding alone.

    GENREFLOW_DATA=... python -m benchmarks.audio_stage [--repeats 15] [FILE.mp3 ...]

All methods process the same files and clips on one core, in turn, and none works ahead while others
run. The table has medians of the wall time and of the processor time of all threads and processes,
which other programs on the machine affect less; the ratios are of processor time.

- usual script: librosa.load at the model's sample rate, then a mel spectrogram in dB of each clip
- tf.data with tensorflow-io: its mp3 decoder and resampler and tf.signal in one tf.data pipeline
  on one thread, which prepares nothing ahead. Files are read from memory, without their first
  frame, on which that decoder fails.
- tensorflow-io, decoding whole: its mp3 decoder alone, in the same kind of pipeline
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
import sys
from collections.abc import Callable, Iterator
from typing import Any

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import librosa
import numpy as np
import soundfile

from benchmarks.shared import clocks, command
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


def one_thread() -> Any:
    """Return options of a tf.data pipeline that runs on one thread and prepares nothing ahead."""
    import tensorflow as tf

    options = tf.data.Options()
    options.threading.private_threadpool_size = 1
    options.threading.max_intra_op_parallelism = 1
    # By default tf.data adds a prefetch, which would prepare the next element while other methods
    # are timed.
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    options.experimental_optimization.inject_prefetch = False
    return options


def _tf_data(files: list[pathlib.Path]) -> dict[str, Callable[[pathlib.Path], None]]:
    """Return functions that take the next element of tf.data pipelines over the files.

    The pipelines repeat, so calls must go through the files in their order.
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

    def decode(content: Any, rate_hz: Any, starts: Any) -> Any:
        return tf.reduce_mean(tfio.audio.decode_mp3(content), axis=1)

    def read(content: Any, rate_hz: Any, starts: Any) -> Any:
        audio = decode(content, rate_hz, starts)
        audio = tfio.audio.resample(audio[:, None], rate_hz, PARAMS.sample_rate_hz)[:, 0]
        clips = tf.stack(
            [audio[start : start + PARAMS.clip_samples] for start in tf.unstack(starts)]
        )
        return mel_graph.stored_rounding(mel_graph.log_mel(clips, PARAMS))

    contents, rates_hz, starts = zip(*listing(), strict=True)
    dataset = tf.data.Dataset.from_tensor_slices(
        (list(contents), np.array(rates_hz, np.int64), np.array(starts, np.int64))
    )

    def process(step: Callable[..., Any]) -> Callable[[pathlib.Path], None]:
        elements = iter(dataset.repeat().map(step).with_options(one_thread()))
        return lambda path: next(elements).numpy()

    return {
        "tf.data with tensorflow-io": process(read),
        "tensorflow-io, decoding whole": process(decode),
    }


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
        found.update(_tf_data(files))
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
    taken = clocks.compare(compared, files, repeats)
    script, floor = taken["usual script"].cpu_ms, taken["seek floor"].cpu_ms
    names = ", ".join(path.name for path in files)
    print(f"{names}: {repeats} repeats, one core, medians; ratios of processor time")
    print("| method | processor, ms/track | wall, ms/track | usual script / this | this / floor |")
    print("|---|---|---|---|---|")
    for name, time in taken.items():
        print(
            f"| {name} | {time.cpu_ms:.1f} | {time.wall_ms:.1f} | {script / time.cpu_ms:.2f} "
            f"| {time.cpu_ms / floor:.2f} |"
        )


if __name__ == "__main__":
    main()
