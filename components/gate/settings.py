"""The [gate] table: what a candidate must reach to be blessed."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from annotated_types import Ge, Le


@dataclasses.dataclass(frozen=True)
class GateSettings:
    """The rules that decide whether the candidate may serve.

    `floor`: the candidate is refused when its track accuracy on the test split (the
    fraction of tracks whose averaged clip probabilities name the right genre) is below
    this, or no better than guessing. 0 refuses nothing. The default is twice what
    guessing reaches on the eight genres of FMA small: it catches a network that
    collapsed, and claims no more.
    """

    floor: Annotated[float, Ge(0), Le(1)] = 0.25
