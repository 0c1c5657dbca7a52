"""Settings of the gate, the [gate] table."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from annotated_types import Ge, Le


@dataclasses.dataclass(frozen=True)
class GateSettings:
    """Settings of the rules that decide whether the candidate may be pushed.

    docs/method/gate.md explains how to choose them. All rules use track accuracy on the test split:
    the share of tracks whose own genre has the highest mean probability over their clips.

    Attributes:
      floor: lowest accuracy that passes; an accuracy no better than guessing fails too. 0
        disables the rule. The default is twice the accuracy of guessing on the eight genres
        of FMA small: it catches a collapsed network, and claims no more.
      beats_baseline: whether the candidate must beat the baseline that is best on validation.
        It does if the lower end of the difference's 95 % interval is above `baseline_margin`.
      baseline_margin: as a share: 0.05 is five points. With a negative margin a candidate
        passes if it is certainly not worse by more than that.
      holds_ensemble: whether the candidate is compared with the average of all models.
      ensemble_tolerance: by how much the candidate may be worse than that average.
      holds_serving: whether the candidate is compared with the serving model, on test tracks
        that the serving model has not seen. One with other audio parameters hears the same
        seconds of the songs in its own form.
      serving_tolerance: by how much the candidate may be worse than the serving model.
      recall_floor: lowest recall that passes, for every genre. 0 disables the rule.
      resamples: number of bootstrap resamples of the interval of a difference.
    """

    floor: Annotated[float, Ge(0), Le(1)] = 0.25
    beats_baseline: bool = True
    baseline_margin: Annotated[float, Ge(-1), Le(1)] = 0.0
    holds_ensemble: bool = True
    ensemble_tolerance: Annotated[float, Ge(0), Le(1)] = 0.02
    holds_serving: bool = True
    serving_tolerance: Annotated[float, Ge(0), Le(1)] = 0.02
    recall_floor: Annotated[float, Ge(0), Le(1)] = 0.1
    resamples: Annotated[int, Ge(1000), Le(100_000)] = 10_000
