"""Features of a track for the check of labels: statistics of its spectrograms over time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

CEPSTRAL_COEFFICIENTS = 20


def clip_features(mel_db: Floats) -> Floats:
    """Return the features of clips, float32 `[clips, features]`.

    For each mel band and each of the first cepstral coefficients (Davis & Mermelstein 1980: the
    discrete cosine transform of the bands' levels): the mean and the standard deviation over
    time, and the standard deviation of the difference from frame to frame.

    Args:
      mel_db: float32 `[clips, n_mels, frames]` in dB.
    """
    from scipy.fft import dct

    cepstrum = dct(mel_db, axis=1, norm="ortho")[:, :CEPSTRAL_COEFFICIENTS]
    parts = []
    for values in (mel_db, cepstrum):
        steps = np.diff(values, axis=2) if values.shape[2] > 1 else np.zeros_like(values)
        parts += [values.mean(axis=2), values.std(axis=2), steps.std(axis=2)]
    return np.concatenate(parts, axis=1).astype(np.float32)


class TrackMeans:
    """Means of clips' features by track, collected block by block."""

    def __init__(self, tracks: int) -> None:
        self._sums: npt.NDArray[np.float64] | None = None
        self._clips = np.zeros(tracks, np.int64)

    def add(self, tracks: npt.NDArray[np.int64], features: Floats) -> None:
        """Add clips.

        Args:
          tracks: track of each clip, `[clips]`.
          features: `[clips, features]`.
        """
        if self._sums is None:
            self._sums = np.zeros((len(self._clips), features.shape[1]))
        np.add.at(self._sums, tracks, features)
        np.add.at(self._clips, tracks, 1)

    def means(self) -> Floats:
        """Return the features of each track, `[tracks, features]`; NaN for one without clips."""
        if self._sums is None:
            return np.full((len(self._clips), 0), np.nan, np.float32)
        with np.errstate(invalid="ignore"):
            return (self._sums / self._clips[:, np.newaxis]).astype(np.float32)
