"""What decoding one track may take."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class DecodeLimits:
    """`timeout_seconds` by the clock, and `memory_mib` of address space beside what the
    decoding process has from its start.

    The longest recordings that are read, an hour, set the defaults. As a whole, which
    `strict` and headers that are off need, one of mp3 takes 23 s on a busy core, and 2.0 GiB
    at 48 kHz in stereo, twice that at 96 kHz. Thirty seconds take 0.03 s and 16 MiB.
    """

    timeout_seconds: float = 120.0
    memory_mib: int = 4096
