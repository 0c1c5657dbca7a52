"""The [ensemble] table."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class EnsembleSettings:
    """Averages are always computed and shown; this says what they may become.

    `candidate`: the average of the networks competes with each single network to be the
    candidate. Serving it costs as much as serving all of them together; with false it is
    only measured.
    """

    candidate: bool = True
