"""Time of reading the clips of a 30-second track that FFmpeg's libraries decode.

    python -m benchmarks.ffmpeg_decoding [--repeats 15]

The same synthetic sound is written in each format. All ways run on one core, in turn; the table has
medians of processor time.

- clips: all that the decoder does for four clips: opening, decoding the whole file (mp3 and FLAC:
  seeking to the clips), averaging the channels, resampling
- PyAV alone: the floor, decoding the packets without looking at the samples
"""

from __future__ import annotations

import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import soundfile

from benchmarks.shared import av_files, command
from components.audio.decoding.decoder import InProcessDecoder
from components.audio.params import AudioParams

RATE_HZ, SECONDS = 48000, 30.0
PARAMS = AudioParams()
# Name of the row, file, and what av_files.write takes; None is libsndfile's.
FORMATS: tuple[tuple[str, str, dict[str, Any] | None], ...] = (
    ("mp3, by libsndfile", "song.mp3", None),
    ("FLAC, by libsndfile", "song.flac", None),
    ("m4a, AAC", "aac.m4a", {"codec": "aac", "container": "ipod", "bit_rate": 192000}),
    ("m4a, ALAC", "alac.m4a", {"codec": "alac", "container": "ipod", "sample_format": "s16p"}),
    ("WebM, Opus", "song.webm", {"codec": "libopus", "container": "webm"}),
    ("Windows Media", "song.wma", {"codec": "wmav2", "container": "asf", "bit_rate": 192000}),
    ("WavPack", "song.wv", {"codec": "wavpack", "container": "wv", "sample_format": "s16p"}),
)


def main() -> None:
    parser = command.parser(__file__, __doc__)
    parser.add_argument("--repeats", type=int, default=15)
    repeats: int = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as folder:
        files = {name: pathlib.Path(folder) / file for name, file, _ in FORMATS}
        _write(pathlib.Path(folder))
        clips: dict[str, list[float]] = {name: [] for name in files}
        floor: dict[str, list[float]] = {name: [] for name in files}
        for _ in range(repeats):
            for name, path in files.items():
                clips[name].append(_seconds(_read_clips, path))
                floor[name].append(_seconds(_pyav_alone, path))
    print("| format | clips, ms | PyAV alone, ms |\n|---|---|---|")
    for name in files:
        figures = (1000 * statistics.median(times[name]) for times in (clips, floor))
        print(f"| {name} | " + " | ".join(f"{figure:.1f}" for figure in figures) + " |")


def _write(folder: pathlib.Path) -> None:
    rng = np.random.default_rng(0)
    time_s = np.arange(round(SECONDS * RATE_HZ)) / RATE_HZ
    chord = sum(0.1 * np.sin(2 * np.pi * hz * time_s) for hz in (110.0, 277.2, 659.3, 1760.0))
    sound = np.stack([chord, 0.8 * chord], axis=1) + rng.normal(0, 0.01, (len(time_s), 2))
    for _, file, recipe in FORMATS:
        if recipe is None:
            soundfile.write(folder / file, sound, RATE_HZ)
        else:
            av_files.write(folder / file, sound.astype(np.float32), RATE_HZ, **recipe)


def _read_clips(path: pathlib.Path) -> None:
    InProcessDecoder().read_clips(path, PARAMS, track_id="a", seed=0)


def _pyav_alone(path: pathlib.Path) -> None:
    import av

    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        stream.codec_context.thread_count = 1
        for _ in container.decode(stream):
            pass


def _seconds(way: Callable[[pathlib.Path], None], path: pathlib.Path) -> float:
    begun = time.process_time()
    way(path)
    return time.process_time() - begun


if __name__ == "__main__":
    main()
