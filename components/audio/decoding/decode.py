"""Audio files to float32 arrays, by libsndfile (mp3, wav, au, flac, ogg)."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import pathlib
import re
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from components.audio.decoding.mpeg import with_length
from components.audio.params import MAX_SAMPLE

# Longest audio that is read: 1 hour. A header that claims more is not trusted.
MAX_SECONDS = 3600.0
# From telephone speech to the fastest converters: beyond them the header is wrong.
MIN_RATE_HZ, MAX_RATE_HZ = 4000, 384000
# A file that ends this much before its header's length is broken off; less is a header
# that was only estimated, as mp3s without a Xing frame have it.
MISSING_SECONDS, MISSING_FRACTION = 1.0, 0.02
# libsndfile takes what a cut WAV or AU file still has for all of it, and says so in its log
# alone: bytes by the header, bytes there.
_CUT = re.compile(r"^ *(?:data|Data Size) *: (\d+) \(should be (\d+)\)", re.MULTILINE)
# What programs write that do not know the length yet: all bits set, or nearly so.
UNKNOWN_LENGTH_BYTES = 0x7FFF0000
# Hashed at once: copies of an hour's audio are large.
_HASHED_SAMPLES = 1 << 20
EXTENSIONS = frozenset({".mp3", ".wav", ".au", ".flac", ".ogg"})

# libsndfile 1.2 ends its search for an mp3 frame with this code, whose text says that
# the file does not exist.
NOT_A_REGULAR_FILE = 7
# SFE_MALLOC_FAILED of libsndfile's common.h.
MALLOC_FAILED = 17


# Why a file cannot be used: those of REJECT_REASONS (components/datasets/track.py) that
# reading it can give.
DECODE_REASONS = frozenset(
    {
        "missing_file",
        "empty_file",
        "unreadable",
        "undecodable",
        "decoder_crashed",
        "timed_out",
        "too_large",
        "bad_sample_rate",
        "truncated",
        "near_silent",
        "too_short",
        "too_long",
        "not_finite",
    }
)


class DecodeError(ValueError):
    """The file is not audio that can be used; `reason` is one of DECODE_REASONS."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def decode(path: str | pathlib.Path) -> tuple[npt.NDArray[np.float32], int]:
    """Decodes a whole file.

    Returns:
      (samples, rate): float32 `[samples]` mono (channels averaged) in [-1, 1] at the
      file's own rate in Hz.

    Raises:
      DecodeError: missing_file, empty_file, undecodable, too_long, truncated or not_finite.
    """
    with opened(path) as audio:
        # In one go: soundfile seeks after every read, and mp3 seeks are not exact.
        mono = to_mono(audio.read(dtype="float32", always_2d=True))
        check_finite(mono)
        return mono, int(audio.samplerate)


class _InOrderFile(soundfile.SoundFile):  # type: ignore[misc]
    """Read from its start to its end: soundfile seeks after every read where it can, and
    seeks in mp3 are not exact."""

    def seekable(self) -> bool:
        return False


@contextlib.contextmanager
def opened(
    path: str | pathlib.Path, *, longest_seconds: float | None = None, in_order: bool = False
) -> Iterator[soundfile.SoundFile]:
    """Opens an audio file, its header checked; what libsndfile raises becomes DecodeError.

    Args:
      path: the audio file.
      longest_seconds: a header that claims more is not trusted; None is MAX_SECONDS.
      in_order: it will be read in blocks, each by its number of samples, and never sought in.

    Raises:
      DecodeError: missing_file, empty_file, undecodable, bad_sample_rate, too_long or
        truncated; on opening or from what is read inside.
    """
    path = pathlib.Path(path)
    most_seconds = MAX_SECONDS if longest_seconds is None else longest_seconds
    try:
        if not path.is_file():
            raise DecodeError("missing_file", _what_instead(path))
        with path.open("rb") as file:  # libsndfile does not say why it could not
            if not file.read(1):
                raise DecodeError("empty_file", "0 bytes")
        measured = with_length(path)
        # Bytes: names that are not UTF-8 open too.
        source = io.BytesIO(measured) if measured else os.fsencode(path)
        with (_InOrderFile if in_order else soundfile.SoundFile)(source) as audio:
            # libsndfile takes a file of any content named .au for headerless u-law.
            if audio.format == "RAW":
                raise DecodeError("undecodable", "Format not recognised.")
            if not MIN_RATE_HZ <= audio.samplerate <= MAX_RATE_HZ:
                raise DecodeError(
                    "bad_sample_rate",
                    f"its header says {audio.samplerate} Hz; "
                    f"{MIN_RATE_HZ} to {MAX_RATE_HZ} Hz are read",
                )
            if audio.frames > most_seconds * audio.samplerate:
                raise DecodeError(
                    "too_long",
                    f"{audio.frames / audio.samplerate:.0f} s; "
                    f"at most {most_seconds:.0f} s are read",
                )
            _check_not_cut(audio)
            yield audio
    except OSError as error:
        if error.errno == errno.ENOMEM:
            raise too_large() from error
        raise DecodeError("unreadable", f"{error.strerror}") from error
    except soundfile.LibsndfileError as error:
        if error.code == MALLOC_FAILED:
            raise too_large() from error
        text = "Format not recognised." if error.code == NOT_A_REGULAR_FILE else error.error_string
        raise DecodeError("undecodable", text) from error
    except RuntimeError as error:
        raise DecodeError("undecodable", str(error)) from error
    except MemoryError as error:
        raise too_large() from error


def too_large() -> DecodeError:
    """The error for a file that needs more memory than there is, or than is allowed."""
    return DecodeError("too_large", "decoding it takes more memory than there is for it")


def check_length(samples: int, claimed: int, rate_hz: int) -> None:
    """Raises DecodeError (truncated) where far fewer samples are there than claimed."""
    if claimed - samples > max(MISSING_SECONDS * rate_hz, MISSING_FRACTION * claimed):
        raise DecodeError(
            "truncated",
            f"{samples / rate_hz:.1f} s of audio, its header says {claimed / rate_hz:.1f} s",
        )


def _check_not_cut(audio: soundfile.SoundFile) -> None:
    found = _CUT.search(audio.extra_info)
    if not found:
        return
    claimed_bytes, bytes_there = int(found[1]), int(found[2])
    if claimed_bytes >= UNKNOWN_LENGTH_BYTES:
        return
    if not bytes_there:
        raise DecodeError("truncated", f"no audio, its header says {claimed_bytes} bytes of it")
    claimed = audio.frames * claimed_bytes // bytes_there
    check_length(audio.frames, claimed, audio.samplerate)


def _what_instead(path: pathlib.Path) -> str:
    """What is at a path that is no file."""
    if path.is_dir():
        return "it is a folder"
    if path.is_symlink():
        return "a link that leads nowhere"
    return "neither a file nor a link to one" if path.exists() else "there is no such file"


def check_finite(mono: npt.NDArray[np.float32]) -> None:
    """Raises DecodeError (not_finite) for samples that are no numbers or absurdly large."""
    # Negated, so that NaN fails too.
    if not (np.abs(mono) <= MAX_SAMPLE).all():
        raise DecodeError("not_finite", "NaN or infinite samples, or far beyond full scale")


def audio_digest(samples: npt.NDArray[np.float32], rate_hz: int) -> str:
    """64 hex digits: the same for the same samples at the same rate, and no others."""
    digest = hashlib.sha256(f"{rate_hz} {len(samples)} ".encode())
    for first in range(0, len(samples), _HASHED_SAMPLES):
        # Adding 0 makes -0 and 0, which are the same audio, the same bytes.
        block = samples[first : first + _HASHED_SAMPLES] + np.float32(0)
        digest.update(block.astype("<f4").tobytes())
    return digest.hexdigest()


def to_mono(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Averages channels: `[samples, channels]` to `[samples]`, float32."""
    if samples.shape[1] == 1:
        return np.ascontiguousarray(samples[:, 0])
    # Column by column: numpy's mean over a short last axis takes five times as long.
    total = samples[:, 0] + samples[:, 1]
    for channel in range(2, samples.shape[1]):
        total += samples[:, channel]
    total /= np.float32(samples.shape[1])
    return total


def resample(samples: npt.NDArray[np.float32], rate_hz: int, to_hz: int) -> npt.NDArray[np.float32]:
    """Resamples float32 `[samples]` with soxr HQ; the input itself when the rates agree."""
    if rate_hz == to_hz:
        return samples
    return np.asarray(soxr.resample(samples, rate_hz, to_hz, quality="HQ"), dtype=np.float32)
