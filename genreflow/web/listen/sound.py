"""Picture of a recording for a page: its mel spectrogram and waveform, of bounded size.

Both are made while the recording is read part by part. Whenever there are too many columns, pairs
of neighbours become one, so that an hour needs no more memory than a minute.
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import numpy.typing as npt

from components.audio import levels
from components.audio.clips import cut
from components.audio.front_ends.front_end import DYNAMIC_RANGE_DB
from components.audio.params import AudioParams

# At most twice as many columns are kept as a wide screen has pixels for them.
MAX_COLUMNS = 2048
# Windows whose spectrograms are computed at once.
_AT_ONCE = 16
_LEVELS = 255
# Frequencies to name at the axis, in Hz.
_TICKS_HZ = (100, 250, 500, 1000, 2000, 4000, 8000, 16000)


class Spectrogram:
    """Mel spectrogram as bytes: 0 is -80 dB, 255 is 0 dB. Near-silent windows are 0."""

    def __init__(self, params: AudioParams, max_columns: int = MAX_COLUMNS) -> None:
        """Start at the first window.

        Args:
          params: audio parameters, of the model.
          max_columns: the largest number of columns; even.
        """
        self._params, self._max_columns = params, max_columns
        self._columns = np.zeros((0, params.n_mels), np.float32)
        self._pending = self._columns  # frames that do not fill a column yet
        self._frames_per_column = 1
        self.windows = 0

    def add(self, windows: npt.NDArray[np.float32]) -> None:
        """Add the next windows, float32 `[windows, clip_samples]`."""
        from components.audio.spectrogram.mel import log_mel  # imports librosa

        for start in range(0, len(windows), _AT_ONCE):
            some = windows[start : start + _AT_ONCE]
            mel_db = log_mel(some, self._params)
            mel_db[levels.is_silent(levels.power(some))] = -DYNAMIC_RANGE_DB
            frames = mel_db.transpose(0, 2, 1).reshape(-1, self._params.n_mels)
            self._add_frames(frames)
        self.windows += len(windows)

    def levels(self) -> npt.NDArray[np.uint8]:
        """Return the levels, uint8 `[columns, n_mels]`, low bands first."""
        columns = self._columns
        if len(self._pending):
            columns = np.concatenate([columns, self._pending.mean(axis=0, keepdims=True)])
        scaled = (columns + DYNAMIC_RANGE_DB) * (_LEVELS / DYNAMIC_RANGE_DB)
        return np.asarray(np.clip(np.rint(scaled), 0, _LEVELS).astype(np.uint8))

    def _add_frames(self, frames: npt.NDArray[np.float32]) -> None:
        frames = np.concatenate([self._pending, frames])
        whole = len(frames) // self._frames_per_column * self._frames_per_column
        self._pending = frames[whole:]
        grouped = frames[:whole].reshape(-1, self._frames_per_column, frames.shape[1])
        self._columns = np.concatenate([self._columns, grouped.mean(axis=1)])
        while len(self._columns) > self._max_columns:
            if len(self._columns) % 2:
                last = np.repeat(self._columns[-1:], self._frames_per_column, axis=0)
                self._pending = np.concatenate([last, self._pending])
                self._columns = self._columns[:-1]
            self._columns = self._columns.reshape(-1, 2, frames.shape[1]).mean(axis=1)
            self._frames_per_column *= 2


class Waveform:
    """Lowest and highest sample of each column of a recording, as bytes: 127 is full scale."""

    def __init__(self, max_columns: int = MAX_COLUMNS, samples_per_column: int = 64) -> None:
        """Start at the first sample.

        Args:
          max_columns: the largest number of columns; even.
          samples_per_column: of the shortest recordings.
        """
        self._max_columns, self._samples = max_columns, samples_per_column
        self._peaks = np.zeros((0, 2), np.float32)
        self._pending = np.zeros(0, np.float32)

    def add(self, samples: npt.NDArray[np.float32]) -> None:
        """Add the next samples, full scale 1."""
        samples = np.concatenate([self._pending, samples])
        whole = len(samples) // self._samples * self._samples
        self._pending = samples[whole:]
        self._peaks = np.concatenate([self._peaks, _peaks(samples[:whole], self._samples)])
        while len(self._peaks) > self._max_columns:
            if len(self._peaks) % 2:  # half of a column of the new size: samples with its peaks
                low, high = self._peaks[-1]
                half = np.full(self._samples, high, np.float32)
                half[0] = low
                self._pending = np.concatenate([half, self._pending])
                self._peaks = self._peaks[:-1]
            pairs = self._peaks.reshape(-1, 2, 2)
            self._peaks = np.stack([pairs[..., 0].min(axis=1), pairs[..., 1].max(axis=1)], axis=1)
            self._samples *= 2

    def peaks(self) -> npt.NDArray[np.int8]:
        """Return the peaks, int8 `[columns, 2]`."""
        rest = self._pending
        peaks = (
            self._peaks if not len(rest) else np.concatenate([self._peaks, _peaks(rest, len(rest))])
        )
        return np.asarray(np.rint(np.clip(peaks, -1, 1) * 127).astype(np.int8))


class Sound:
    """Spectrogram and waveform of a recording that is read part by part."""

    def __init__(self, params: AudioParams, *, is_exact: bool) -> None:
        """Start at the beginning.

        Args:
          params: audio parameters.
          is_exact: whether they are the model's own.
        """
        self._params, self._is_exact = params, is_exact
        self._spectrogram, self._waveform = Spectrogram(params), Waveform()

    def add(self, samples: npt.NDArray[np.float32]) -> None:
        """Add the next part, which holds whole windows unless it is the last."""
        self._waveform.add(samples)
        self._spectrogram.add(cut(samples, self._params.clip_samples))

    def to_json(self) -> dict[str, Any]:
        """Return everything that the page draws.

        `levels` are the bytes of the spectrogram by columns, `peaks` those of the waveform; both
        in base64. `ticks` name frequencies with their height, 0 at the bottom and 1 at the top.
        """
        params, shown = self._params, self._spectrogram.levels()
        return {
            "window_s": params.clip_samples / params.sample_rate_hz,
            "spectrogram_s": self._spectrogram.windows
            * params.clip_samples
            / params.sample_rate_hz,
            "bands": params.n_mels,
            "band_hz": [round(hz, 1) for hz in band_centres_hz(params)],
            "levels": base64.b64encode(shown.tobytes()).decode(),
            "peaks": base64.b64encode(self._waveform.peaks().tobytes()).decode(),
            "ticks": [{"hz": hz, "height": round(height, 4)} for hz, height in ticks(params)],
            "top_hz": params.sample_rate_hz / 2,
            "zero_db": params.front.zero_db,
            "is_exact": self._is_exact,
        }


def band_centres_hz(params: AudioParams) -> list[float]:
    """Return the frequency at the centre of each mel band."""
    import librosa

    centres = librosa.mel_frequencies(params.n_mels + 2, fmax=params.sample_rate_hz / 2)[1:-1]
    return [float(hz) for hz in centres]


def ticks(params: AudioParams) -> list[tuple[int, float]]:
    """Return round frequencies with their heights in the picture, from 0 to 1."""
    import librosa

    top = float(librosa.hz_to_mel(params.sample_rate_hz / 2))
    # Band i is centred at mel top * (i + 1) / (n_mels + 1), in the middle of its row.
    heights = [
        (hz, (float(librosa.hz_to_mel(hz)) / top * (params.n_mels + 1) - 0.5) / params.n_mels)
        for hz in _TICKS_HZ
    ]
    return [(hz, height) for hz, height in heights if 0 < height < 1]


def _peaks(samples: npt.NDArray[np.float32], size: int) -> npt.NDArray[np.float32]:
    columns = samples.reshape(-1, size)
    if not len(columns):
        return np.zeros((0, 2), np.float32)
    return np.stack([columns.min(axis=1), columns.max(axis=1)], axis=1)
