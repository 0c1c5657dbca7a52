"""The ensembles by name, and which models each is made of. Light."""

from __future__ import annotations

from collections.abc import Sequence

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
