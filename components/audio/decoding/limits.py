"""Limits of decoding, in a module of their own so that settings need not import the decoder."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class DecodeLimits:
    """Limits of decoding one track in a separate process.

    The defaults are for the longest recordings that are read, one hour. Decoding one as a
    whole, as `strict` and wrong headers require, takes 23 s on a busy core for mp3, and
    2.0 GiB at 48 kHz in stereo (twice that at 96 kHz). Thirty seconds of audio take 0.03 s and
    16 MiB.

    Attributes:
      timeout_seconds: wall-clock time.
      memory_mib: address space on top of what the process has when it starts.
    """

    timeout_seconds: float = 120.0
    memory_mib: int = 4096
