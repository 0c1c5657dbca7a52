"""Check of the audio formats that can be read here, by decoding a tiny file of each."""

from __future__ import annotations

import pathlib
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from components.audio.decoding.decode import DecodeError
from components.audio.decoding.formats import PYAV, has_pyav
from components.audio.decoding.isolation import IsolatedDecoder
from components.audio.decoding.limits import DecodeLimits
from components.common.errors import DecoderUnavailableError
from pipeline.prepare.doctor.installing import install_command
from pipeline.prepare.finding import OK, PROBLEM, WARNING, Finding

# libsndfile's format and subtype by extension.
LIBSNDFILE = {
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "flac": ("FLAC", "PCM_16"),
    "wav": ("WAV", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "aiff": ("AIFF", "PCM_16"),
    "caf": ("CAF", "PCM_16"),
    "au": ("AU", "PCM_16"),
}
# FFmpeg's container and encoder by extension.
FFMPEG = {
    "m4a": ("ipod", "aac"),
    "aac": ("adts", "aac"),
    "wma": ("asf", "wmav2"),
    "webm": ("webm", "libopus"),
    "wv": ("wv", "wavpack"),
}
_RATE_HZ = 48_000
_SECONDS = 0.5

Samples = npt.NDArray[np.float32]


def check_formats(
    makers: Mapping[str, Callable[[pathlib.Path, Samples], None]] | None = None,
) -> list[Finding]:
    """Decode a tiny file of each format.

    Args:
      makers: what writes samples `[n]` to a file, by extension; None for all that this
        installation can write.
    """
    if makers is None:
        makers = _makers()
    tone = np.sin(2 * np.pi * 440 / _RATE_HZ * np.arange(round(_SECONDS * _RATE_HZ)))
    problems = {}
    with (
        tempfile.TemporaryDirectory(prefix="genreflow-doctor-") as folder,
        IsolatedDecoder(DecodeLimits(timeout_seconds=20)) as decoder,
    ):
        for extension, make in makers.items():
            path = pathlib.Path(folder, f"tone.{extension}")
            try:
                make(path, (0.5 * tone).astype(np.float32))
                problem = _problem(decoder, path)
            except DecoderUnavailableError as error:
                return [Finding("audio", PROBLEM, f"nothing can be decoded: {error}")]
            except (ImportError, OSError, RuntimeError, ValueError) as error:  # of the encoder
                problem = f"{type(error).__name__}: {error}"
            if problem:
                problems[extension] = problem
    read = [extension for extension in makers if extension not in problems]
    found = []
    if read:
        found.append(Finding("audio", OK, f"reads {', '.join(read)}"))
    for extension, problem in problems.items():
        outcome = PROBLEM if extension in LIBSNDFILE else WARNING
        package = "soundfile" if extension in LIBSNDFILE else PYAV
        fix = install_command([package], again=True)
        found.append(Finding("audio", outcome, f"cannot read {extension}: {problem}", fix))
    if not set(makers) & set(FFMPEG):
        others = ", ".join(FFMPEG)
        text = f"without PyAV it does not read {others} and more (docs/reference/formats.md)"
        found.append(Finding("audio", WARNING, text, install_command([PYAV])))
    return found


def _problem(decoder: IsolatedDecoder, path: pathlib.Path) -> str:
    """Return what is wrong with the decoded file, or ""."""
    try:
        recording = decoder.decode(path, 22_050)
    except DecodeError as error:
        return f"{error.detail} ({error.reason})"
    loudest = float(np.abs(recording.samples).max(initial=0.0))
    if abs(recording.seconds - _SECONDS) > 0.2 or loudest < 0.1:
        return f"{recording.seconds:.2f} s of a tone of {_SECONDS} s, as loud as {loudest:.2f}"
    return ""


def _makers() -> dict[str, Callable[[pathlib.Path, Samples], None]]:
    made: dict[str, Callable[[pathlib.Path, Samples], None]] = {}
    for extension, (container, subtype) in LIBSNDFILE.items():
        made[extension] = _by_libsndfile(container, subtype)
    if has_pyav():
        for extension, (container, encoder) in FFMPEG.items():
            made[extension] = _by_ffmpeg(container, encoder)
    return made


def _by_libsndfile(container: str, subtype: str) -> Callable[[pathlib.Path, Samples], None]:
    def make(path: pathlib.Path, samples: Samples) -> None:
        import soundfile

        soundfile.write(path, samples, _RATE_HZ, format=container, subtype=subtype)

    return make


def _by_ffmpeg(container: str, encoder: str) -> Callable[[pathlib.Path, Samples], None]:
    def make(path: pathlib.Path, samples: Samples) -> None:
        import av

        with av.open(str(path), "w", format=container) as file:
            stream: Any = file.add_stream(encoder, rate=_RATE_HZ, layout="mono")
            stream.bit_rate = 96_000  # Windows Media Audio has no default
            frame = av.AudioFrame.from_ndarray(samples[None, :], format="fltp", layout="mono")
            frame.rate = _RATE_HZ
            for one in (frame, None):
                for packet in stream.encode(one):
                    file.mux(packet)

    return make
