"""A recording part by part, so that hours of it need no more memory than a minute.

The samples are those of the whole recording decoded and resampled at once, bit by bit: the
file is read in order, without seeking, and the resampler keeps its state.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import soxr

from components.audio.decoding.decode import check_finite, opened, to_mono

# Longest recording that is read this way: a day. It only bounds what a header may claim;
# memory does not grow with it.
MAX_STREAMED_SECONDS = 24 * 3600.0
# Samples of each channel that are decoded at once.
BLOCK_SAMPLES = 1 << 16


@dataclasses.dataclass(frozen=True, eq=False)
class Part:
    """The next stretch of a recording.

    `samples`: float32 `[n]`, mono at the rate that was asked for. `seconds`: of the file that
    have been read up to here, and `claimed_seconds`: its length as its header has it.
    """

    samples: npt.NDArray[np.float32]
    seconds: float
    claimed_seconds: float


def parts(path: str | pathlib.Path, rate_hz: int, part_samples: int) -> Iterator[Part]:
    """Decodes a file in order.

    Args:
      path: the audio file.
      rate_hz: what it is resampled to.
      part_samples: length of each part at that rate; the last one alone is shorter, and may
        be empty.

    Raises:
      DecodeError: as components.audio.decoding.decode.decode; anywhere on the way.
    """
    with opened(path, longest_seconds=MAX_STREAMED_SECONDS, in_order=True) as audio:
        file_rate_hz, frames = int(audio.samplerate), int(audio.frames)
        same = file_rate_hz == rate_hz
        resampler = None if same else soxr.ResampleStream(file_rate_hz, rate_hz, 1, quality="HQ")
        read, ended = 0, False
        pending = np.empty(0, np.float32)
        while True:
            held = [pending]
            count = len(pending)
            while count < part_samples and not ended:
                wanted = min(BLOCK_SAMPLES, frames - read)
                block = to_mono(audio.read(wanted, dtype="float32", always_2d=True))
                check_finite(block)
                read += len(block)
                ended = len(block) < wanted or read == frames
                if resampler:
                    block = resampler.resample_chunk(block, last=ended)
                held.append(block)
                count += len(block)
            samples = np.concatenate(held)
            pending = samples[part_samples:]
            yield Part(samples[:part_samples], read / file_rate_hz, frames / file_rate_hz)
            if count < part_samples:
                return
