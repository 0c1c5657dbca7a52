"""The audio stage's core beside the usual librosa script and the cost of decoding alone.

    GENREFLOW_DATA=... python benchmarks/audio_stage.py [--repeats 15] [FILE.mp3 ...]

One core, the same files and clips for all, interleaved, medians. "usual script" is
librosa.load at the model's rate and a mel spectrogram and dB for each clip; "decode
whole" is soundfile reading all of a file; "seek floor" is soundfile reading nothing but
the clips, which by itself is neither exact nor resampled; "genreflow" is all that the
pipeline does to a track: exact clips, checks, resampling, one mel batch, float16.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import statistics
import sys
import time
from collections.abc import Callable

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import librosa
import numpy as np
import soundfile

from components.audio import mel
from components.audio.clips import clip_starts
from components.audio.params import AudioParams
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


def _genreflow(path: pathlib.Path) -> None:
    track = Track(path.stem, str(path), "Rock")
    extract.make_mels(extract.read_track(track, PARAMS, 0), PARAMS)


WAYS: dict[str, Callable[[pathlib.Path], None]] = {
    "usual script": _usual_script,
    "decode whole": _decode_whole,
    "seek floor": _seek_floor,
    "genreflow": _genreflow,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=pathlib.Path)
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    files = arguments.files
    if not files:
        folder = pathlib.Path(os.environ["GENREFLOW_DATA"], "fma", "fma_small", "000")
        files = sorted(folder.glob("*.mp3"))
    mel.mel_filterbank(PARAMS)
    for way in WAYS.values():
        way(files[0])
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(arguments.repeats):
        for path in files:
            for name, way in WAYS.items():
                begun = time.perf_counter()
                way(path)
                seconds[name].append(time.perf_counter() - begun)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"{len(files)} files, {arguments.repeats} repeats, one core, medians")
    print("| way | ms a track | usual script / this | this / seek floor |")
    print("|---|---|---|---|")
    for name, value in median.items():
        print(
            f"| {name} | {1000 * value:.1f} | {median['usual script'] / value:.2f} "
            f"| {value / median['seek floor']:.2f} |"
        )


if __name__ == "__main__":
    main()
