"""Files in the formats that PyAV's encoders write, for benchmarks and tests."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 6: "5.1", 8: "7.1"}
# Integer types by FFmpeg's name, with the largest value. Samples of 24 bits are written in 32.
_INTEGERS: dict[str, tuple[type[np.signedinteger[Any]], int]] = {
    "s16": (np.int16, 1 << 15),
    "s32": (np.int32, 1 << 31),
}


def write(
    path: pathlib.Path,
    samples: npt.NDArray[np.float32],
    rate_hz: int,
    *,
    codec: str,
    container: str,
    sample_format: str = "",
    bit_rate: int = 128000,
    options: Mapping[str, str] = {},
    tags: Mapping[str, str] = {},
    pictures: int = 0,
) -> None:
    """Encode samples `[n, channels]` in [-1, 1).

    Args:
      path: the file.
      samples: the sound.
      rate_hz: its sample rate.
      codec: FFmpeg's name of the encoder.
      container: FFmpeg's name of the muxer.
      sample_format: FFmpeg's name; "" is the encoder's first.
      bit_rate: bits per second, for lossy codecs.
      options: the muxer's options.
      tags: the container's metadata.
      pictures: number of pictures: 0, 1 for a cover, more for a video of 25 a second.
    """
    import av

    channels = samples.shape[1]
    with av.open(str(path), "w", format=container, container_options=dict(options)) as output:
        output.metadata.update(tags)
        stream = output.add_stream(codec, rate=rate_hz)
        context: Any = stream.codec_context
        context.layout = LAYOUTS[channels]
        context.bit_rate = bit_rate
        context.options = {"strict": "-2"}  # FFmpeg calls its own Vorbis encoder experimental
        if sample_format:
            context.format = sample_format
        video = (
            output.add_stream("png" if pictures == 1 else "mjpeg", rate=25) if pictures else None
        )
        context.open()
        if video:
            _add_pictures(output, video, pictures)
        step = context.frame_size or 1024
        for first in range(0, len(samples), step):
            frame = _frame(samples[first : first + step], context.format, LAYOUTS[channels])
            frame.sample_rate, frame.pts = rate_hz, first
            output.mux(context.encode(frame))
        output.mux(context.encode(None))


def _frame(samples: npt.NDArray[np.float32], kind: Any, layout: str) -> Any:
    from av import AudioFrame
    from av.audio.plane import AudioPlane

    name = kind.name.removesuffix("p")
    values: npt.NDArray[Any] = samples.astype(np.float32)
    if name in _INTEGERS:
        dtype, full = _INTEGERS[name]
        values = np.clip(np.round(samples.astype(np.float64) * full), -full, full - 1).astype(dtype)
    frame = AudioFrame(format=kind, layout=layout, samples=len(samples))
    # Not AudioFrame.from_ndarray, which fails for eight planes.
    planes = values.T if kind.is_planar else values.reshape(1, -1)
    for index, plane in enumerate(planes):
        AudioPlane(frame, index).update(plane.tobytes())
    return frame


def _add_pictures(output: Any, stream: Any, pictures: int) -> None:
    from av import VideoFrame
    from av.stream import Disposition

    stream.width = stream.height = 16
    stream.pix_fmt = "rgb24" if pictures == 1 else "yuvj420p"
    if pictures == 1:
        stream.disposition = Disposition.attached_pic
    for index in range(pictures):
        frame = VideoFrame.from_ndarray(np.full((16, 16, 3), index, np.uint8), format="rgb24")
        frame.pts = index
        output.mux(stream.encode(frame))
    output.mux(stream.encode(None))
