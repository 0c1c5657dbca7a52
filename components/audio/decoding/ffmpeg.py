"""Audio that libsndfile does not read (AAC, ALAC, WMA, WebM ...), decoded by FFmpeg's libraries.

They come with PyAV, which is optional (components.audio.decoding.pyav).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import numpy.typing as npt

from components.audio.decoding.containers import (
    MP4,
    Container,
    asf_seconds,
    find_fault,
    mp4_end,
)
from components.audio.decoding.faults import MAX_MISSING_FRACTION, Fault, length_faults
from components.audio.decoding.pyav import (
    Block,
    UndecodableError,
    as_float32,
    audio_stream,
    ffmpeg_error,
    measured_seconds,
    open_container,
    own_errors,
    packets,
    told_seconds,
)

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

# Longer than two AAC frames at half the rate. Fewer samples after the told end are the encoder's
# padding; more are audio, and the told length is wrong.
MAX_PADDING_SAMPLES = 4096


class FFmpegFile:
    """Opened audio file: the best audio stream of a container, decoded from start to end.

    The members are those of components.audio.decoding.decode.AudioFile.

    Attributes:
      samplerate: samples per second and channel.
      channels: number of channels.
      frames: samples per channel, if the container tells them exactly; else None.
      measured_frames: samples per channel, about, whether the container tells them or not.
      format: the container's usual name.
    """

    def __init__(self, file: BinaryIO, container: Container) -> None:
        """Open the container, measure its audio, and decode its first packet.

        Args:
          file: the file, opened for reading; the caller closes it.
          container: the format of its content.

        Raises:
          UndecodableError: nothing in it can be decoded.
          MemoryError: there is not enough memory.
          OSError: the file cannot be read.
        """
        if fault := find_fault(file, container):
            raise UndecodableError(fault)
        self.format = container.name
        self.samplerate = self.channels = 0  # until a packet is decoded
        self._bytes = self._damaged_bytes = 0
        self._decoded_samples = 0
        self._faults: tuple[Fault, ...] = ()
        end = mp4_end(file) if container is MP4 else "whole"
        told_s = asf_seconds(file) if container.told == "asf" else None
        with own_errors(self.format):
            with open_container(file, container) as measured:
                stream = audio_stream(measured)
                told_s = told_s or told_seconds(measured, stream, container)
                there_s = measured_seconds(measured, stream)
            self._input = open_container(file, container)
            self._stream = audio_stream(self._input)
            blocks = self._decoded()
            first = next(blocks, None)
        if first is None:
            though = f", though its header says {told_s:.1f} s" if told_s else ""
            raise UndecodableError(
                f"{self.format}: no audio in it can be decoded{though}; get another copy"
            )
        told = round((told_s or 0.0) * self.samplerate)
        there = round(there_s * self.samplerate)
        self._faults = length_faults(there, told, self.samplerate) if there else ()
        if end == "cut" and not self._faults:
            self._faults = (Fault("truncated", f"{there_s:.1f} s of audio, and no end"),)
        elif end == "joined":
            detail = f"{there_s:.1f} s of audio, and another MPEG-4 file behind them"
            self._faults = (Fault("unread_audio", detail),)
        is_as_told = container.exact and told and there - told < MAX_PADDING_SAMPLES
        self.frames = told if is_as_told and not self._faults else None
        self.measured_frames = max(told, there)
        self._rest: Iterator[Block] = itertools.chain([first], blocks)
        if self.frames is not None:
            self._rest = without_padding(self._rest, self.frames)
        self._pending = first[:, :0]

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Return what cannot be read of the file; complete when all has been read."""
        damaged = self._damaged_bytes / max(1, self._bytes)
        if damaged > MAX_MISSING_FRACTION and not self._faults:
            return (Fault("unread_audio", f"{damaged:.0%} of it are damaged and were left out"),)
        return self._faults

    def __enter__(self) -> FFmpegFile:
        return self

    def __exit__(self, *exception: object) -> None:
        self._input.close()

    def seekable(self) -> bool:
        """Return False: the file is decoded once, from start to end."""
        return False

    def seek(self, frame: int) -> int:
        """Raise ValueError, as `seekable` says."""
        raise ValueError(f"cannot seek to {frame}")

    def read(
        self, frames: int, dtype: str = "float32", always_2d: bool = True
    ) -> npt.NDArray[np.float32]:
        """Return the next float32 `[frames, channels]`; fewer at the end.

        Raises:
          UndecodableError, MemoryError, OSError: as when it was opened.
        """
        assert dtype == "float32"
        assert always_2d
        samples = np.empty((self.channels, frames), np.float32)
        count = 0
        with own_errors(self.format):
            while count < frames:
                if not self._pending.shape[1]:
                    block = next(self._rest, None)
                    if block is None:
                        break
                    self._pending = block
                taken = self._pending[:, : frames - count]
                samples[:, count : count + taken.shape[1]] = taken
                count += taken.shape[1]
                self._pending = self._pending[:, taken.shape[1] :]
        return samples[:, :count].T

    def _decoded(self) -> Iterator[Block]:
        """Decode the stream to blocks `[channels, n]`, without its damaged packets."""
        context = self._stream.codec_context
        for packet in packets(self._input, self._stream):
            self._bytes += packet.size
            try:
                frames = context.decode(packet)
            except ffmpeg_error() as error:
                if isinstance(error, MemoryError):
                    raise
                self._damaged_bytes += packet.size
                continue
            for frame in frames:
                if self._changes(frame):
                    return
                self._decoded_samples += int(frame.samples)
                yield as_float32(frame)

    def _changes(self, frame: AudioFrame) -> bool:
        """Return whether the stream changes its rate or channels here, where reading ends."""
        rate_hz, channels = int(frame.sample_rate), int(frame.layout.nb_channels)
        if not self.samplerate:
            self.samplerate, self.channels = rate_hz, channels
        if (rate_hz, channels) == (self.samplerate, self.channels):
            return False
        detail = (
            f"{self._decoded_samples / self.samplerate:.1f} s of audio, then it changes "
            f"from {self.samplerate} Hz and {self.channels} channels "
            f"to {rate_hz} Hz and {channels} channels"
        )
        self._faults = (Fault("unread_audio", detail),)
        return True


def without_padding(blocks: Iterable[Block], end: int) -> Iterator[Block]:
    """Yield the blocks `[channels, n]` without the samples after `end`, if they are few."""
    position = 0
    held: list[Block] = []
    for block in blocks:
        position += block.shape[1]
        excess = position - end
        if excess <= 0:
            yield block
        elif excess <= MAX_PADDING_SAMPLES:
            keep = max(0, block.shape[1] - excess)
            yield block[:, :keep]
            held.append(block[:, keep:])
        else:
            yield from held
            held = []
            yield block
