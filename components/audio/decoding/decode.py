"""Decoding of audio files to float32 arrays with libsndfile (components.audio.decoding.formats)."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import pathlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from components.audio.decoding import contents
from components.audio.decoding.containers import find_container
from components.audio.decoding.extent import Extent, Window
from components.audio.decoding.faults import Fault
from components.audio.decoding.ffmpeg import FFmpegFile
from components.audio.decoding.formats import extension_of, has_pyav, needs_pyav
from components.audio.decoding.measuring import measure
from components.audio.front_ends.front_end import MAX_SAMPLE

# The longest recording that is decoded: 1 hour. A header that claims more is not trusted.
MAX_SECONDS = 3600.0
# From telephone speech to the fastest converters. A header beyond them is wrong.
MIN_RATE_HZ, MAX_RATE_HZ = 4000, 384000
# Samples per channel to decode at once, where a file is read in blocks.
BLOCK_SAMPLES = 1 << 16
_CUT_BLOCK_SAMPLES = 1 << 12
# libsndfile's SF_COUNT_MAX stands for a length that the file does not tell.
_UNKNOWN_FRAMES = (1 << 63) - 1
# Samples to hash at once, as a copy of an hour's audio is large.
_HASHED_SAMPLES = 1 << 20

# Codes of libsndfile for unknown content: SF_ERR_UNRECOGNISED_FORMAT, and what libsndfile 1.2
# returns if it finds no mp3 frame, with the text that the file does not exist.
UNRECOGNISED = (1, 7)
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
        "unread_audio",
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


def read_all(
    audio: AudioFile | FFmpegFile, max_seconds: float | None = None
) -> npt.NDArray[np.float32]:
    """Read a file that was just opened from start to end: float32 `[samples, channels]`.

    Raises:
      DecodeError: too_long, if a file that does not tell its length is longer than `max_seconds`
        (None is MAX_SECONDS).
    """
    if audio.frames is None:
        return np.concatenate([block for block, _ in blocks(audio, max_seconds)])
    # Some codecs (GSM 06.10, G.72x) cannot seek, and soundfile then wants a number.
    samples = audio.read(-1 if audio.seekable() else audio.frames, dtype="float32", always_2d=True)
    return np.asarray(samples)


def blocks(
    audio: AudioFile | FFmpegFile, max_seconds: float | None = None
) -> Iterator[tuple[npt.NDArray[np.float32], bool]]:
    """Read a file from start to end in blocks.

    Yields:
      (samples, is_last): float32 `[samples, channels]`, of which the last may be empty.

    Raises:
      DecodeError: too_long, if the file goes on after `max_seconds` (None is MAX_SECONDS).
    """
    limit_seconds = MAX_SECONDS if max_seconds is None else max_seconds
    read, frames = 0, audio.frames
    # If a decoder fails, as some do where a file is cut, the block is lost.
    size = _CUT_BLOCK_SAMPLES if audio.faults else BLOCK_SAMPLES
    while True:
        wanted = size if frames is None else min(size, frames - read)
        try:
            block = audio.read(wanted, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError:
            if not audio.faults:
                raise
            block = np.empty((0, audio.channels), np.float32)
        read += len(block)
        if read > limit_seconds * audio.samplerate:
            raise DecodeError("too_long", f"the limit is {limit_seconds:.0f} s")
        is_last = len(block) < wanted or read == frames
        yield block, is_last
        if is_last:
            return


class AudioFile(soundfile.SoundFile):  # type: ignore[misc]
    """Opened audio file.

    The readers use only these members, so another decoder's object may replace it.

    Attributes:
      samplerate: samples per second and channel.
      channels: number of channels.
      frames: samples per channel that can be read; None if that is not known before the end.
      format: name of the container, such as "FLAC" (clip_reader.WARM_UP_SAMPLES).
      faults: what cannot be read of the file, as far as opening it shows.
      read: `read(frames, dtype="float32", always_2d=True)` returns `[frames, channels]`, fewer
        at the end. If the file is seekable, -1 stands for all of the rest.
      seek: `seek(frame)` moves to a sample, if the file is seekable.
      seekable: whether `seek` works; never if `frames` is None.
    """

    faults: tuple[Fault, ...] = ()
    # Set by `opened`; soundfile asks `seekable` only later.
    measured_frames: int | None = None
    sequential = False

    @property
    def frames(self) -> int | None:
        """Return the samples per channel, or None if that is unknown."""
        if self.measured_frames is not None:
            return self.measured_frames
        told = int(self._info.frames)
        return None if told == _UNKNOWN_FRAMES else told

    def seekable(self) -> bool:
        """Return whether `seek` works.

        soundfile seeks after every read of a seekable file, and seeks in mp3 are not exact. So
        a file that is read in blocks from start to end must not be seekable.
        """
        return not self.sequential and self.frames is not None and bool(super().seekable())


@contextlib.contextmanager
def opened(
    path: str | pathlib.Path,
    *,
    max_seconds: float | None = None,
    sequential: bool = False,
    partial: bool = False,
) -> Iterator[AudioFile | FFmpegFile]:
    """Open an audio file, check its header, and turn libsndfile's errors into DecodeError.

    Args:
      path: the audio file.
      max_seconds: the longest recording to accept; None is MAX_SECONDS.
      sequential: the file will be read in blocks from start to end, without seeking.
      partial: accept a file of which only a part can be read, with `faults` that say so.

    Raises:
      DecodeError: missing_file, empty_file, undecodable, bad_sample_rate, too_long, truncated or
        unread_audio; when opening, or when reading inside the context.
    """
    path = pathlib.Path(path)
    limit_seconds = MAX_SECONDS if max_seconds is None else max_seconds
    try:
        if not path.is_file():
            raise DecodeError("missing_file", _non_file(path))
        with _open_content(path, sequential) as audio:
            if not MIN_RATE_HZ <= audio.samplerate <= MAX_RATE_HZ:
                raise DecodeError(
                    "bad_sample_rate",
                    f"its header says {audio.samplerate} Hz; "
                    f"supported are {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz",
                )
            frames = audio.measured_frames if audio.frames is None else audio.frames
            if frames is not None and frames > limit_seconds * audio.samplerate:
                raise DecodeError(
                    "too_long",
                    f"{frames / audio.samplerate:.0f} s; the limit is {limit_seconds:.0f} s",
                )
            if not partial:
                refuse(audio.faults)
            yield audio
            if not partial:
                refuse(audio.faults)  # reading may have found more
    except OSError as error:
        if error.errno == errno.ENOMEM:
            raise too_large() from error
        raise DecodeError("unreadable", f"{error.strerror}") from error
    except soundfile.LibsndfileError as error:
        if error.code == MALLOC_FAILED:
            raise too_large() from error
        raise DecodeError("undecodable", _why_undecodable(path, error)) from error
    except RuntimeError as error:
        raise DecodeError("undecodable", str(error)) from error
    except MemoryError as error:
        raise too_large() from error


@contextlib.contextmanager
def _open_content(path: pathlib.Path, sequential: bool) -> Iterator[AudioFile | FFmpegFile]:
    """Open a file with the library that its content asks for."""
    with path.open("rb") as file:
        if not file.read(1):
            raise DecodeError("empty_file", "0 bytes")
        if container := find_container(file):
            if not has_pyav():
                sentence = needs_pyav(container.name, extension_of(str(path)))
                raise DecodeError("undecodable", f"the format {sentence}")
            with FFmpegFile(file, container) as audio:
                yield audio
            return
    extent = measure(path)
    with _open_source(path, extent) as source, AudioFile(source) as audio:
        audio.sequential, audio.measured_frames = sequential, extent.frames
        # libsndfile reads any file named .au without a known header as raw u-law.
        if audio.format == "RAW":
            raise DecodeError("undecodable", contents.unrecognised(path))
        audio.faults = extent.faults(audio.frames, audio.samplerate)
        yield audio


@contextlib.contextmanager
def _open_source(path: pathlib.Path, extent: Extent) -> Iterator[Window | io.BytesIO | bytes | int]:
    """Yield what soundfile opens, and close it if soundfile does not."""
    if extent.source:
        with extent.source as source:
            yield source
    elif path.suffix.lower() == ".raw":  # soundfile would not look at the content
        yield os.open(path, os.O_RDONLY)
    else:  # As bytes, so that names that are not UTF-8 open too.
        yield os.fsencode(path)


def _why_undecodable(path: pathlib.Path, error: soundfile.LibsndfileError) -> str:
    with contextlib.suppress(OSError):
        if error.code in UNRECOGNISED:
            return contents.unrecognised(path)
        if described := contents.describe(path):
            return described
    return str(error.error_string)


def too_large() -> DecodeError:
    """Return the error for a file that needs more memory than is available or allowed."""
    return DecodeError("too_large", "decoding it needs more memory than is available")


def refuse(faults: tuple[Fault, ...]) -> None:
    """Raise DecodeError for the first fault, if there is one."""
    for fault in faults:
        raise DecodeError(fault.reason, fault.detail)


def _non_file(path: pathlib.Path) -> str:
    """Describe what is at a path that is not a file."""
    if path.is_dir():
        return "it is a folder"
    if path.is_fifo():
        return "it is a pipe; save what comes from it as a file first"
    if path.is_symlink():
        return "a broken link"
    return "neither a file nor a link to one" if path.exists() else "there is no such file"


def check_finite(samples: npt.NDArray[np.float32], max_sample: float = MAX_SAMPLE) -> None:
    """Raise DecodeError (not_finite) for samples that are NaN, infinite or above `max_sample`."""
    # Negated, so that NaN fails too.
    if not (np.abs(samples) <= max_sample).all():
        peak = np.abs(samples).max()
        if peak <= MAX_SAMPLE:
            raise DecodeError(
                "not_finite",
                f"samples up to {peak:.0f}, full scale is 1; normalise it: sox IN OUT norm -1",
            )
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
