"""Names of nodes as Kubernetes and Kubeflow take them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from components.common.errors import UsageError

# The steps around those of nodes.
PREPARE, FINISH = "prepare", "finish"
# A pod's name gets a prefix and a suffix from Kubeflow, and is 63 long at most.
LONGEST = 40


def step_names(node_ids: Iterable[str]) -> dict[str, str]:
    """Node id to step name: lower case, digits and "-".

    Raises:
      UsageError: two nodes would have the same name, or one none.
    """
    names: dict[str, str] = {}
    for node_id in node_ids:
        name = re.sub(r"[^a-z0-9]+", "-", node_id.lower()).strip("-")
        if not name or len(name) > LONGEST:
            raise UsageError(
                f"node {node_id!r}: {name!r} is no name for a step on Kubernetes (1 to {LONGEST} "
                "of a-z, 0-9 and -)"
            )
        if name in names.values():
            other = next(key for key, value in names.items() if value == name)
            raise UsageError(f"nodes {other!r} and {node_id!r} would both be the step {name!r}")
        names[node_id] = name
    return names
