"""The stored form of spectrograms: whole steps of 1/512 dB above the floor, in 16 bits.

Every step is exact in float32, in whatever order and precision a compiler computes it.
docs/method/stored-examples.md compares this form with float16 and with 8 bits. The module is
separate from `mel`, so that readers of examples need not import librosa.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from components.audio.front_ends.front_end import DYNAMIC_RANGE_DB

STORED_DTYPE = np.uint16
STORED_STEPS_PER_DB = 512.0


def to_stored(mel_db: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.uint16]:
    """Round finite dB in [-80, 0] to the nearest step: 0 is -80 dB, 40,960 is 0 dB."""
    level = mel_db.astype(np.float32) + np.float32(DYNAMIC_RANGE_DB)
    return np.rint(level * np.float32(STORED_STEPS_PER_DB)).astype(STORED_DTYPE)


def from_stored(stored: npt.NDArray[np.uint16]) -> npt.NDArray[np.float32]:
    """Return stored steps as float32 dB, the inverse of to_stored."""
    level = stored.astype(np.float32) * np.float32(1 / STORED_STEPS_PER_DB)
    return level - np.float32(DYNAMIC_RANGE_DB)
