"""Steps of a compiled pipeline: one for each node of the graph, and two around them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable

from components.common.errors import UsageError

# The first and the last step, which run no node.
PREPARE, FINISH = "prepare", "finish"
# A pod's name has at most 63 characters, and Kubeflow adds a prefix and a suffix.
MAX_NAME_CHARS = 40


@dataclasses.dataclass(frozen=True)
class NodeStep:
    """Step that runs one node of the graph.

    Attributes:
      node_id: the node's id, such as "Trainer.vgg16".
      name: the step's name, such as "trainer-vgg16".
      upstream: ids of the nodes that run before it, sorted.
    """

    node_id: str
    name: str
    upstream: tuple[str, ...]


def step_names(node_ids: Iterable[str]) -> dict[str, str]:
    """Return the step name of each node id: lower-case letters, digits and "-".

    Raises:
      UsageError: Kubernetes would refuse a name, or two nodes would have the same name.
    """
    names: dict[str, str] = {}
    for node_id in node_ids:
        name = re.sub(r"[^a-z0-9]+", "-", node_id.lower()).strip("-")
        if not name or len(name) > MAX_NAME_CHARS:
            raise UsageError(
                f"node {node_id!r}: {name!r} cannot name a step on Kubernetes (1 to "
                f"{MAX_NAME_CHARS} of a-z, 0-9 and -)"
            )
        if name in names.values():
            other = next(key for key, value in names.items() if value == name)
            raise UsageError(f"nodes {other!r} and {node_id!r} would both be the step {name!r}")
        names[node_id] = name
    return names
