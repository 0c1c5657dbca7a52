"""Faults of files of which only a part can be read.

Training refuses such a file. Prediction answers from what was read, with a warning.
"""

from __future__ import annotations

import dataclasses

# A file that misses more than both of these of its header's length is truncated. Less is
# normal: encoders count the first frame or the last one differently.
MAX_MISSING_SECONDS, MAX_MISSING_FRACTION = 1.0, 0.02

# What to tell a person whose file was predicted all the same, by reject reason.
FAULT_ADVICE = {
    "truncated": (
        "the file is cut, and the genres are those of the part that is there. Get a complete copy"
    ),
    "unread_audio": (
        "the genres are those of the part that was read. Convert the file with a program that "
        "reads all of it, such as ffmpeg, or split it"
    ),
}


@dataclasses.dataclass(frozen=True)
class Fault:
    """Part of a file that is missing or cannot be read.

    Attributes:
      reason: a reject reason, one of FAULT_ADVICE.
      detail: what was read of what the file claims or holds.
    """

    reason: str
    detail: str

    def warning(self) -> str:
        """Return the sentence for a person whose file was predicted all the same."""
        return f"{self.detail}; {FAULT_ADVICE[self.reason]}"


def length_faults(samples: float, claimed: float, rate_hz: int) -> tuple[Fault, ...]:
    """Return the fault "truncated" if there are far fewer samples than claimed, else none."""
    if claimed - samples <= max(MAX_MISSING_SECONDS * rate_hz, MAX_MISSING_FRACTION * claimed):
        return ()
    detail = f"{samples / rate_hz:.1f} s of audio, but its header says {claimed / rate_hz:.1f} s"
    return (Fault("truncated", detail),)
