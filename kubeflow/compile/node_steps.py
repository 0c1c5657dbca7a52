"""Steps of a compiled pipeline: one for each node of the graph, and those around them.

Small nodes can share a step: each step is two pods, and the start of a process that imports TFX.
"""

from __future__ import annotations

import dataclasses
import graphlib
import re
from collections.abc import Iterable, Sequence

from components.common.errors import UsageError
from pipeline.graph import nodes

# Steps that run no node of their own: the first and the last, and by setting those before steps
# with GPUs and one after the Pusher.
PREPARE, LOOKUP, DEPLOY, FINISH = "prepare", "lookup", "deploy", "finish"
# A pod's name has at most 63 characters, and Kubeflow adds a prefix and a suffix.
MAX_NAME_CHARS = 40
# Small nodes that one step can run. Nothing else runs between the nodes of a group.
SMALL_NODES = (
    (nodes.IMPORT_SCHEMA_GEN, nodes.STATISTICS_GEN, nodes.EXAMPLE_VALIDATOR, nodes.DATA_CHECK),
    (nodes.GENRE_GATE, nodes.SERVING_CHECK, nodes.PUSHER),
)


@dataclasses.dataclass(frozen=True)
class NodeStep:
    """Step that runs one node of the graph, or several small ones one after the other.

    Attributes:
      node_ids: ids of its nodes, such as "Trainer.vgg16", in the order in which they run.
      name: the step's name, such as "trainer-vgg16".
      upstream: ids of the nodes of other steps that run before it, sorted.
    """

    node_ids: tuple[str, ...]
    name: str
    upstream: tuple[str, ...]

    @property
    def display_name(self) -> str:
        """Return the name that people see, such as "Trainer.vgg16" or "GenreGate to Pusher"."""
        first, *others = self.node_ids
        return f"{first} to {others[-1]}" if others else first


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


def merge_small(steps: Sequence[NodeStep]) -> list[NodeStep]:
    """Return the steps with the small nodes of each group in one step.

    Args:
      steps: one step for each node, in an order in which they can run.

    Returns:
      Steps in an order in which they can run.
    """
    alone = {step.node_ids[0]: step for step in steps}
    together: dict[str, tuple[str, ...]] = {node: (node,) for node in alone}
    for small in SMALL_NODES:
        group = tuple(node for node in alone if node in small)
        together |= dict.fromkeys(group, group)
    merged = {}
    for group in together.values():
        first, last = alone[group[0]], alone[group[-1]]
        name = first.name if first is last else f"{first.name}-to-{last.name}"
        upstream = {before for node in group for before in alone[node].upstream} - set(group)
        merged[group] = NodeStep(group, name, tuple(sorted(upstream)))
    order = {group: [together[node] for node in step.upstream] for group, step in merged.items()}
    return [merged[group] for group in graphlib.TopologicalSorter(order).static_order()]
