"""The default front end: decibels relative to each clip's own peak, as librosa has them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from components.audio.front_ends.front_end import DYNAMIC_RANGE_DB, FrontEnd

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

# librosa.power_to_db's amin. DYNAMIC_RANGE_DB is its default top_db.
POWER_FLOOR = 1e-10


class MelDb(FrontEnd):
    """Decibels below the clip's peak, floor -80 dB. Loudness makes no difference."""

    name = "mel_db"
    version = 2
    zero_db = "the loudest point of the clip"

    def levels(self, power: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return `librosa.power_to_db(ref=np.max, amin=1e-10, top_db=80)` of each clip.

        A digitally silent clip is 0 everywhere, as in librosa.
        """
        import numpy as np

        # In float64, as the last bit of a float32's logarithm depends on NumPy and the C library.
        loudness = 10.0 * np.log10(np.maximum(power, POWER_FLOOR, dtype=np.float64))
        level = loudness - loudness.max(axis=(-2, -1), keepdims=True)
        return np.clip(level, -DYNAMIC_RANGE_DB, 0.0).astype(np.float32)

    def graph_levels(self, tf: Any, power: Any) -> Any:
        """Convert power to levels in a graph.

        It takes the logarithm of the quotient instead of librosa's difference of logarithms. So
        the peak is exactly 0 dB, whether TensorFlow's scalar or its vectorized logarithm runs.
        """
        peak = tf.maximum(tf.reduce_max(power, axis=[1, 2], keepdims=True), POWER_FLOOR)
        nepers = tf.math.log(tf.maximum(power, POWER_FLOOR) / peak)
        return tf.maximum(nepers * (10.0 / math.log(10.0)), -DYNAMIC_RANGE_DB)
