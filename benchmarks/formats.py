"""Tables of docs/reference/formats.md: audio formats that are read, and what is said about others.

    python -m benchmarks.formats [--write]

For each container and codec, a tone is written, with soundfile or PyAV where these can, else byte
by byte, and decoded as a run decodes it: by seeking to clips, as a whole, and part by part. A codec
is read if all of these give the tone. Without --write the tables are only printed.
"""

from __future__ import annotations

import collections
import pathlib
import re
import tempfile
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import soundfile

from benchmarks.shared import av_files, built_audio, command
from components.audio.decoding.decode import DecodeError
from components.audio.decoding.decoder import InProcessDecoder
from components.audio.decoding.formats import FORMATS, Format, advice
from components.audio.params import AudioParams

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "reference" / "formats.md"
SECONDS = 12.0
RATE_HZ = 8000  # Psion WVE knows no other
TONE_HZ = 440.0
PARAMS = AudioParams()

# soundfile's containers of the formats that libsndfile reads.
CONTAINERS = {
    "MPEG audio, layers I to III": ("MP3",),
    "WAV": ("WAV", "WAVEX"),
    "RF64": ("RF64",),
    "Wave64": ("W64",),
    "AIFF": ("AIFF",),
    "Core Audio": ("CAF",),
    "FLAC": ("FLAC",),
    "Ogg": ("OGG",),
    "AU": ("AU",),
    "VOC": ("VOC",),
    "Amiga 8SVX and 16SV": ("SVX",),
    "IRCAM": ("IRCAM",),
    "NIST Sphere": ("NIST",),
    "Ensoniq PARIS": ("PAF",),
    "Portable Voice Format": ("PVF",),
    "Psion WVE": ("WVE",),
    "Audio Visual Research": ("AVR",),
}
# What PyAV writes (av_files.write) by format and codec. FFmpeg has no encoders of the others.
ENCODERS: dict[str, dict[str, dict[str, Any]]] = {
    "MPEG-4 audio": {
        "AAC": {"codec": "aac", "container": "ipod"},
        "ALAC": {"codec": "alac", "container": "ipod", "sample_format": "s16p"},
        "MPEG Layer III": {"codec": "libmp3lame", "container": "mp4"},
        "Opus": {"codec": "libopus", "container": "mp4"},
        "FLAC": {"codec": "flac", "container": "mp4"},
        "AC-3": {"codec": "ac3", "container": "mp4"},
        "E-AC-3": {"codec": "eac3", "container": "mp4"},
    },
    "AAC stream": {"AAC": {"codec": "aac", "container": "adts"}},
    "3GPP": {
        "AAC": {"codec": "aac", "container": "3gp"},
        "AMR": {"codec": "libopencore_amrnb", "container": "3gp"},
    },
    "Windows Media Audio": {
        "WMA 1": {"codec": "wmav1", "container": "asf"},
        "WMA 2": {"codec": "wmav2", "container": "asf"},
    },
    "WebM": {
        "Opus": {"codec": "libopus", "container": "webm"},
        "Vorbis": {"codec": "vorbis", "container": "webm"},
    },
    "Matroska audio": {
        "AAC": {"codec": "aac", "container": "matroska"},
        "ALAC": {"codec": "alac", "container": "matroska", "sample_format": "s16p"},
        "MPEG Layer III": {"codec": "libmp3lame", "container": "matroska"},
        "Opus": {"codec": "libopus", "container": "matroska"},
        "Vorbis": {"codec": "vorbis", "container": "matroska"},
        "FLAC": {"codec": "flac", "container": "matroska"},
        "AC-3": {"codec": "ac3", "container": "matroska"},
        "WavPack": {"codec": "wavpack", "container": "matroska", "sample_format": "s16p"},
        "PCM": {"codec": "pcm_s16le", "container": "matroska"},
    },
    "Video in MPEG-4, Matroska or Windows Media": {
        "AAC": {"codec": "aac", "container": "mov", "pictures": 25},
        "PCM": {"codec": "pcm_s16be", "container": "mov", "pictures": 25},
    },
    "WavPack": {"WavPack": {"codec": "wavpack", "container": "wv", "sample_format": "s16p"}},
    "True Audio": {"True Audio": {"codec": "tta", "container": "tta", "sample_format": "s16"}},
    "Dolby AC-3": {
        "AC-3": {"codec": "ac3", "container": "ac3"},
        "E-AC-3": {"codec": "eac3", "container": "eac3"},
    },
    "AMR": {"AMR": {"codec": "libopencore_amrnb", "container": "amr"}},
}


class Trial(NamedTuple):
    """File of one codec in one format.

    Attributes:
      format: name of the format.
      codec: name of the codec.
      content: the file.
      band_hz: where its sound is.
    """

    format: str
    codec: str
    content: bytes
    band_hz: tuple[float, float] = (TONE_HZ - 5, TONE_HZ + 5)


class Outcome(NamedTuple):
    """Outcome of a trial: "" if the codec is read, else what is said."""

    format: str
    codec: str
    told: str


def tone(rate_hz: int = RATE_HZ) -> npt.NDArray[np.float32]:
    """Return the sound that is written: float32 `[samples]`, mono."""
    time_s = np.arange(round(SECONDS * rate_hz)) / rate_hz
    return (0.5 * np.sin(2 * np.pi * TONE_HZ * time_s)).astype(np.float32)


def trials(folder: pathlib.Path) -> Iterator[Trial]:
    """Yield a file of each codec that libsndfile names in the formats that it reads."""
    path = folder / "written"
    for name, containers in CONTAINERS.items():
        for container in containers:
            for subtype, codec in soundfile.available_subtypes(container).items():
                try:
                    soundfile.write(path, tone(), RATE_HZ, format=container, subtype=subtype)
                except soundfile.LibsndfileError:
                    continue  # libsndfile only reads it, or only knows its number
                yield Trial(name, codec, path.read_bytes())
    mpeg = "MPEG audio, layers I to III"
    yield Trial(mpeg, "MPEG Layer I", built_audio.layer_1(SECONDS), built_audio.MPEG_BAND_HZ)
    yield Trial(mpeg, "MPEG Layer II", built_audio.layer_2(SECONDS), built_audio.MPEG_BAND_HZ)
    yield Trial("WAV", "MPEG Layer III", built_audio.mp3_in_wav(tone(), RATE_HZ))


def ffmpeg_trials(folder: pathlib.Path) -> Iterator[Trial]:
    """Yield a file of each codec that PyAV writes in the formats that FFmpeg's libraries read."""
    path = folder / "written"
    for name, recipes in ENCODERS.items():
        for codec, recipe in recipes.items():
            # FFmpeg's Vorbis wants two channels, its AMR one and 8 kHz.
            rate_hz, channels = (8000, 1) if codec == "AMR" else (48000, 2)
            sound = np.repeat(tone(rate_hz)[:, np.newaxis], channels, axis=1)
            bit_rate = 12200 if codec == "AMR" else 128000
            av_files.write(path, sound, rate_hz, bit_rate=bit_rate, **recipe)
            yield Trial(name, codec, path.read_bytes())


def outcome(trial: Trial, folder: pathlib.Path) -> Outcome:
    """Decode a file as a run does.

    Raises:
      AssertionError: something else than the tone is decoded.
    """
    path = folder / "song"
    path.write_bytes(trial.content)
    with InProcessDecoder() as decoder:
        try:
            whole = decoder.decode(path, PARAMS.sample_rate_hz).samples
            clips = decoder.read_clips(path, PARAMS, track_id="song", seed=0).waveforms
            parts = decoder.stream(path, PARAMS.sample_rate_hz, 30000)
            streamed = np.concatenate([part.samples for part in parts])
        except DecodeError as error:
            return Outcome(trial.format, trial.codec, error.detail)
    assert np.array_equal(whole, streamed)
    assert abs(len(whole) / PARAMS.sample_rate_hz - SECONDS) < 0.1, trial[:2]
    second = PARAMS.sample_rate_hz
    for sound in (whole[second:-second], clips.reshape(-1)):
        power = np.abs(np.fft.rfft(sound * np.hanning(len(sound)))) ** 2
        hz = np.fft.rfftfreq(len(sound), 1 / PARAMS.sample_rate_hz)
        inside = (trial.band_hz[0] <= hz) & (hz <= trial.band_hz[1])
        assert power[inside].sum() > 0.9 * power.sum(), trial[:2]
    return Outcome(trial.format, trial.codec, "")


def libsndfile_table() -> str:
    """Return the table of the formats that libsndfile reads, measured."""
    lines = [
        "| format | extensions | codecs that are read | refused (`undecodable`) |",
        "|---|---|---|---|",
    ]
    read, told = _measured(trials)
    for one in FORMATS:
        if one.reader == "libsndfile":
            cells = ", ".join(read[one.name]), ", ".join(told[one.name]) or "-"
            lines.append(f"| {one.name} | {_extensions(one)} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines)


def ffmpeg_table() -> str:
    """Return the table of the formats that FFmpeg's libraries read, measured where PyAV writes."""
    lines = ["| format | extensions | codecs that were written and read |", "|---|---|---|"]
    read, told = _measured(ffmpeg_trials)
    assert not told, told
    for one in FORMATS:
        if one.reader == "FFmpeg":
            codecs = ", ".join(read[one.name]) or "no encoder to measure with"
            lines.append(f"| {one.name} | {_extensions(one)} | {codecs} |")
    return "\n".join(lines)


Codecs = collections.defaultdict[str, list[str]]


def _measured(make: Callable[[pathlib.Path], Iterator[Trial]]) -> tuple[Codecs, Codecs]:
    """Return the codecs that are read and those that are refused, by format."""
    read: Codecs = collections.defaultdict(list)
    told: Codecs = collections.defaultdict(list)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for trial in make(folder):
            found = outcome(trial, folder)
            codecs = (told if found.told else read)[found.format]
            if found.codec not in codecs:
                codecs.append(found.codec)
    return read, told


def refused_table() -> str:
    """Return the table of the formats that nothing here reads."""
    lines = ["| format | extensions | what is said |", "|---|---|---|"]
    for one in FORMATS:
        if one.reader == "none":
            said = advice(one.extensions[0]).replace("|", "\\|")
            lines.append(f"| {one.name} | {_extensions(one)} | {said} |")
    return "\n".join(lines)


TABLES: dict[str, Callable[[], str]] = {
    "read by libsndfile": libsndfile_table,
    "read by FFmpeg": ffmpeg_table,
    "not read": refused_table,
}


def replaced(page: str, name: str, table: str) -> str:
    """Return the page with a table between its marks."""
    marks = re.compile(rf"(<!-- table: {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)
    assert len(marks.findall(page)) == 1, name
    return marks.sub(lambda found: f"{found[1]}{table}\n{found[2]}", page)


def _extensions(one: Format) -> str:
    return " ".join(f"`{extension}`" for extension in one.extensions)


def main() -> None:
    parser = command.parser(__file__, __doc__)
    parser.add_argument("--write", action="store_true", help=f"write them into {PAGE.name}")
    arguments = parser.parse_args()
    page = PAGE.read_text(encoding="utf-8")
    for name, make in TABLES.items():
        table = make()
        print(f"{name}\n\n{table}\n")
        page = replaced(page, name, table)
    if arguments.write:
        PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
