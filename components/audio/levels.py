"""Levels of windows: near silence, and channels that cancel each other in the mono mix.

A network judges each window relative to its own peak, so the noise of a silent window looks like
music. Training leaves such windows out, prediction does too, and so does an exported model's
graph (components.export.serving_module): `is_silent` and `mix_cancels` work on NumPy arrays and
on TensorFlow's tensors.
"""

from __future__ import annotations

import collections
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

# RMS of one window of the mono mix, relative to full scale.
SILENCE_DBFS = -60.0
SILENCE_POWER = 10 ** (SILENCE_DBFS / 10)
# The mix of unrelated channels has 1/channels of their mean power. Channels cancel if their mix has
# less than a quarter of that. With two channels it then loses over 9 dB of their mean power, and
# their correlation is below -0.75. By benchmarks/cancelling.py, windows of real stereo music lose
# up to 2.4 dB. Those of mono music with one channel inverted lose over 20 dB as mp3 or Opus, and
# as Ogg Vorbis at 44.1 kHz 14 dB or more, at its lowest quality 10 dB. At 22.05 kHz Vorbis makes
# much of such channels equal, and of wide stereo music the mix keeps the sides. Such windows may
# lose less and then count.
CANCELLING_FACTOR = 4.0

# Why a window is left out: reject reasons. "" is for a window that counts.
HEARD, NEAR_SILENT, CHANNELS_CANCEL = REASONS = ("", "near_silent", "channels_cancel")

Samples = npt.NDArray[np.float32]


def is_silent(power: Any) -> Any:
    """Return whether windows are near silent, by their mono mix's mean square."""
    return power < SILENCE_POWER


def mix_cancels(mix_power: Any, channel_power: Any, channels: Any) -> Any:
    """Return whether channels cancel each other in their mean.

    Args:
      mix_power: mean square of the channels' mean.
      channel_power: mean square of all channels' samples.
      channels: number of channels; one never cancels.
    """
    return mix_power * channels * CANCELLING_FACTOR < channel_power


def power(windows: Samples) -> npt.NDArray[np.float64]:
    """Return the mean square of each window, `[windows, samples]` to `[windows]`."""
    return np.asarray(np.mean(np.square(windows, dtype=np.float64), axis=1))


def reasons(power: npt.NDArray[np.float64], cancelled: Sequence[bool]) -> tuple[str, ...]:
    """Return for each window why it is left out, HEARD if it counts.

    Args:
      power: mean squares of the mono windows.
      cancelled: whether the channels cancel in each window (`ChannelMeter`).
    """
    return tuple(
        CHANNELS_CANCEL if cancels else NEAR_SILENT if silent else HEARD
        for silent, cancels in zip(is_silent(power).tolist(), cancelled, strict=True)
    )


def refusal(left_out: Sequence[str], power: npt.NDArray[np.float64]) -> tuple[str, str]:
    """Return the reject reason and its detail for a file of which no window counts.

    Args:
      left_out: the result of `reasons`.
      power: mean squares of the same windows.
    """
    if CHANNELS_CANCEL in left_out:
        return CHANNELS_CANCEL, (
            "its channels cancel each other in the mono mix, as if one were inverted; keep one of "
            "them: sox IN OUT remix 1, or ffmpeg -i IN -af 'pan=mono|c0=c0' OUT"
        )
    loudest = float(power.max())
    if not loudest:
        return NEAR_SILENT, "digital silence"
    return NEAR_SILENT, (
        f"its loudest clip is at {10 * math.log10(loudest):.0f} dBFS, and below {SILENCE_DBFS:g} "
        "dBFS counts as silence; if it is music, normalise it: sox IN OUT norm -1"
    )


def channels_cancel(samples: Samples, mono: Samples) -> bool:
    """Return whether the channels of one window cancel; silent channels do not.

    Args:
      samples: C-contiguous `[samples, channels]`.
      mono: their mean, `[samples]`.
    """
    return _cancels(_energy(mono), _energy(samples), len(mono), samples.shape[1])


class ChannelMeter:
    """Meter that finds windows whose channels cancel, in a recording that is read in blocks."""

    def __init__(self, window_samples: int, rate_hz: int, window_rate_hz: int) -> None:
        """Start at the first sample.

        Args:
          window_samples: length of the consecutive windows, at `window_rate_hz`.
          rate_hz: sample rate of the blocks.
          window_rate_hz: sample rate of the windows.
        """
        self._window_samples, self._rates_hz = window_samples, (rate_hz, window_rate_hz)
        self._first = self._position = self._window = 0
        self._mix = self._channels = 0.0
        self._channel_count = 1
        self._done: collections.deque[bool] = collections.deque()

    def add(self, samples: Samples, mono: Samples) -> None:
        """Measure the next block; the arguments are those of `channels_cancel`."""
        begin, self._channel_count = self._position, samples.shape[1]
        end = begin + len(mono)
        while self._position < end:
            stop = min(end, self._end_of_window())
            block = slice(self._position - begin, stop - begin)
            self._mix += _energy(mono[block])
            self._channels += _energy(samples[block])
            self._position = stop
            if stop == self._end_of_window():
                self._close_window()

    def take(self, windows: int) -> list[bool]:
        """Return whether the channels cancel in the next windows, which must have been read.

        By rounding, a recording's last window may lack a sample.
        """
        if len(self._done) < windows:
            self._close_window()
        return [self._done.popleft() for _ in range(windows)]

    def _end_of_window(self) -> int:
        rate_hz, window_rate_hz = self._rates_hz
        return (self._window + 1) * self._window_samples * rate_hz // window_rate_hz

    def _close_window(self) -> None:
        read = self._position - self._first
        self._done.append(_cancels(self._mix, self._channels, read, self._channel_count))
        self._first, self._mix, self._channels = self._position, 0.0, 0.0
        self._window += 1


def _cancels(mix: float, channel_energies: float, samples: int, channels: int) -> bool:
    if not samples:
        return False
    channel_power = channel_energies / (samples * channels)
    return bool(
        not is_silent(channel_power) and mix_cancels(mix / samples, channel_power, channels)
    )


def _energy(samples: Samples) -> float:
    flat = samples.reshape(-1)
    return float(np.dot(flat, flat))
