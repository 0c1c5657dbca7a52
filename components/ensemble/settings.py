"""Settings of the Ensembler, the [ensemble] table."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class EnsembleSettings:
    """Settings of the averages, which are always computed and shown.

    Attributes:
      candidate: whether the average of the networks competes with the single networks to be
        the candidate. Serving it costs as much as serving all networks together. With false
        it is only evaluated.
    """

    candidate: bool = True
