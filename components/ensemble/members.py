"""Names and members of the ensembles, and the choice of the best model. Light to import."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

NETWORKS, BASELINES = "ensemble_networks", "ensemble_baselines"
ALL, WEIGHTED = "ensemble_all", "ensemble_weighted"

# `dummy` is a reference, no real model: its constant output would only flatten an average.
EXCLUDED = frozenset({"dummy"})


def members_of(networks: Sequence[str], baselines: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the members of each ensemble, sorted, without ensembles of fewer than two.

    `dummy` is in no ensemble. `ensemble_all` and `ensemble_weighted` have the same members.

    Args:
      networks: names of the trained networks.
      baselines: names of the trained baselines.
    """
    averaged = sorted(set(baselines) - EXCLUDED)
    every = tuple(sorted(networks)) + tuple(averaged)
    found = {
        NETWORKS: tuple(sorted(networks)),
        BASELINES: tuple(averaged),
        ALL: every,
        WEIGHTED: every,
    }
    return {name: members for name, members in found.items() if len(members) > 1}


def choose(track_accuracy: Mapping[str, float], parameters: Mapping[str, int | None]) -> str:
    """Return the model with the best validation track accuracy.

    Among equal ones, the model with the fewest parameters wins (an unknown number counts as
    the most), then the first by name.

    Args:
      track_accuracy: each model's track accuracy on validation.
      parameters: each model's number of parameters; None if unknown.

    Raises:
      ValueError: there is no model.
    """
    if not track_accuracy:
        raise ValueError("there is no network to choose from")

    def rank(name: str) -> tuple[float, float, str]:
        size = parameters[name]
        return -track_accuracy[name], math.inf if size is None else size, name

    return min(track_accuracy, key=rank)
