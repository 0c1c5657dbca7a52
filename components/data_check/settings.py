"""Settings of DataCheck's comparison with earlier data, the [data_check] table."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

from annotated_types import Ge, Le


@dataclasses.dataclass(frozen=True)
class DataCheckSettings:
    """Settings of the comparison with the data that the serving model was trained on.

    docs/operations/drift.md says where the defaults come from.

    Attributes:
      drift: "warn" reports drift, "stop" also ends the run before anything is trained, "off" does
        not compare.
      drift_divergence: Jensen-Shannon divergence, in bits, of a level's distribution above which
        it has drifted.
      drift_share: difference of a genre's share of the songs above which the shares have drifted.
    """

    drift: Literal["warn", "stop", "off"] = "warn"
    drift_divergence: Annotated[float, Ge(0), Le(1)] = 0.1
    drift_share: Annotated[float, Ge(0), Le(1)] = 0.05
