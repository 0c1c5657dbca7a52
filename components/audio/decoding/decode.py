"""Decoding of audio files to float32 arrays with libsndfile (components.audio.decoding.formats)."""

from __future__ import annotations

import contextlib
import dataclasses
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

# The longest recording that is decoded: 1 hour. A header that claims more is not trusted.
MAX_SECONDS = 3600.0
# From telephone speech to the fastest converters. A header beyond them is wrong.
MIN_RATE_HZ, MAX_RATE_HZ = 4000, 384000
# A file that misses more than both of these of its header's length is truncated. Less is
# normal: the length of an mp3 without a Xing frame is only an estimate.
MAX_MISSING_SECONDS, MAX_MISSING_FRACTION = 1.0, 0.02
# libsndfile corrects the length of a truncated WAV or AU file silently. Only its log shows the
# bytes by the header and the bytes that are there.
_TRUNCATED = re.compile(r"^ *(?:data|Data Size) *: (\d+) \(should be (\d+)\)", re.MULTILINE)
# Programs that do not know the length yet write all bits set, or nearly so.
UNKNOWN_LENGTH_BYTES = 0x7FFF0000
# Samples to hash at once, as a copy of an hour's audio is large.
_HASHED_SAMPLES = 1 << 20

# libsndfile 1.2 returns this code if it finds no mp3 frame. Its text says, wrongly, that the
# file does not exist.
NOT_A_REGULAR_FILE = 7
# SFE_MALLOC_FAILED of libsndfile's common.h.
MALLOC_FAILED = 17


# The reject reasons that reading a file can give; a subset of REJECT_REASONS
# (components/datasets/track.py).
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
        "channels_cancel",
        "too_short",
        "too_long",
        "not_finite",
    }
)


class DecodeError(ValueError):
    """Error for a file that is not usable audio; `reason` is one of DECODE_REASONS."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclasses.dataclass(frozen=True)
class Fault:
    """Part of a file that is missing or cannot be read.

    Training refuses such a file. Prediction answers from the rest, with a warning.

    Attributes:
      reason: one of FAULT_ADVICE, which are reject reasons.
      detail: what was read of what the file claims.
    """

    reason: str
    detail: str

    def warning(self) -> str:
        """Return the sentence for a person whose file was predicted all the same."""
        return f"{self.detail}; {FAULT_ADVICE[self.reason]}"


# What to do about a file that was read in part, by reject reason.
FAULT_ADVICE = {
    "truncated": (
        "the file is cut, and the genres are those of the part that is there. Get a complete copy"
    ),
}


def decode(path: str | pathlib.Path) -> tuple[npt.NDArray[np.float32], int]:
    """Decode a whole file.

    Returns:
      (samples, rate): float32 `[samples]`, mono (channels averaged), in [-1, 1], and the
      file's own sample rate in Hz.

    Raises:
      DecodeError: missing_file, empty_file, undecodable, too_long, truncated or not_finite.
    """
    with opened(path) as audio:
        # One read, as soundfile seeks after every read and mp3 seeks are not exact.
        mono = to_mono(read_all(audio))
        check_finite(mono)
        return mono, int(audio.samplerate)


def read_all(audio: AudioFile) -> npt.NDArray[np.float32]:
    """Read a file that was just opened from start to end: float32 `[samples, channels]`."""
    # Some codecs (GSM 06.10, G.72x) cannot seek, and soundfile then wants a number.
    samples = audio.read(-1 if audio.seekable() else audio.frames, dtype="float32", always_2d=True)
    return np.asarray(samples)


class AudioFile(soundfile.SoundFile):  # type: ignore[misc]
    """Opened audio file.

    The readers use only these members, so another decoder's object may replace it.

    Attributes:
      samplerate: samples per second and channel.
      channels: number of channels.
      frames: samples per channel by the header.
      format: name of the container, such as "FLAC" (clip_reader.WARM_UP_SAMPLES).
      faults: what was found missing when the file was opened.
      read: `read(frames, dtype="float32", always_2d=True)` returns `[frames, channels]`, fewer
        at the end; without `frames`, all of the rest.
      seek: `seek(frame)` moves to a sample.
      seekable: whether `seek` works.
    """

    faults: tuple[Fault, ...] = ()


class _SequentialFile(AudioFile):
    """Audio file that is read from start to end without seeking.

    soundfile seeks after every read of a seekable file, and seeks in mp3 are not exact.
    """

    def seekable(self) -> bool:
        return False


@contextlib.contextmanager
def opened(
    path: str | pathlib.Path,
    *,
    max_seconds: float | None = None,
    sequential: bool = False,
    partial: bool = False,
) -> Iterator[AudioFile]:
    """Open an audio file, check its header, and turn libsndfile's errors into DecodeError.

    Args:
      path: the audio file.
      max_seconds: the longest recording to accept; None is MAX_SECONDS.
      sequential: the file will be read in blocks from start to end, without seeking.
      partial: accept a file of which only a part can be read, with `faults` that say so.

    Raises:
      DecodeError: missing_file, empty_file, undecodable, bad_sample_rate, too_long or
        truncated; when opening, or when reading inside the context.
    """
    path = pathlib.Path(path)
    limit_seconds = MAX_SECONDS if max_seconds is None else max_seconds
    try:
        if not path.is_file():
            raise DecodeError("missing_file", _non_file(path))
        with path.open("rb") as file:  # libsndfile would not say why it failed
            if not file.read(1):
                raise DecodeError("empty_file", "0 bytes")
        measured = with_length(path)
        source: io.BytesIO | bytes | int
        if measured:
            source = io.BytesIO(measured)
        elif path.suffix.lower() == ".raw":  # soundfile would not look at the content
            source = os.open(path, os.O_RDONLY)
        else:  # As bytes, so that names that are not UTF-8 open too.
            source = os.fsencode(path)
        with (_SequentialFile if sequential else AudioFile)(source) as audio:
            # libsndfile reads any file named .au without a known header as raw u-law.
            if audio.format == "RAW":
                raise DecodeError("undecodable", "Format not recognised.")
            if not MIN_RATE_HZ <= audio.samplerate <= MAX_RATE_HZ:
                raise DecodeError(
                    "bad_sample_rate",
                    f"its header says {audio.samplerate} Hz; "
                    f"supported are {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz",
                )
            if audio.frames > limit_seconds * audio.samplerate:
                raise DecodeError(
                    "too_long",
                    f"{audio.frames / audio.samplerate:.0f} s; the limit is {limit_seconds:.0f} s",
                )
            audio.faults = _faults(audio)
            if not partial:
                refuse(audio.faults)
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
    """Return the error for a file that needs more memory than is available or allowed."""
    return DecodeError("too_large", "decoding it needs more memory than is available")


def refuse(faults: tuple[Fault, ...]) -> None:
    """Raise DecodeError for the first fault, if there is one."""
    for fault in faults:
        raise DecodeError(fault.reason, fault.detail)


def length_faults(samples: int, claimed: int, rate_hz: int) -> tuple[Fault, ...]:
    """Return the fault "truncated" if there are far fewer samples than claimed, else none."""
    if claimed - samples <= max(MAX_MISSING_SECONDS * rate_hz, MAX_MISSING_FRACTION * claimed):
        return ()
    detail = f"{samples / rate_hz:.1f} s of audio, but its header says {claimed / rate_hz:.1f} s"
    return (Fault("truncated", detail),)


def _faults(audio: AudioFile) -> tuple[Fault, ...]:
    found = _TRUNCATED.search(audio.extra_info)
    if not found:
        return ()
    claimed_bytes, bytes_there = int(found[1]), int(found[2])
    if claimed_bytes >= UNKNOWN_LENGTH_BYTES:
        return ()
    if not bytes_there:
        return (Fault("truncated", f"no audio, but its header says {claimed_bytes} bytes"),)
    claimed = audio.frames * claimed_bytes // bytes_there
    return length_faults(audio.frames, claimed, audio.samplerate)


def _non_file(path: pathlib.Path) -> str:
    """Describe what is at a path that is not a file."""
    if path.is_dir():
        return "it is a folder"
    if path.is_symlink():
        return "a broken link"
    return "neither a file nor a link to one" if path.exists() else "there is no such file"


def check_finite(mono: npt.NDArray[np.float32]) -> None:
    """Raise DecodeError (not_finite) for samples that are NaN, infinite or absurdly large."""
    # Negated, so that NaN fails too.
    if not (np.abs(mono) <= MAX_SAMPLE).all():
        raise DecodeError("not_finite", "NaN, infinite or extremely large samples")


def audio_digest(samples: npt.NDArray[np.float32], rate_hz: int) -> str:
    """Return 64 hex digits that identify samples and their rate."""
    digest = hashlib.sha256(f"{rate_hz} {len(samples)} ".encode())
    for first in range(0, len(samples), _HASHED_SAMPLES):
        # -0 and 0 are the same audio; adding 0 makes them the same bytes.
        block = samples[first : first + _HASHED_SAMPLES] + np.float32(0)
        digest.update(block.astype("<f4").tobytes())
    return digest.hexdigest()


def to_mono(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Average the channels: float32 `[samples, channels]` to `[samples]`."""
    if samples.shape[1] == 1:
        return np.ascontiguousarray(samples[:, 0])
    # Column by column: numpy's mean over a short last axis takes five times as long.
    total = samples[:, 0] + samples[:, 1]
    for channel in range(2, samples.shape[1]):
        total += samples[:, channel]
    total /= np.float32(samples.shape[1])
    return total


def resample(samples: npt.NDArray[np.float32], rate_hz: int, to_hz: int) -> npt.NDArray[np.float32]:
    """Resample float32 `[samples]` with soxr HQ; return the input itself if the rates agree."""
    if rate_hz == to_hz:
        return samples
    return np.asarray(soxr.resample(samples, rate_hz, to_hz, quality="HQ"), dtype=np.float32)
