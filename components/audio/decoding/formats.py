"""The table of audio formats: which files are audio, what reads them, and what to do otherwise.

Decoders recognise a format by a file's content. Extensions only decide which files of a folder
are audio at all, and what to say about those that cannot be read. docs/reference/formats.md has
the same table, made by benchmarks/formats.py.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import os
from typing import Literal

# What reads a format: libsndfile, FFmpeg's libraries in PyAV, or nothing here.
Reader = Literal["libsndfile", "FFmpeg", "none"]
# The versions that are tested; setup.py has the same.
PYAV = "av>=17,<18"


@dataclasses.dataclass(frozen=True)
class Format:
    """Format of audio files.

    Attributes:
      name: the format's usual name.
      extensions: its extensions in lower case, with the dot, the usual one first.
      reader: what reads it.
      advice: what to do about a file that nothing reads; "" to convert it with ffmpeg.
    """

    name: str
    extensions: tuple[str, ...]
    reader: Reader = "none"
    advice: str = ""


# Any extension of a format converts with the same command.
_CONVERT = "convert it: ffmpeg -i song{extension} -vn song.flac"
_EXTRACT = "a video, whose sound ffmpeg extracts: ffmpeg -i song{extension} -vn song.flac"
_HEADERLESS = (
    "it has no header; convert it with its own rate and channels: "
    "ffmpeg -f s16le -ar 44100 -ac 2 -i song{extension} song.flac"
)
_ENCRYPTED = "it is encrypted for its seller's players; use a copy without DRM"
_EXPORT = "export it as WAV or FLAC with the program that wrote it"
_NOTES = "it holds notes, not sound; render it to WAV with a synthesizer or a player"

# Extensions of libsndfile's formats that measurements and features share (.mat, .xi, .sds, .iff)
# are not here: in a folder of music they are no songs. A file that is given by name is decoded
# whatever its extension.
FORMATS: tuple[Format, ...] = (
    Format("MPEG audio, layers I to III", (".mp3", ".mp2", ".mp1", ".mpga", ".mpa"), "libsndfile"),
    Format("WAV", (".wav", ".wave", ".bwf"), "libsndfile"),
    Format("RF64", (".rf64",), "libsndfile"),
    Format("Wave64", (".w64",), "libsndfile"),
    Format("AIFF", (".aiff", ".aif", ".aifc", ".afc"), "libsndfile"),
    Format("Core Audio", (".caf",), "libsndfile"),
    Format("FLAC", (".flac", ".fla"), "libsndfile"),
    Format("Ogg", (".ogg", ".oga", ".opus"), "libsndfile"),
    Format("AU", (".au", ".snd"), "libsndfile"),
    Format("VOC", (".voc",), "libsndfile"),
    Format("Amiga 8SVX and 16SV", (".8svx", ".16sv", ".svx"), "libsndfile"),
    Format("IRCAM", (".sf", ".ircam"), "libsndfile"),
    Format("NIST Sphere", (".sph", ".nist"), "libsndfile"),
    Format("Ensoniq PARIS", (".paf",), "libsndfile"),
    Format("Portable Voice Format", (".pvf",), "libsndfile"),
    Format("Psion WVE", (".wve",), "libsndfile"),
    Format("Audio Visual Research", (".avr",), "libsndfile"),
    Format("MPEG-4 audio", (".m4a", ".m4b", ".m4r", ".mp4", ".mp4a", ".alac"), "FFmpeg"),
    Format("AAC stream", (".aac", ".adts"), "FFmpeg"),
    Format("3GPP", (".3gp", ".3g2", ".3ga"), "FFmpeg"),
    Format("Windows Media Audio", (".wma", ".asf"), "FFmpeg"),
    Format("WebM", (".webm", ".weba"), "FFmpeg"),
    Format("Matroska audio", (".mka",), "FFmpeg"),
    Format("Video in MPEG-4, Matroska or Windows Media", (".m4v", ".mov", ".mkv", ".wmv"),
           "FFmpeg", _EXTRACT),
    Format("Monkey's Audio", (".ape",), "FFmpeg"),
    Format("WavPack", (".wv",), "FFmpeg"),
    Format("True Audio", (".tta",), "FFmpeg"),
    Format("TAK", (".tak",), "FFmpeg"),
    Format("Musepack", (".mpc", ".mp+", ".mpp"), "FFmpeg"),
    Format("Speex", (".spx",), "FFmpeg"),
    Format("Dolby AC-3", (".ac3", ".eac3", ".ec3"), "FFmpeg"),
    Format("DSD", (".dsf", ".dff"), "FFmpeg"),
    Format("AMR", (".amr", ".awb"), "FFmpeg"),
    Format("AAC in LOAS", (".loas", ".latm")),
    Format("xWMA", (".xwma",)),
    Format("Shorten", (".shn",)),
    Format("Dolby TrueHD", (".thd", ".mlp")),
    Format("DTS", (".dts", ".dtshd")),
    Format("RealAudio", (".ra", ".rm")),
    Format("ATRAC", (".oma", ".aa3", ".at3")),
    Format("QCELP", (".qcp",)),
    Format("GSM 06.10 without header", (".gsm",)),
    Format("Video", (".avi", ".flv", ".mpg", ".mpeg", ".ogv", ".ogx", ".m2ts", ".mts", ".vob"),
           advice=_EXTRACT),
    Format("Raw samples", (".raw", ".pcm"), advice=_HEADERLESS),
    Format("OptimFROG", (".ofr", ".ofs"), advice=_EXPORT),
    Format("Sound Designer II", (".sd2",), advice=_EXPORT),
    Format("Dialogic VOX", (".vox",), advice=_EXPORT),
    Format("iTunes purchase with DRM", (".m4p",), advice=_ENCRYPTED),
    Format("Audible", (".aax", ".aaxc", ".aa"), advice=_ENCRYPTED),
    Format("Music service's download", (".ncm", ".mflac", ".mgg", ".qmc0", ".qmc3", ".qmcflac",
                                        ".qmcogg", ".kgm", ".kgma", ".kwm"), advice=_ENCRYPTED),
    Format("MIDI", (".mid", ".midi", ".kar", ".rmi"), advice=_NOTES),
    Format("Tracker module", (".mod", ".xm", ".it", ".s3m", ".mtm", ".stm", ".mptm"),
           advice=_NOTES),
)  # fmt: skip

_BY_EXTENSION = {extension: one for one in FORMATS for extension in one.extensions}


def extension_of(path: str) -> str:
    """Return a path's extension in lower case with the dot, or "" if it has none."""
    return os.path.splitext(path)[1].lower()


def find_format(path: str) -> Format | None:
    """Return the format that a path's extension names, or None if it names no audio format."""
    return _BY_EXTENSION.get(extension_of(path))


@functools.cache  # it looks at many folders
def has_pyav() -> bool:
    """Return whether PyAV is installed. It is not imported."""
    return importlib.util.find_spec("av") is not None


def is_readable(path: str) -> bool:
    """Return whether a path's extension names a format that is read here."""
    found = find_format(path)
    return found is not None and _is_read(found)


def _is_read(found: Format) -> bool:
    return found.reader == "libsndfile" or (found.reader == "FFmpeg" and has_pyav())


def readable_extensions() -> list[str]:
    """Return the sorted extensions of all formats that are read here."""
    return sorted(extension for one in FORMATS if _is_read(one) for extension in one.extensions)


def refusal(path: str) -> str | None:
    """Return why an audio file is not read and what to do; None if it is read or no audio.

    Args:
      path: path or name of a file; only its extension counts.
    """
    found = find_format(path)
    if found is None or _is_read(found):
        return None
    extension = extension_of(path)
    if found.reader == "FFmpeg":
        return f"{extension} {needs_pyav(found.name, extension)}"
    return f"{extension} ({found.name}) is not read; {advice(extension)}"


def needs_pyav(name: str, extension: str) -> str:
    """Return that a format is not read without PyAV, and what to do about it.

    Args:
      name: the format's name.
      extension: the file's extension, for the command that converts it.
    """
    return f'({name}) is read if PyAV is installed: pip install "{PYAV}"; or {advice(extension)}'


def advice(extension: str) -> str:
    """Return what to do about a file that is not read, such as the command that converts it.

    Args:
      extension: its extension; of an unknown format too.
    """
    found = _BY_EXTENSION.get(extension.lower())
    text = found.advice if found and found.advice else _CONVERT
    return text.format(extension=extension.lower())
