"""The front end of musicnn (Pons and Serra, arXiv:1909.06654): absolute, compressed levels.

musicnn's networks were trained on log10(10000 S + 1) of a mel spectrogram S at 16 kHz. The level
here is the same number in decibels, 10 log10(10000 S + 1) - 80, so that it has the range of all
front ends: -80 dB is no power, 0 dB is S = 10^4. Music at full scale reaches some -14 dB.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from components.audio.front_ends.front_end import DYNAMIC_RANGE_DB, FrontEnd

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

# musicnn's compression: a power of 1 / FACTOR is 3 dB above the floor.
FACTOR = 10_000.0


class Musicnn(FrontEnd):
    """Decibels above a fixed power, with a soft floor. A louder recording gives higher levels."""

    name = "musicnn"
    version = "musicnn.1"
    fixed: ClassVar[Mapping[str, int | float]] = {
        "sample_rate_hz": 16000,
        "fft_samples": 512,
        "hop_samples": 256,
        "n_mels": 96,
        "clip_seconds": 3.0,
    }
    # 20 dB above full scale. A waveform in 16-bit integers would saturate every band.
    max_sample = 10.0
    zero_db = "a mel power of 10,000 (full scale is 1)"

    def frames(self, clip_samples: int, fft_samples: int, hop_samples: int) -> int:
        """Return the frames of one clip that need no padding at its end: 187 in 3 seconds.

        musicnn cuts its patches of 187 frames out of a whole song's spectrogram, so a frame that
        is padded at its end occurs at most once a song.
        """
        return 1 + (clip_samples - fft_samples // 2) // hop_samples

    def levels(self, power: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return 10 log10(10000 power + 1) - 80, at most 0."""
        import numpy as np

        # In float64, as the last bit of a float32's logarithm depends on NumPy and the C library.
        level = 10.0 * np.log10(FACTOR * power.astype(np.float64) + 1.0) - DYNAMIC_RANGE_DB
        return np.minimum(level, 0.0).astype(np.float32)

    def graph_levels(self, tf: Any, power: Any) -> Any:
        """Return 10 log10(10000 power + 1) - 80, at most 0, in a graph."""
        nepers = tf.math.log(FACTOR * power + 1.0)
        return tf.minimum(nepers * (10.0 / math.log(10.0)) - DYNAMIC_RANGE_DB, 0.0)
