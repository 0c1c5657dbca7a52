"""The ensembles by name, and which models each is made of. Light."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

NETWORKS, BASELINES = "ensemble_networks", "ensemble_baselines"
ALL, WEIGHTED = "ensemble_all", "ensemble_weighted"
ENSEMBLES = (NETWORKS, BASELINES, ALL, WEIGHTED)

# A yardstick and no opinion: its constant answer would only flatten an average.
NO_OPINION = frozenset({"dummy"})


def members_of(networks: Sequence[str], baselines: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Which models each ensemble is made of, in sorted order; one of a single model is none.

    `dummy` is in no ensemble. `ensemble_all` and `ensemble_weighted` have the same members.
    """
    opinions = sorted(set(baselines) - NO_OPINION)
    every = tuple(sorted(networks)) + tuple(opinions)
    found = {
        NETWORKS: tuple(sorted(networks)),
        BASELINES: tuple(opinions),
        ALL: every,
        WEIGHTED: every,
    }
    return {name: members for name, members in found.items() if len(members) > 1}


def choose(track_accuracy: Mapping[str, float], parameters: Mapping[str, int | None]) -> str:
    """The model with the best validation track accuracy.

    Ties go to fewer parameters (unknown is most), then to the name that sorts first.

    Args:
      track_accuracy: for each model its share of validation tracks that are right.
      parameters: for each model its number of parameters.

    Raises:
      ValueError: there is no model.
    """
    if not track_accuracy:
        raise ValueError("there is no network to choose from")

    def rank(name: str) -> tuple[float, float, str]:
        size = parameters[name]
        return -track_accuracy[name], math.inf if size is None else size, name

    return min(track_accuracy, key=rank)
