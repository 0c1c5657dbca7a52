"""FFmpeg's libraries, used through PyAV: containers, packets and samples.

PyAV is imported when the first file is opened that needs it, which takes 30 ms.

A file is never trusted. FFmpeg gets an open file and one demuxer, the one that the content
names. It opens no other files and no addresses, no decoder that is not in DECODERS, and starts no
threads.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from components.audio.decoding.containers import Container

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
# numpy's types of FFmpeg's sample formats, with full scale. Samples of 24 bits come as 32.
_SAMPLES = {
    "u8": ("u1", 1 << 7), "s16": ("i2", 1 << 15), "s32": ("i4", 1 << 31),
    "flt": ("f4", 1), "dbl": ("f8", 1),
}  # fmt: skip


class UndecodableError(RuntimeError):
    """Error for content that FFmpeg does not decode; the text says why."""


@contextlib.contextmanager
def own_errors(name: str) -> Iterator[None]:
    """Turn FFmpeg's errors into UndecodableError. Errors of reading the file stay what they are."""
    try:
        yield
    except (MemoryError, UndecodableError):
        raise  # a MemoryError may be FFmpeg's
    except ffmpeg_error() as error:
        raise UndecodableError(f"{name}: {error.strerror}") from error


def ffmpeg_error() -> type[Any]:
    from av.error import FFmpegError

    return FFmpegError


class Reader:
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


def open_container(file: BinaryIO, container: Container) -> InputContainer:
    try:
        import av
    except ImportError as error:
        if "failed to map" in str(error):  # its libraries need 100 MiB of address space
            raise MemoryError("importing PyAV") from error
        raise UndecodableError(f"PyAV cannot be imported: {error}") from error
    file.seek(0)
    return av.open(
        Reader(file),
        "r",
        format=container.demuxer,
        options={"codec_whitelist": ",".join(sorted(DECODERS))},
        container_options={"protocol_whitelist": ""},
        metadata_errors="replace",
        io_open=_refuse_other_files,
    )


def _refuse_other_files(url: str, flags: int, options: dict[str, str]) -> Any:
    raise UndecodableError("it refers to another file")


def audio_stream(container: InputContainer) -> AudioStream:
    """Return the best audio stream, and discard all others: pictures, video, other languages."""
    from av.stream import Discard

    stream: Any = container.streams.best("audio")
    if stream is None:
        raise UndecodableError("it has no sound, only pictures or data")
    context = stream.codec_context  # None for a codec that FFmpeg does not know
    if context is None or context.name not in DECODERS:
        name = context.name if context else "unknown"
        raise UndecodableError(f"its codec is not read: {name}; convert the file with ffmpeg")
    for other in container.streams:
        if other is not stream:
            other.discard = Discard.all
    context.thread_count = 1
    context.options = {"codec_whitelist": ",".join(sorted(DECODERS)), "flags": "+bitexact"}
    return cast("AudioStream", stream)


def told_seconds(opened: InputContainer, stream: AudioStream, container: Container) -> float | None:
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


def as_float32(frame: AudioFrame) -> Block:
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


def packets(opened: InputContainer, stream: AudioStream) -> Iterator[Packet[AudioStream]]:
    """Read a stream's packets up to the end, or up to where the container is damaged."""
    coming = opened.demux(stream)
    while True:
        try:
            packet = next(coming, None)
        except ffmpeg_error() as error:
            if isinstance(error, MemoryError):
                raise
            return
        if packet is None:
            return
        yield packet


def measured_seconds(opened: InputContainer, stream: AudioStream) -> float:
    """Return the length of the stream's packets, by their durations or else their times."""
    durations, times = 0, []
    for packet in packets(opened, stream):
        durations += packet.duration or 0
        if packet.pts is not None:
            times.append(packet.pts)
    ticks = float(durations)
    if not durations and len(times) > 1:
        # WMA Pro and ALAC in Matroska have no durations. The last packet is as long as the others.
        ticks = (max(times) - min(times)) * len(times) / (len(times) - 1)
    return ticks * float(stream.time_base or 0)
