"""What decoding one track may take."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class DecodeLimits:
    """`timeout_seconds` by the clock, and `memory_mib` of address space beside what the
    decoding process has from its start."""

    timeout_seconds: float = 60.0
    memory_mib: int = 4096
