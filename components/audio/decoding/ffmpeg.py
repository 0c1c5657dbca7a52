"""Audio that libsndfile does not read (AAC, ALAC, WMA, WebM ...), decoded by FFmpeg's libraries.

They come with PyAV, which is optional. It is imported when the first such file is opened, which
takes 30 ms.

A file is never trusted. FFmpeg gets an open file and one demuxer, the one that the content
names. It opens no other files and no addresses, no decoder that is not in DECODERS, and starts no
threads.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from components.audio.decoding.containers import (
    MP4,
    Container,
    asf_seconds,
    find_fault,
    mp4_end,
)
from components.audio.decoding.faults import (
    MAX_MISSING_FRACTION,
    Fault,
    length_faults,
)
from components.audio.decoding.formats import has_pyav

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet

Block = npt.NDArray[np.float32]

# FFmpeg's names.
DECODERS = frozenset(
    (
        *("aac", "alac", "mp3float", "mp2float", "ac3", "eac3", "opus", "vorbis", "flac", "speex"),
        *("wmav1", "wmav2", "wmapro", "wmalossless", "wmavoice", "ape", "wavpack", "tta", "tak"),
        *("mpc7", "mpc8", "amrnb", "amrwb", "pcm_alaw", "pcm_mulaw", "pcm_u8"),
        *("dsd_lsbf", "dsd_msbf", "dsd_lsbf_planar", "dsd_msbf_planar"),
        *("pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_s32be"),
        *("pcm_f32le", "pcm_f32be", "pcm_f64le", "pcm_f64be"),
    )
)
# Longer than two AAC frames at half the rate. Fewer samples after the told end are the encoder's
# padding; more are audio, and the told length is wrong.
MAX_PADDING_SAMPLES = 4096
# numpy's types of FFmpeg's sample formats, with full scale. Samples of 24 bits come as 32.
_SAMPLES = {
    "u8": ("u1", 1 << 7), "s16": ("i2", 1 << 15), "s32": ("i4", 1 << 31),
    "flt": ("f4", 1), "dbl": ("f8", 1),
}  # fmt: skip


class UndecodableError(RuntimeError):
    """Error for content that FFmpeg does not decode; the text says why."""


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
        told_seconds = asf_seconds(file) if container.told == "asf" else None
        with _own_errors(self.format):
            with _open(file, container) as measured:
                stream = _audio_stream(measured)
                told_seconds = told_seconds or _told_seconds(measured, stream, container)
                there_seconds = _measured_seconds(measured, stream)
            self._input = _open(file, container)
            self._stream = _audio_stream(self._input)
            blocks = self._decoded()
            first = next(blocks, None)
        if first is None:
            though = f", though its header says {told_seconds:.1f} s" if told_seconds else ""
            raise UndecodableError(f"{self.format}: no audio in it can be decoded{though}")
        told = round((told_seconds or 0.0) * self.samplerate)
        there = round(there_seconds * self.samplerate)
        self._faults = length_faults(there, told, self.samplerate) if there else ()
        if end == "cut" and not self._faults:
            self._faults = (Fault("truncated", f"{there_seconds:.1f} s of audio, and no end"),)
        elif end == "joined":
            detail = f"{there_seconds:.1f} s of audio, and another MPEG-4 file behind them"
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
        with _own_errors(self.format):
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
        for packet in _packets(self._input, self._stream):
            self._bytes += packet.size
            try:
                frames = context.decode(packet)
            except _ffmpeg_error() as error:
                if isinstance(error, MemoryError):
                    raise
                self._damaged_bytes += packet.size
                continue
            for frame in frames:
                if self._changes(frame):
                    return
                self._decoded_samples += int(frame.samples)
                yield _as_float32(frame)

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


def _packets(opened: InputContainer, stream: AudioStream) -> Iterator[Packet[AudioStream]]:
    """Read a stream's packets up to the end, or up to where the container is damaged."""
    packets = opened.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except _ffmpeg_error() as error:
            if isinstance(error, MemoryError):
                raise
            return
        if packet is None:
            return
        yield packet


def _measured_seconds(opened: InputContainer, stream: AudioStream) -> float:
    """Return the length of the stream's packets, by their durations or else their times."""
    durations, times = 0, []
    for packet in _packets(opened, stream):
        durations += packet.duration or 0
        if packet.pts is not None:
            times.append(packet.pts)
    ticks = float(durations)
    if not durations and len(times) > 1:
        # WMA Pro and ALAC in Matroska have no durations. The last packet is as long as the others.
        ticks = (max(times) - min(times)) * len(times) / (len(times) - 1)
    return ticks * float(stream.time_base or 0)


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


@contextlib.contextmanager
def _own_errors(name: str) -> Iterator[None]:
    """Turn FFmpeg's errors into UndecodableError. Errors of reading the file stay what they are."""
    try:
        yield
    except MemoryError:
        raise  # FFmpeg's is one, too
    except _ffmpeg_error() as error:
        raise UndecodableError(f"{name}: {error.strerror}") from error


def _ffmpeg_error() -> type[Any]:
    from av.error import FFmpegError

    return FFmpegError


class _Reader:
    """The part of an open file that FFmpeg may use: no name, no writing, no closing."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.read, self.tell = file.read, file.tell

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move as io.IOBase does. To nowhere, as damaged offsets lead, is FFmpeg's error."""
        try:
            return self._file.seek(offset, whence)
        except (OSError, ValueError, OverflowError):
            return -errno.EINVAL


def _open(file: BinaryIO, container: Container) -> InputContainer:
    try:
        import av
    except ImportError as error:
        if has_pyav():
            # Its libraries need 100 MiB of address space.
            raise MemoryError("importing PyAV") from error
        raise
    file.seek(0)
    return av.open(
        _Reader(file),
        "r",
        format=container.demuxer,
        options={"codec_whitelist": ",".join(sorted(DECODERS))},
        container_options={"protocol_whitelist": ""},
        metadata_errors="replace",
        io_open=_refuse_other_files,
    )


def _refuse_other_files(url: str, flags: int, options: dict[str, str]) -> Any:
    raise UndecodableError("it refers to another file")


def _audio_stream(container: InputContainer) -> AudioStream:
    """Return the best audio stream, and discard all others: pictures, video, other languages."""
    from av.stream import Discard

    stream: Any = container.streams.best("audio")
    if stream is None:
        raise UndecodableError("it has no sound")
    context = stream.codec_context  # None for a codec that FFmpeg does not know
    if context is None or context.name not in DECODERS:
        raise UndecodableError(f"its codec is not read: {context.name if context else 'unknown'}")
    for other in container.streams:
        if other is not stream:
            other.discard = Discard.all
    context.thread_count = 1
    context.options = {"codec_whitelist": ",".join(sorted(DECODERS)), "flags": "+bitexact"}
    return cast("AudioStream", stream)


def _told_seconds(
    opened: InputContainer, stream: AudioStream, container: Container
) -> float | None:
    """Return the audio's length as the container tells it; None if it does not."""
    if container.told == "stream" and stream.duration is not None and stream.time_base is not None:
        # The duration includes samples before the first one that is heard.
        ticks = stream.duration - max(0, stream.start_time or 0)
        seconds = float(ticks * stream.time_base)
    elif container.told == "file" and opened.duration is not None:
        seconds = opened.duration / 1e6
    else:
        return None
    return seconds if seconds > 0 else None


def _as_float32(frame: AudioFrame) -> Block:
    """Return float32 `[channels, n]`, in [-1, 1] if the samples are integers."""
    from av.audio.plane import AudioPlane

    channels, count = int(frame.layout.nb_channels), int(frame.samples)
    dtype, full_scale = _SAMPLES[frame.format.name.removesuffix("p")]
    planar = frame.format.is_planar
    size = count if planar else count * channels
    # Not frame.planes, which reads beyond the end of eight planes.
    buffers: list[Any] = [AudioPlane(frame, index) for index in range(channels if planar else 1)]
    samples = np.stack([np.frombuffer(buffer, dtype, size) for buffer in buffers])
    if not planar:
        samples = samples.reshape(count, channels).T
    if dtype == "f4":
        return np.ascontiguousarray(samples)
    if dtype == "u1":
        samples = samples.astype(np.int16) - 128
    return samples.astype(np.float32) / np.float32(full_scale)
