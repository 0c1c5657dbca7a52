"""The [gate] table: what a candidate must reach to be blessed."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from annotated_types import Ge, Le


@dataclasses.dataclass(frozen=True)
class GateSettings:
    """The rules that decide whether the candidate may serve; docs/gate.md says how to
    choose them. All look at track accuracy on the test split: the share of tracks whose
    averaged clip probabilities name the right genre.

    `floor`: the candidate is refused when its accuracy is below this, or no better than
    guessing. 0 switches the rule off. The default is twice what guessing reaches on the
    eight genres of FMA small: it catches a network that collapsed, and claims no more.

    `beats_baseline`: the candidate must beat the best baseline (on validation) by more than
    `baseline_margin` (0.05: five points) for sure: the lower end of the difference's 95 %
    interval must be above it. A negative margin lets a candidate pass that is surely not
    worse by more than that.

    `holds_ensemble`: the candidate may be worse than the average of all models by at most
    `ensemble_tolerance`.

    `holds_serving`: the candidate may be worse than the model that serves by at most
    `serving_tolerance`, on test tracks which that model never saw.

    `recall_floor`: the share of its test tracks that must be found of every genre. 0
    switches the rule off.

    `resamples`: how often artists are drawn anew for an interval.
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
