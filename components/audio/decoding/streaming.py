"""Decoding part by part, so that hours of audio need no more memory than a minute.

An mp3 without the right number of frames is the exception: it takes twice its size, at most
512 MiB (components.audio.decoding.mpeg).

The samples are bit-identical to those of the whole recording decoded and resampled at once:
the file is read sequentially, and the resampler keeps its state.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import soxr

from components.audio.decoding.decode import AudioFile, blocks, check_finite, opened, to_mono
from components.audio.decoding.faults import Fault, length_faults
from components.audio.decoding.ffmpeg import FFmpegFile
from components.audio.levels import ChannelMeter

# The longest recording that is streamed: a day.
MAX_STREAMED_SECONDS = 24 * 3600.0


@dataclasses.dataclass(frozen=True, eq=False)
class Part:
    """Part of a recording.

    Attributes:
      samples: float32 `[n]`, mono, at the requested rate.
      seconds: how much of the file has been read up to the end of this part.
      claimed_seconds: length of the file by its header; None if that is unknown.
      cancelled: whether the channels cancel in each whole window (components.audio.levels).
      faults: in the last part, what could not be read of the file; none in the others.
    """

    samples: npt.NDArray[np.float32]
    seconds: float
    claimed_seconds: float | None
    cancelled: list[bool]
    faults: tuple[Fault, ...] = ()


def parts(
    path: str | pathlib.Path,
    rate_hz: int,
    window_samples: int,
    windows: int = 1,
    *,
    max_seconds: float = MAX_STREAMED_SECONDS,
) -> Iterator[Part]:
    """Decode a file part by part.

    Args:
      path: the audio file.
      rate_hz: rate to resample to.
      window_samples: length of a window at that rate.
      windows: number of windows in each part. Only the last part is shorter; it may be empty. It
        has the file's faults.
      max_seconds: the longest recording to accept.

    Raises:
      DecodeError: as components.audio.decoding.decode.decode, except "truncated".
    """
    part_samples = window_samples * windows
    with opened(path, max_seconds=max_seconds, sequential=True, partial=True) as audio:
        file_rate_hz, frames = int(audio.samplerate), audio.frames
        same = file_rate_hz == rate_hz
        resampler = None if same else soxr.ResampleStream(file_rate_hz, rate_hz, 1, quality="HQ")
        meter = ChannelMeter(window_samples, file_rate_hz, rate_hz)
        read, ended = 0, False
        pending = np.empty(0, np.float32)
        coming = blocks(audio, max_seconds)
        while True:
            held = [pending]
            count = len(pending)
            while count < part_samples and not ended:
                channels, ended = next(coming)
                block = to_mono(channels)
                check_finite(block)
                meter.add(channels, block)
                read += len(block)
                if resampler:
                    block = resampler.resample_chunk(block, last=ended)
                held.append(block)
                count += len(block)
            samples = np.concatenate(held)
            samples, pending = samples[:part_samples], samples[part_samples:]
            cancelled = meter.take(len(samples) // window_samples)
            last = count < part_samples
            faults = _faults(audio, read) if last else ()
            seconds = read / file_rate_hz
            claimed_seconds = None if frames is None else frames / file_rate_hz
            yield Part(samples, seconds, claimed_seconds, cancelled, faults)
            if last:
                return


def _faults(audio: AudioFile | FFmpegFile, read: int) -> tuple[Fault, ...]:
    if audio.faults or audio.frames is None:
        return audio.faults
    return length_faults(read, audio.frames, audio.samplerate)
